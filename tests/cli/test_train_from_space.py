"""`train --space`: the default of a space, without a search and without a file of a search."""

from pathlib import Path

import pytest
from search_cli import CHEAP, here

import tune_cl
from tune_cl.records import TrialFolder

OVERRIDES = dict(word.removeprefix("--set=").split("=") for word in CHEAP)


def test_it_trains_what_configure_makes(tmp_path: Path) -> None:
    places = [f"--stages={tmp_path / 'stages'}", f"--output={tmp_path / 'out'}"]
    code, said = here("train", "--space=finetune", "--stream=fashion-b8-t1", *CHEAP, "--train-seed=3", *places)
    assert code == 0, said
    overrides = {path: int(value) for path, value in OVERRIDES.items()}
    run = tune_cl.configure("finetune", stream="fashion-b8-t1", overrides=overrides, train_seed=3)
    rows = tune_cl.run_chain(run, stages=tmp_path / "stages")
    assert [row.comparable() for row in TrialFolder(tmp_path / "out").rows()] == [row.comparable() for row in rows]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "neither is given"),
        (["--space=finetune", "--config=c.yaml"], "both are given"),
        (["--config=c.yaml", "--budget=quick"], "--budget quick: goes with --space"),
        (["--space=finetun"], "did you mean 'finetune.yaml'"),
        (["--space=finetune", "--stream=fashon-b4-t3"], "did you mean 'fashion'"),
        (["--space=finetune", "--set=base.classifier.epoch=1"], "did you mean 'base.classifier.epochs'"),
        (["--space=finetune", "--set=base.classifier.epochs={int: [1, 3]}"], "base.classifier.epochs"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(options: list[str], words: str, tmp_path: Path) -> None:
    code, said = here("train", *options, f"--results={tmp_path / 'results'}")
    assert code == 2 and words in said and said.count("\n") == 1, said
    assert not (tmp_path / "results").exists()
