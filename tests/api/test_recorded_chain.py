"""A chain that no search ran is evaluated and compared like a search's choice."""

from pathlib import Path

import pytest

import tune_cl
from tune_cl import TuneCLError
from tune_cl.records import IncrementRow

pytestmark = pytest.mark.ray

SMALL = {
    "base.classifier.epochs": 1,
    "base.classifier.batch_size": 256,
    "base.classifier.width": 4,
    "increment.classifier.epochs": 1,
    "increment.classifier.batch_size": 256,
}


class Interrupted(Exception):
    """What ends a chain in these tests."""


@pytest.mark.slow
def test_an_interrupted_chain_resumes_in_its_folder_and_is_evaluated_and_compared(tmp_path: Path) -> None:
    run = tune_cl.configure("finetune", overrides=SMALL)
    places = {"stages": tmp_path / "stages", "output": tmp_path / "mine"}

    def interrupt(row: IncrementRow) -> None:
        if row.increment == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        tune_cl.run_chain(run, **places, on_increment=interrupt)
    assert [trial.state for trial in tune_cl.open_result(places["output"]).trials] == ["running"]
    rows = tune_cl.run_chain(run, **places)
    alone = tune_cl.run_chain(run, stages=tmp_path / "others")
    assert [row.comparable() for row in rows] == [row.comparable() for row in alone]

    result = tune_cl.open_result(places["output"])
    assert result.best.number == 0 and result.best.state == "finished"
    assert result.best.value == rows[-1].metrics["val/average_incremental_accuracy"]
    assert [found["val/accuracy"] for found in result.best.increments] == [row.metrics["val/accuracy"] for row in rows]
    assert len(tune_cl.load(result).class_names) == 10

    held_out = tune_cl.evaluate(result, orders=1, seeds=1, quiet=True)
    assert held_out.chosen.runs and 0 < held_out.chosen.metrics["test/accuracy"].mean < 1
    assert "Test data, after the last increment" in str(tune_cl.compare(result))
    assert tune_cl.run_chain(run, **places)[-1].comparable() == rows[-1].comparable()


def test_another_chain_is_refused_in_the_same_folder(tmp_path: Path) -> None:
    places = {"stages": tmp_path / "stages", "output": tmp_path / "mine"}
    tune_cl.run_chain(tune_cl.configure("finetune", stream="fashion-b8-t1", overrides=SMALL), **places)
    other = tune_cl.configure("finetune", stream="fashion-b8-t1", overrides=SMALL, train_seed=1)
    with pytest.raises(TuneCLError, match=r"holds a search with another definition \(seeds: train was 0, is 1\)"):
        tune_cl.run_chain(other, **places)
    with pytest.raises(TuneCLError, match="the folder of stages; name another"):
        tune_cl.run_chain(other, stages=tmp_path / "stages", output=tmp_path / "stages")
