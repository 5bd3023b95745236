"""A base task that starts from a file of pretrained weights: found by what is in it, and refused where it is unfit."""

import os
import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from search_cli import search_here
from torchvision.models import resnet18, resnet50

import tune_cl
from tune_cl.chain import PRETRAINED, Chain, planned_keys
from tune_cl.cli.main import main
from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method, keyed, leaves, method_names
from tune_cl.nets import read_backbone
from tune_cl.records import RunConfig, SearchFolder, SearchRecord, StreamRecord, read_record, write_run
from tune_cl.store import StageStore
from tune_cl.streams import Stream, open_stream

sys.path.append(str(Path(__file__).parents[1] / "streams"))
import image_trees as trees

pytestmark = pytest.mark.ray

STREAM = "cub200-b150-t2"
EPOCHS = {
    f"{part}.classifier.{name}": n for part in ("base", "increment") for name, n in (("epochs", 1), ("batch_size", 128))
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `data` (CUB with two small training images of a class) and files of weights."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        trees.shrink(patch, stored=16, seen=12)
        trees.write_cub(folder / "data", training=2, test=0)
        for name, seed in (("one.pth", 1), ("other.pth", 2)):
            torch.manual_seed(seed)
            torch.save(resnet18(weights=None).state_dict(), folder / name)
        shutil.copy(folder / "one.pth", folder / "copy-of-one.pt")
        yield folder


@pytest.fixture(scope="module")
def stream(place: Path) -> Stream:
    return open_stream(StreamRecord(name=STREAM), place / "data", accept_modified_data=True)


def configured(weights: Path | None, **changes: Any) -> RunConfig:
    return tune_cl.configure("finetune", stream=STREAM, overrides={**EPOCHS, **changes}, backbone_weights=weights)


def options(place: Path, results: Path, *more: str | Path) -> list[str]:
    """Of a search of two trials, each of the base task and one increment."""
    sizes = [f"--set={path}={value}" for path, value in EPOCHS.items()]
    where = ["--data-root", place / "data", "--accept-modified-data", "--results", results]
    how = ["--space=finetune", f"--stream={STREAM}", "--protocol=first_1", "--trials=2", "--name=s", "--concurrency=1"]
    return [str(option) for option in (*how, *sizes, *where, *more)]


def refused(capfd: pytest.CaptureFixture[str], *argv: str | Path) -> str:
    capfd.readouterr()
    code = main([str(word) for word in argv])
    out, err = capfd.readouterr()
    assert code == 2, out + err
    assert err.startswith("tune-cl: ") and err.count("\n") == 1 and err.endswith("\n"), err
    return err


@pytest.mark.parametrize("method", method_names())
def test_the_hash_is_in_the_base_tasks_key_and_none_is_in_no_key(method: str) -> None:
    base = type(get_method(method).config().base.classifier)  # type: ignore[attr-defined]
    assert "pretrained" not in keyed(base(network="resnet18", width=64))
    assert keyed(base(network="resnet18", width=64, pretrained="a" * 64))["pretrained"] == "a" * 64
    assert PRETRAINED in leaves(get_method(method).config)


def test_keys_depend_on_the_contents_and_not_on_the_path(place: Path, stream: Stream) -> None:
    runs = [configured(place / name) for name in ("one.pth", "copy-of-one.pt", "other.pth")] + [configured(None)]
    one, copy, other, none = (planned_keys(run, stream) for run in runs)
    assert one == copy
    assert len({keys[0] for keys in (one, other, none)}) == 3
    assert not {key for _, _, key in one} & {key for _, _, key in other}


def test_base_task_starts_from_the_weights_and_nothing_else_changes(
    place: Path, stream: Stream, tmp_path: Path
) -> None:
    """Without a step of training worth the name, the network still is the file's; its head is the one without."""
    still = {"base.classifier.learning_rate": 1e-12, "base.classifier.weight_decay": 0.0}
    tensors = {}
    for name in ("one.pth", None):
        run = configured(place / name if name else None, **still)
        backbone = read_backbone(place / name) if name else None
        chain = Chain(run, stream, StageStore(tmp_path / "stages"), backbone=backbone)
        assert chain.advance().row.stages[0].key == chain.planned_keys()[0][2]
        tensors[name] = chain.classifier().state_dict()
    given = torch.load(place / "one.pth", weights_only=True)
    for ours, theirs in (("layers.0.0.weight", "conv1.weight"), ("layers.4.1.conv2.weight", "layer4.1.conv2.weight")):
        assert torch.allclose(tensors["one.pth"][ours], given[theirs], atol=1e-6)
        assert not torch.allclose(tensors[None][ours], given[theirs], atol=1e-3)
    assert torch.allclose(tensors["one.pth"]["head.weight"], tensors[None]["head.weight"], atol=1e-6)


def test_run_chain_goes_on_with_stored_stages_of_the_same_contents(place: Path, tmp_path: Path) -> None:
    common: Any = {"data_root": place / "data", "accept_modified_data": True, "stages": tmp_path / "stages"}
    rows = tune_cl.run_chain(configured(place / "one.pth"), backbone_weights=place / "one.pth", **common)
    again = tune_cl.run_chain(configured(place / "one.pth"), backbone_weights=place / "copy-of-one.pt", **common)
    assert [row.comparable() for row in again] == [row.comparable() for row in rows]
    assert {use.origin for row in again for use in row.stages} == {"reused"}


@pytest.fixture(scope="module")
def searched(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a search that starts from `one.pth`."""
    results = tmp_path_factory.mktemp("results")
    code, output = search_here(*options(place, results, "--backbone-weights", place / "one.pth"))
    assert code == 0, output
    return results


@pytest.mark.slow
def test_search_notes_the_hash_and_its_trials_start_from_the_weights(
    searched: Path, place: Path, stream: Stream
) -> None:
    folder, backbone = SearchFolder(searched / "s"), read_backbone(place / "one.pth")
    record = read_record(folder.search, SearchRecord)
    assert record.fixed[PRETRAINED] == backbone.sha256
    for trial in folder.trials().values():
        run = read_record(trial.config, RunConfig)
        assert run.parameters["base"]["classifier"]["pretrained"] == backbone.sha256
        assert trial.rows()[0].stages[0].key == planned_keys(run, stream)[0][2]
    command, *configuration = folder.best_config.read_text().splitlines()
    assert "--backbone-weights" in command and str(place / "one.pth") not in "\n".join(configuration)


@pytest.mark.slow
def test_the_same_search_goes_on_under_another_path_and_not_without_the_file(
    searched: Path, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = options(place, searched, "--backbone-weights", place / "copy-of-one.pt")
    assert search_here(*again)[0] == 0
    sentence = refused(capfd, "search", *options(place, searched))
    assert PRETRAINED in sentence and "--backbone-weights FILE" in sentence
    sentence = refused(capfd, "search", *options(place, searched, "--backbone-weights", place / "other.pth"))
    assert read_backbone(place / "other.pth").sha256 in sentence


def test_train_wants_the_file_that_the_configuration_names(
    searched: Path, place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    best = SearchFolder(searched / "s").best_config
    train = ["train", "--config", best, "--data-root", place / "data", "--accept-modified-data", "--results", searched]
    one, other = (read_backbone(place / name).sha256 for name in ("one.pth", "other.pth"))
    sentence = refused(capfd, *train)
    assert "--backbone-weights FILE" in sentence and one in sentence
    sentence = refused(capfd, *train, "--backbone-weights", place / "other.pth")
    assert one in sentence and other in sentence
    assert main([str(word) for word in (*train, "--backbone-weights", place / "copy-of-one.pt")]) == 0
    assert "reused" in capfd.readouterr().out
    write_run(tmp_path / "plain.yaml", configured(None))
    plain = ["train", "--config", tmp_path / "plain.yaml", *train[3:]]
    sentence = refused(capfd, *plain, "--backbone-weights", place / "one.pth")
    assert one in sentence and "'none'" in sentence
    sentence = refused(capfd, *plain, f"--set={PRETRAINED}=resnet18.pth")
    assert "64 hex digits" in sentence


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("evil-was-here",)


def write_bad(kind: str, place: Path, file: Path) -> None:
    good = (place / "one.pth").read_bytes()
    state: dict[Any, Any] = torch.load(place / "one.pth", weights_only=True)
    if kind == "directory":
        file.mkdir()
    elif kind == "truncated":
        file.write_bytes(good[: len(good) // 2])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "text":
        file.write_text("<html>404 Not Found</html>")
    elif kind == "code":
        torch.save(Evil(), file)
    elif kind == "old pickle with code":
        file.write_bytes(pickle.dumps(Evil()))
    elif kind == "module":
        torch.save(resnet18(weights=None), file)
    elif kind == "resnet50":
        torch.save(resnet50(weights=None).state_dict(), file)
    elif kind == "checkpoint":
        torch.save({"state_dict": state, "epoch": 3}, file)
    elif kind == "list":
        torch.save(list(state.values()), file)
    elif kind == "number as name":
        torch.save({**state, 3: torch.zeros(1)}, file)
    elif kind == "nan":
        state["layer1.0.conv1.weight"][0] = float("nan")
        torch.save(state, file)
    elif kind == "shape":
        torch.save({**state, "conv1.weight": torch.zeros(64, 1, 7, 7)}, file)
    elif kind == "one missing":
        del state["layer3.0.bn1.weight"]
        torch.save(state, file)


BAD = {
    "missing": "no such file",
    "directory": "a folder; name a file",
    "truncated": "damaged",
    "empty": "damaged",
    "text": "not a file of torch.save",
    "code": "objects other than tensors",
    "old pickle with code": "not a file of torch.save",
    "module": "objects other than tensors",
    "resnet50": "not the weights of torchvision's ResNet-18",
    "checkpoint": "'state_dict' is a",
    "list": "holds a list",
    "number as name": "3 is a Tensor",
    "nan": "'layer1.0.conv1.weight' does not hold finite",
    "shape": "'conv1.weight' is (64, 1, 7, 7)",
    "one missing": "'layer3.0.bn1.weight' is missing",
}


@pytest.mark.parametrize("kind", BAD)
def test_unfit_file_is_refused_in_a_sentence_before_anything_is_written(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file, results = tmp_path / "bad.pth", tmp_path / "results"
    write_bad(kind, place, file)
    sentence = refused(capfd, "search", *options(place, results, "--backbone-weights", file))
    assert BAD[kind] in sentence and str(file) in sentence
    assert not results.exists() and not (tmp_path / "evil-was-here").exists()
    if kind == "code":
        write_run(tmp_path / "run.yaml", configured(place / "one.pth"))
        train = ["train", "--config", tmp_path / "run.yaml", "--results", results, "--backbone-weights", file]
        assert BAD[kind] in refused(capfd, *train)
        assert not results.exists() and not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--set=base.classifier.network=resnet18_cifar"], ["'resnet18_cifar'", "resnet18"]),
        (["--set=base.classifier.network={choice: [resnet18, resnet18_cifar]}"], ["network is searched"]),
        ([f"--set={PRETRAINED}={'b' * 64}"], ["b" * 64, "SHA-256 is"]),
        ([f"--set={PRETRAINED}=garbage"], ["garbage", "64 hex digits"]),
        ([f"--set={PRETRAINED}={{choice: [none, {'a' * 64}]}}"], ["a" * 64]),
        ([f"--set={PRETRAINED}={{log: [1, 2]}}"], ["no number"]),
        ([f"--set={PRETRAINED}=7"], ["7 is not allowed"]),
    ],
)
def test_weights_that_do_not_fit_the_space_are_refused(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], more: list[str], words: list[str]
) -> None:
    results = tmp_path / "results"
    sentence = refused(capfd, "search", *options(place, results, "--backbone-weights", place / "one.pth", *more))
    for word in words:
        assert word in sentence
    assert not results.exists()


def test_a_hash_without_a_file_is_refused(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for value in ("a" * 64, f"{{choice: [none, {'a' * 64}]}}"):
        sentence = refused(capfd, "search", *options(place, tmp_path / "r", f"--set={PRETRAINED}={value}"))
        assert "--backbone-weights FILE" in sentence and "a" * 64 in sentence
    with pytest.raises(TuneCLError, match="'small_cnn'"):
        tune_cl.configure("finetune", backbone_weights=place / "one.pth")


def test_whether_to_start_from_the_file_can_be_searched(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    choice = f"--set={PRETRAINED}={{choice: [none, {read_backbone(place / 'one.pth').sha256}]}}"
    more = ("--backbone-weights", place / "one.pth", choice, "--dry-run")
    assert main(["search", *options(place, tmp_path / "r", *more)]) == 0
    out = "".join(capfd.readouterr().out.split())
    assert "searched:3of" in out and f"none|{read_backbone(place / 'one.pth').sha256}" in out


def test_grey_images_are_told_before_anything_is_trained(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    more = ["--space=finetune", "--set=base.classifier.network=resnet18", "--set=base.classifier.width=64"]
    more += ["--backbone-weights", str(place / "one.pth"), "--results", str(tmp_path / "r")]
    sentence = refused(capfd, "search", *more)
    assert "'conv1.weight' is (64, 3, 7, 7), not (64, 1, 7, 7)" in sentence
    assert not (tmp_path / "r").exists()
