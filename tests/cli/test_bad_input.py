"""Whatever is wrong with a command is said in one sentence, with exit code 2, and nothing is left behind."""

import shutil
from pathlib import Path

import pytest
from search_cli import LAUNCH, run_side_by_side

from tune_cl.cli.main import main

SPACE = """
method: finetune
parameters:
  {entry}
scales:
  small28:
    budgets:
      quick: {{base.classifier.epochs: 1, increment.classifier.epochs: 1}}
"""


def complaint(capfd: pytest.CaptureFixture[str], argv: list[str]) -> str:
    """Run a command that must be refused, and return its sentence."""
    code = main(argv)
    out, err = capfd.readouterr()
    assert (code, out) == (2, ""), out + err
    assert err.startswith("tune-cl: "), err
    assert err.count("\n") == 1 and err.endswith("\n"), f"not one line: {err!r}"
    assert "Traceback" not in out + err
    return err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--space", "nowhere.yaml"], ["nowhere.yaml", "no such file"]),
        (["--space", "genifr"], ["genifr", "'genifer.yaml'"]),
        (["--space", "."], ["not a file"]),
        ([], ["--space FILE is missing"]),
        (["--space", "finetune", "--stream", "fashon-b4-t3"], ["fashon", "did you mean 'fashion'"]),
        (["--space", "finetune", "--stream", "fashion"], ["fashion", "-b"]),
        (["--space", "finetune", "--stream", "fashion-b4-t4"], ["cannot be cut", "t3"]),
        (["--space", "finetune", "--stream", "fashion-b10-t1"], ["b10 is impossible"]),
        (["--space", "finetune", "--stream", "cifar100-b50-t5"], ["--data-root"]),
        (["--space", "finetune", "--stream", "cifar100-b50-t5", "--data-root", "/no/such"], ["/no/such", "no such"]),
        (["--space", "finetune", "--download"], ["--data-root"]),
        (["--space", "finetune", "--gpus-per-trial", "1024"], ["--gpus-per-trial 1024"]),
        (["--space", "finetune", "--gpus-per-trial", "1.5"], ["--gpus-per-trial 1.5", "whole number"]),
        (["--space", "finetune", "--gpus-per-trial", "-1"], ["--gpus-per-trial -1"]),
        (["--space", "finetune", "--gpus-per-trial", "nan"], ["--gpus-per-trial nan"]),
        (["--space", "finetune", "--cpus-per-trial", "1000"], ["--cpus-per-trial 1000", "CPUs"]),
        (["--space", "finetune", "--trials", "0"], ["--trials 0", "at least 1"]),
        (["--space", "finetune", "--trials", "many"], ["--trials", "many"]),
        (["--space", "finetune", "--concurrency", "-2"], ["--concurrency -2", "at least 1"]),
        (["--space", "finetune", "--cpus-per-trial", "0"], ["--cpus-per-trial 0"]),
        (["--space", "finetune", "--time-limit", "soon"], ["--time-limit soon", "90s"]),
        (["--space", "finetune", "--time-limit", "0m"], ["--time-limit 0m", "above 0"]),
        (["--space", "finetune", "--trails", "3"], ["--trails", "'--trials'"]),
        (["--space", "finetune", "stray"], ["stray"]),
        (["--space", "finetune", "--trials"], ["--trials", "expected one argument"]),
        (["--space", "finetune", "--name", "../x"], ["'../x'", "folder name"]),
        (["--space", "finetune", "--name", "a/b"], ["'a/b'", "folder name"]),
        (["--space", "finetune", "--name", ".."], ["'..'", "folder name"]),
        (["--space", "finetune", "--name", ""], ["''", "folder name"]),
        (["--space", "finetune", "--name", "stages"], ["stages", "another name"]),
        (["--space", "finetune", "--sampler", "tpee"], ["'tpee'", "'tpe'"]),
        (["--space", "finetune", "--scheduler", "halvng"], ["'halvng'", "'halving'"]),
        (["--space", "finetune", "--objective", "val/acuracy"], ["'val/acuracy'", "'val/accuracy'"]),
        (["--space", "finetune", "--objective", "test/accuracy"], ["'test/accuracy'", "no search reads"]),
        (
            ["--space", "finetune", "--objective", "val/accuracy + val/forgetting"],
            ["drives val/forgetting the wrong way"],
        ),
        (["--space", "finetune", "--objective", "memory/x"], ["finetune has no phase 'memory'", "classifier"]),
        (["--space", "finetune", "--sampler", "tpe(start=3)"], ["tpe has no option 'start'", "'startup'"]),
        (["--space", "finetune", "--sampler", "optuna:GridSampler"], ["--sampler: ", "GridSampler cannot search here"]),
        (["--space", "finetune", "--sampler", "optuna:BruteForceSampler"], ["--sampler: ", "is continuous"]),
        (["--space", "finetune", "--scheduler", "halving(factor=1)"], ["factor", "greater than or equal to 2"]),
        (["--space", "finetune", "--objective", "val/nme/accuracy"], ["no nearest-mean read-out", "'val/accuracy'"]),
        (["--space", "finetune", "--budget", "quik"], ["'quik'", "'quick'"]),
        (["--space", "finetune", "--protocol", "first_9"], ["first_9", "last increment is 3"]),
        (["--space", "finetune", "--protocol", "frist_2"], ["frist_2"]),
        (["--space", "finetune", "--set", "nonsense"], ["--set nonsense", "path=value"]),
        (
            ["--space", "finetune", "--set", "increment.classifier.learning_rat=1"],
            ["learning_rat", "'increment.classifier.learning_rate'"],
        ),
        (["--space", "finetune", "--set", "increment.classifier.epochs=some"], ["increment.classifier.epochs", "some"]),
        (["--space", "finetune", "--set", "increment.classifier.learning_rate=1e9"], ["1000000000.0", "10"]),
        (
            ["--space", "finetune", "--set", "increment.classifier.learning_rate={log: [1e-2, 1e-4]}"],
            ["increment.classifier.learning_rate", "reversed"],
        ),
        (["--space", "finetune", "--set", "increment.classifier.learning_rate={log: [1"], ["line 1"]),
        (["--space", "finetune", "--class-order", "3,1,x"], ["--class-order 3,1,x"]),
        (["--space", "finetune", "--class-order", "numpy-1994"], ["'numpy-1993'"]),
        (["--space", "finetune", "--class-order", "0,1,2"], ["class_order", "left out"]),
        (["--space", "finetune", "--wandb-mode", "offlin"], ["offlin", "'offline'"]),
        (["--space", "finetune", "--storage", "study.db"], ["--storage study.db", "sqlite:///"]),
        (["--space", "finetune", "--storage", "sqlite:////no/such/place/s.db"], ["/no/such/place"]),
        (
            ["--space", "il_baseline", "--set", "increment.classifier.sampler=class_balanced"],
            ["il_baseline.yaml with --set increment.classifier.sampler:", "class_balanced"],
        ),
        (["--space", "finetune", "--train-seed", "-1"], ["--train-seed -1", "at least 0"]),
        (["--space", "finetune", "--search-seed=-2"], ["--search-seed -2", "at least 0"]),
        (["--space", "finetune", "--order-seed", "-1", "--dry-run"], ["--order-seed -1", "at least 0"]),
        (["--space", "finetune", "--split-seed", "-1"], ["--split-seed -1", "at least 0"]),
        (["--space", "genifer", "--set", "base.generator.start_size=5"], ["start_size", "28 pixels"]),
        (["--space", "genifer", "--dry-run", "--set", "base.generator.start_size=5"], ["start_size", "28 pixels"]),
    ],
    ids=lambda value: " ".join(value)[-60:] if isinstance(value, list) else None,
)
def test_bad_option_is_refused_in_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str], words: list[str]
) -> None:
    results = tmp_path / "results"
    sentence = complaint(capfd, ["search", *options, "--results", str(results)])
    for word in words:
        assert word in sentence
    assert not results.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("- a list\n", ["a list"]),
        ("method: [", ["line"]),
        ("metod: finetune\n", ["metod", "'method'"]),
        (SPACE.format(entry="increment.classifier.learning_rte: 1"), ["'increment.classifier.learning_rate'"]),
        (SPACE.format(entry="increment.classifier.learning_rate: {log: [1e-2, 1e-3]}"), ["learning_rate"]),
        (SPACE.format(entry="increment.classifier.learning_rate: {log: [1e-3, 1e3]}"), ["learning_rate", "10"]),
        (SPACE.format(entry="increment.classifier.learning_rate: {lgo: [1e-3, 1e-2]}"), ["'log'"]),
        (SPACE.format(entry="increment.classifier.weight_decay: 1e-3").replace("finetune", "finetun"), ["'finetune'"]),
        (SPACE.format(entry="increment.classifier.weight_decay: 1e-3").replace("small28", "smal28"), ["small28"]),
    ],
)
def test_bad_space_file_is_refused_with_its_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, words: list[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    results = tmp_path / "results"
    sentence = complaint(capfd, ["search", "--space", str(file), "--results", str(results)])
    for word in ["mine.yaml" if "finetun\n" not in text else "finetun", *words]:
        assert word in sentence
    assert not results.exists()


def test_what_a_space_file_has_wrong_by_itself_is_not_blamed_on_an_option(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    bad = "increment.classifier.loss: posthoc\n  increment.classifier.sampler: class_balanced"
    file.write_text(SPACE.format(entry=bad).replace("finetune", "il_baseline"))
    options = ["--set", "increment.classifier.epochs=2", "--results", str(tmp_path / "results")]
    sentence = complaint(capfd, ["search", "--space", str(file), *options])
    assert "mine.yaml: the default configuration" in sentence and "--set" not in sentence
    mended = ["--set", "increment.classifier.sampler=shuffled", "--dry-run"]
    assert main(["search", "--space", str(file), *options, *mended]) == 0


def test_wrong_data_files_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    (data / "cifar-100-binary").mkdir(parents=True)
    (data / "cifar-100-binary" / "train.bin").write_bytes(b"no pictures" * 1000)
    options = ["--space", "finetune", "--stream", "cifar100-b50-t5", "--data-root", str(data)]
    sentence = complaint(capfd, ["search", *options, "--results", str(tmp_path / "results")])
    assert "train.bin" in sentence
    assert not (tmp_path / "results").exists()


def test_results_and_stages_that_cannot_be_folders_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    sentence = complaint(capfd, ["search", "--space", "finetune", "--results", str(file)])
    assert "cannot be made" in sentence and str(file) in sentence
    assert file.read_text() == "mine"


def test_address_without_a_cluster_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    for address in ("127.0.0.1:1", "not an address"):
        sentence = complaint(capfd, ["search", "--space", "finetune", "--results", str(results), "--address", address])
        assert f"--address {address}" in sentence and "ray start" in sentence
    assert not results.exists()


def test_unknown_command_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert "'search'" in complaint(capfd, ["serch"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config", "nowhere.yaml"], ["nowhere.yaml", "no such file"]),
        ([], ["--config"]),
        (["--config", "{config}", "--set", "increment.classifier.epoch=1"], ["'increment.classifier.epochs'"]),
        (["--config", "{config}", "--set", "increment.classifier.epochs={int: [1, 3]}"], ["epochs"]),
        (
            ["--config", "{config}", "--set", "base.classifier.epochs=2", "--set", "base.classifier.pretrained=x"],
            ["config.yaml with --set base.classifier.epochs and --set base.classifier.pretrained", "SHA-256"],
        ),
        (["--config", "{config}", "--train-seed", "-1"], ["--train-seed -1", "at least 0"]),
        (["--config", "{config}", "--stages", "{config}"], ["--stages", "cannot be made"]),
        (["--config", "{config}", "--output", "{config}"], ["--output", "cannot be made"]),
    ],
)
def test_bad_train_command_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str], words: list[str]
) -> None:
    config = tmp_path / "config.yaml"
    write_default(config)
    argv = [option.replace("{config}", str(config)) for option in options]
    sentence = complaint(capfd, ["train", "--results", str(tmp_path / "results"), *argv])
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("weight_decay:", "weight_decai:", ["base.classifier.weight_decai: unknown", "'weight_decay'"]),
        ("  increment:", "  incremnt:", ["incremnt: unknown", "'increment'"]),
        ("train_seed:", "trian_seed:", ["trian_seed: unknown", "'train_seed'"]),
        ("method: finetune", "metod: finetune", ["metod: unknown", "'method'"]),
        ("method: finetune", "method: finetun", ["method: 'finetun' is unknown", "'finetune'"]),
        ("name: fashion", "nmae: fashion", ["stream.nmae: unknown", "'name'"]),
        ("fashion-b4-t3", "fashon-b4-t3", ["'fashon'", "'fashion'"]),
        ("horizon: 3", "horizon: 7", ["horizon: 7", "fashion-b4-t3 is 3"]),
        ("horizon: 3", "", ["horizon: missing"]),
        ("schema_version: 2", "schema_version: 9", ["written by a newer tune_cl", "schema_version 9"]),
        ("epochs: ", "epochs: many #", ["base.classifier.epochs", "valid integer"]),
        ("epochs: ", "epochs: -", ["base.classifier.epochs", "greater than or equal to 1"]),
    ],
)
def test_hand_edited_configuration_is_refused_before_anything_is_printed_or_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], old: str, new: str, words: list[str]
) -> None:
    config, folders = tmp_path / "config.yaml", [tmp_path / "results", tmp_path / "output"]
    write_default(config)
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new, 1))
    options = ["--results", str(folders[0]), "--output", str(folders[1])]
    sentence = complaint(capfd, ["train", "--config", str(config), *options])
    for word in ["config.yaml", *words]:
        assert word in sentence
    assert list(tmp_path.iterdir()) == [config]


def test_space_file_is_told_from_a_configuration(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(SPACE.format(entry="increment.classifier.weight_decay: 1e-3"))
    sentence = complaint(capfd, ["train", "--config", str(file)])
    assert "mine.yaml: a space file" in sentence and "search --space" in sentence


def test_truncated_configuration_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    write_default(config)
    whole = config.read_text()
    config.write_text(whole[: whole.index("budget:") + len("budget: q")])
    assert "does not end with a line break" in complaint(capfd, ["train", "--config", str(config)])
    config.write_text("".join(whole.splitlines(keepends=True)[:-3]))
    assert "parameters.increment.classifier." in complaint(capfd, ["train", "--config", str(config)])


def test_scripts_say_the_same_and_end_with_2(tmp_path: Path) -> None:
    """The same through the real scripts: exit code, one line on stderr, nothing on disk."""
    bad_search = [LAUNCH / "search.py", "--space", "finetune", "--name", "../x"]
    bad_train = [LAUNCH / "train.py", "--config", "nowhere.yaml"]
    for done in run_side_by_side(bad_search, bad_train, cwd=tmp_path):
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert list(tmp_path.iterdir()) == []


def write_default(path: Path) -> None:
    """A trial's configuration file."""
    import tune_cl
    from tune_cl.records import write_yaml

    write_yaml(path, tune_cl.configure("finetune"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written to the current folder goes nowhere that matters."""
    folder = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(folder)
    yield
    assert not (folder / "results").exists()
    shutil.rmtree(folder)
