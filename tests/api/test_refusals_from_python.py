"""Whatever a script gives to a function of tune_cl that is wrong is one sentence: a `TuneCLError`, nothing else."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tune_cl
from tune_cl.errors import TuneCLError
from tune_cl.records import write_run

LONG = "n" * 300
ODD: list[Any] = [5, 1.5, True, b"bytes", object(), [], {}, ("a", 1), "", "a\0b", LONG, "n\udcffe", float("nan")]
NONE_ALLOWED = [*ODD, None]
NUMBERS: list[Any] = [-1, 1.5, True, "1", b"1", [], float("nan"), np.float64(2)]
PATHS: list[Any] = [5, True, b"bytes", object(), [], "", "a\0b", LONG, "n\udcffe", "~nobody-of-that-name/x"]
LISTS: list[Any] = ["mine", b"mine", 5, True, object(), [1], [None], ["no such module"], ["../x"], [""]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused leaves nothing in the current folder."""
    monkeypatch.chdir(tmp_path)


def refused(call: Callable[..., Any], *given: Any, **named: Any) -> str:
    """Call a function that must refuse; returns its sentence."""
    before = sorted(os.listdir())
    with pytest.raises(TuneCLError) as caught:
        call(*given, **named)
    said = str(caught.value)
    assert said and "\n" not in said and len(said) < 1200, said
    assert sorted(os.listdir()) == before
    return said


CONFIGURE: dict[str, list[Any]] = {
    "stream": [*ODD, "fashon-b4-t3"],
    "budget": ODD,
    "overrides": [5, True, "base.classifier.epochs=2", [1], {1: 2}, {"base.classifier.epoch": 2}, {"": 1}]
    + [{"base.classifier.epochs": value} for value in (None, [], {}, "many", -1, 1.5, 10**400, np.int64(2), object())],
    "train_seed": NUMBERS,
    "numerics": [5, "cpu", {"threads": 2}, tune_cl.Numerics],
    "backbone_weights": [*PATHS, "nowhere.pth", "."],
    "plugins": LISTS,
}
RUN_CHAIN: dict[str, list[Any]] = {
    "stages": [*PATHS, None, "run.yaml"],
    "data_root": PATHS,
    "accept_modified_data": [1, "yes", None],
    "loader_workers": NUMBERS,
    "backbone_weights": [*PATHS, "nowhere.pth"],
    "plugins": LISTS,
    "on_increment": [5, "print"],
}
TRAINABLE: dict[str, list[Any]] = {
    **{name: CONFIGURE[name] for name in ("stream", "budget", "overrides", "train_seed", "plugins")},
    **{name: RUN_CHAIN[name] for name in ("stages", "data_root", "accept_modified_data", "loader_workers")},
    "cpus": [*NUMBERS, 0],
    "gpus": [-1, "many", True, None, float("nan"), 1e9],
}


def test_space_that_is_none_is_refused() -> None:
    for space in (*PATHS, None, "genifr", "nowhere.yaml", Path("nowhere.yaml"), Path(), "."):
        refused(tune_cl.configure, space)
        refused(tune_cl.trainable, space)


@pytest.mark.parametrize("name", CONFIGURE)
def test_configure_refuses(name: str) -> None:
    for value in CONFIGURE[name]:
        refused(tune_cl.configure, "finetune", **{name: value})


@pytest.mark.parametrize("name", RUN_CHAIN)
def test_run_chain_refuses(name: str) -> None:
    write_run(Path("run.yaml"), tune_cl.configure("finetune"))
    for value in RUN_CHAIN[name]:
        refused(tune_cl.run_chain, "run.yaml", **{name: value})


@pytest.mark.parametrize("name", TRAINABLE)
def test_trainable_refuses(name: str) -> None:
    Path("run.yaml").touch()
    for value in TRAINABLE[name]:
        refused(tune_cl.trainable, "finetune", **{name: value})


def test_configuration_that_is_none_is_refused() -> None:
    for run in (*PATHS, None, "nowhere.yaml", "."):
        refused(tune_cl.run_chain, run)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"horizon": 7}, "horizon: 7"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": "many"}, "horizon"),
        ({"method": "finetun"}, "did you mean 'finetune'"),
        ({"parameters": {}}, "parameters.base.classifier.epochs: missing"),
        ({"parameters": 5}, "parameters"),
        ({"stream": "fashion-b4-t3"}, "stream"),
        ({"device": "tpu"}, "device"),
        ({"threads": -1}, "threads"),
    ],
)
def test_configuration_changed_by_a_script_is_checked_as_one_of_a_file(changed: dict[str, Any], words: str) -> None:
    run = tune_cl.configure("finetune").model_copy(update=changed)
    assert words in refused(tune_cl.run_chain, run)


def test_load_refuses() -> None:
    for search in (*PATHS, None, "nowhere", "nowhere/best/classifier.pt", "."):
        refused(tune_cl.load, search)


def test_paths_of_every_kind_are_taken(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: finetune.yaml\n")
    as_path, as_text = tune_cl.configure(tmp_path / "mine.yaml"), tune_cl.configure(str(tmp_path / "mine.yaml"))
    assert as_path == as_text == tune_cl.configure("finetune")
