"""The methods in examples/methods learn: a chain of each on real images, in this process."""

from pathlib import Path

import pytest

import tune_cl
from tune_cl.records import IncrementRow

METHODS = Path(__file__).parents[2] / "examples" / "methods"
SMALL = {"base.classifier.epochs": 2, "base.classifier.width": 8, "increment.classifier.epochs": 2}


def last_row(space: Path | str, stages: Path, plugins: list[str]) -> IncrementRow:
    run = tune_cl.configure(space, stream="fashion-b4-t3", budget="quick", overrides=SMALL, plugins=plugins)
    return tune_cl.run_chain(run, stages=stages, plugins=plugins)[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in METHODS.glob("*.py")))
def test_it_forgets_less_than_fine_tuning(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(METHODS)
    row = last_row(METHODS / f"{name}.yaml", tmp_path, [name])
    forgetful = last_row("finetune.yaml", tmp_path, [])
    assert row.metrics["val/accuracy_old"] > forgetful.metrics["val/accuracy_old"] + 0.1
    assert row.metrics["val/accuracy_new"] > 0.3
