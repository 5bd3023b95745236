"""A data set from a plug-in: one file outside the package, for search, evaluation and scripts."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from search_cli import LAUNCH, environment, here, run, search

import tune_cl
from tune_cl.errors import TuneCLError
from tune_cl.streams import DATASETS

STRIPES = '''
import numpy as np
from tune_cl.streams import Dataset, Preprocessing, RawImages


def _images(seed, n):
    """Stripes in one of four directions, in noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    y, x = np.mgrid[:16, :16]
    waves = np.stack([np.sin(2 * np.pi * (x * a + y * b) / 16) for a, b in ((4, 0), (0, 4), (3, 3), (3, -3))])
    images = 127 + 80 * waves[labels] + rng.normal(0, 30, (n, 16, 16))
    return RawImages(images.clip(0, 255).astype(np.uint8)[:, None], labels, ("east", "north", "rising", "falling"))


def read(dataset, data_root, accept_modified_data):
    return _images(0, 120)


def read_test(dataset, data_root, accept_modified_data):
    return _images(1, 40)


DATASET = Dataset(
    "stripes", 4, (1, 16, 16), "small28", "data_root", 0.2, Preprocessing((0.5,), (0.25,), 2, flip=False), reader=read
)
TEST_READER = read_test
'''
CHEAP = (
    *(f"--set={part}.classifier.epochs=3" for part in ("base", "increment")),
    *(f"--set={part}.classifier.batch_size=16" for part in ("base", "increment")),
    "--set=base.classifier.width=4",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with the plug-in; afterwards this process does not know its data set any more."""
    (tmp_path / "my_stripes.py").write_text(STRIPES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(DATASETS, "_members", dict(DATASETS._members))
    monkeypatch.setattr(DATASETS, "_origins", dict(DATASETS._origins))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


@pytest.mark.ray
@pytest.mark.slow
def test_a_plug_ins_data_set_is_searched_and_evaluated(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    places = {"cwd": folder, "env": environment(PYTHONDONTWRITEBYTECODE="1")}
    options = ("--plugin=my_stripes", "--stream=stripes-b2-t2", "--trials=2", "--concurrency=1", "--name=s")
    searched = search("--space=finetune", *options, *CHEAP, **places)
    assert searched.returncode == 0, searched.stdout + searched.stderr
    common = ("--orders=1", "--seeds=1", "--concurrency=1", "--plugin=my_stripes")
    evaluated = run([LAUNCH / "evaluate.py", "s", *common], **places)
    assert evaluated.returncode == 0, evaluated.stdout + evaluated.stderr
    [rows] = folder.glob("results/s/evaluation/runs/*/increments.jsonl")
    assert '"images_scored":[20,10,10]' in rows.read_text()


def test_a_plug_ins_data_set_is_listed_and_runs_in_a_script(folder: Path) -> None:
    code, said = here("search", "--list", "--plugin=my_stripes")
    assert code == 0 and "stripes" in said and "my_stripes" in said
    changes = {
        f"{part}.classifier.{name}": value
        for part in ("base", "increment")
        for name, value in (("epochs", 1), ("batch_size", 32))
    }
    run = tune_cl.configure(
        "finetune", stream="stripes-b2-t1", plugins=["my_stripes"], overrides={**changes, "base.classifier.width": 4}
    )
    rows = tune_cl.run_chain(run, stages=folder / "stages", plugins=["my_stripes"])
    assert [len(row.accuracy_row) for row in rows] == [1, 2] and rows[1].images_scored == [12, 12]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"stripes", 4', '"fashion", 4', "data set 'fashion': there is another data set of that name"),
        ('"stripes", 4', '"my-stripes", 4', "data set 'my-stripes': unfit as a name"),
        ("reader=read\n", "\n", "data set 'stripes': has no reader"),
        ("(0.5,), (0.25,)", "(0.5, 0.5), (0.25,)", "image_shape, mean and std are not of equally many channels"),
        ('"stripes", 4', '"stripes", 1', "has 1 classes, but a stream needs at least 2"),
        ("DATASET = Dataset(", "DATASET = str(Dataset)\nNONE = Dataset(", "DATASET holds a str, not a tune_cl"),
        ("DATASET = Dataset(", "DATASETS = Dataset(", "DATASETS is a Dataset; write a list"),
        (
            "DATASET = Dataset(",
            "DATASETS = [1]\nNONE = Dataset(",
            "DATASETS holds a int, not a tune_cl.streams.Dataset",
        ),
    ],
)
def test_a_data_set_that_cannot_be_is_refused_in_a_sentence(folder: Path, old: str, new: str, complaint: str) -> None:
    name = f"my_{abs(hash(complaint))}"
    assert old in STRIPES
    (folder / f"{name}.py").write_text(STRIPES.replace(old, new))
    with pytest.raises(TuneCLError) as caught:
        tune_cl.configure("finetune", plugins=[name])
    assert complaint in str(caught.value) and "\n" not in str(caught.value)


def test_a_data_set_without_test_reader_can_be_searched_and_not_tested_on(folder: Path) -> None:
    from tune_cl.heldout import open_test_set
    from tune_cl.plugins import load_plugins

    (folder / "my_half.py").write_text(STRIPES.replace("TEST_READER = read_test\n", ""))
    load_plugins(["my_half"])
    with pytest.raises(TuneCLError, match=r"^stripes: nothing reads its test images; define TEST_READER in my_half"):
        open_test_set(DATASETS["stripes"])
