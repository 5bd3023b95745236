"""Never training again, computed from a base row alone, is what the method `frozen` really gets: to the last bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_chains import chain_of, rows_of, run_config, tiny_stream

from tune_cl.chain import Chain
from tune_cl.evaluation._examination import Examined, TestExaminer
from tune_cl.outcome import accuracies_never_trained_again, achieved, never_trained_again
from tune_cl.records import NeverTrainedAgain
from tune_cl.store import StageStore
from tune_cl.streams import Stream

AVERAGE = "average_incremental_accuracy"
LEARNS = {"base.classifier.epochs": 6, "base.classifier.learning_rate": 0.05}


def uneven_stream() -> Stream:
    """The tiny stream with fewer images of some classes, so that increments differ in their number of images."""
    stream = tiny_stream()
    kept = zip(stream.class_order, (20, 15, 10, 15, 20, 20, 5, 10, 15, 15), strict=True)
    places = np.concatenate([np.flatnonzero(stream.raw_labels == label)[:n] for label, n in kept])
    return replace(stream, raw_images=stream.raw_images[places], raw_labels=stream.raw_labels[places])


def test_it_is_what_frozen_gets_after_every_increment_exactly(tmp_path: Path) -> None:
    stream = uneven_stream()
    of = {
        method: rows_of(Chain(run_config(method, LEARNS), stream, StageStore(tmp_path / "stages"), node="here"))
        for method in ("finetune", "frozen")
    }
    frozen, finetuned = of["frozen"], of["finetune"]
    images = finetuned[-1].images_scored
    assert images == [len(stream.validation(t).labels) for t in range(4)] and len(set(images)) > 2
    assert 0.3 < frozen[0].accuracy_row[0] < 1
    assert frozen[0].stages[0].origin == "reused", "the base task is finetune's"
    expected = accuracies_never_trained_again(finetuned[0].accuracy_row[0], images)
    assert [row.metrics["val/accuracy"] for row in frozen] == expected
    for t in (1, 2, 3):
        told = never_trained_again(finetuned[0].accuracy_row[0], images[: t + 1])
        assert told == {name: frozen[t].metrics[f"val/{name}"] for name in told}
        assert len(told) == 3
        assert frozen[t].metrics["val/forgetting"] == frozen[t].metrics["val/accuracy_new"] == 0
    assert finetuned[-1].metrics["val/accuracy"] != expected[-1]


def test_frozen_trains_nothing_after_its_base_task_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    chain = chain_of(run_config("frozen"), tmp_path / "stages")
    base = chain.advance().row
    before = chain.state()["classifier"].tensors
    later = [chain.advance().row for _ in range(3)]
    assert [row.stages for row in later] == [[], [], []] and all(not row.losses for row in later)
    assert {row.metrics["images_trained"] for row in (base, *later)} == {base.metrics["images_trained"]}
    after = chain.state()["classifier"].tensors
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert chain.classifier().shape.n_classes == 4
    assert [increment for increment, _, _ in chain.planned_keys()] == [0]
    again = rows_of(chain_of(run_config("frozen"), tmp_path / "stages"))
    assert [row.comparable() for row in again] == [row.comparable() for row in (base, *later)]


def test_on_test_data_it_counts_test_images(tmp_path: Path) -> None:
    """What an evaluation computes from the test accuracy of one method's base task is what `frozen` gets there."""
    merged = tiny_stream().merge(tiny_stream().class_order)
    examined = {}
    for method in ("lwf", "frozen"):
        run = run_config(method, LEARNS)
        chain = Chain(run, merged, StageStore(tmp_path / "stages"), node="here")
        states, rows = [], []
        while not chain.done:
            rows.append(chain.advance().row)
            states.append(chain.read_out_state())
        text = TestExaminer(None, False).examine(run, merged, states, rows)
        examined[method] = Examined.model_validate_json(text).rows
    lwf, frozen = examined["lwf"], examined["frozen"]
    assert lwf[-1].images_scored == [800, 400, 400, 400]
    found = achieved([row.metrics for row in lwf], lwf[0].accuracy_row, lwf[-1].images_scored, "test/accuracy")
    assert found.never_trained_again == {name: frozen[-1].metrics[f"test/{name}"] for name in found.never_trained_again}
    assert found.never_trained_again["accuracy"] == pytest.approx(lwf[0].accuracy_row[0] * 0.4)


def test_it_is_told_in_terms_of_the_objective_where_that_is_an_accuracy_over_all_classes() -> None:
    found = NeverTrainedAgain(trial=3, **never_trained_again(0.9, [40, 20, 20]))
    assert found.value("val/accuracy") == pytest.approx(0.45)
    assert found.value(f"val/{AVERAGE}") == pytest.approx((0.9 + 0.6 + 0.45) / 3)
    assert found.value(f"val/nme/{AVERAGE}_excl_base") == pytest.approx((0.6 + 0.45) / 2)
    for other in ("forgetting", "backward_transfer", "accuracy_new", "accuracy_old"):
        assert found.value(f"val/{other}") is None


def test_the_read_out_is_that_of_the_objective() -> None:
    metrics = [{"val/accuracy": 0.8, "val/nme/accuracy": 0.6}, {"val/accuracy": 0.5, "val/nme/accuracy": 0.4}]
    by_head, by_means = (
        achieved(metrics, [0.8], [10, 10], objective) for objective in (f"val/{AVERAGE}", f"val/nme/{AVERAGE}")
    )
    assert by_head.never_trained_again["accuracy"] == 0.4
    assert by_means.never_trained_again["accuracy"] == 0.3
    told = by_means.frozen(2, f"val/nme/{AVERAGE}")
    assert told is not None and told.nearest_mean and told.trial == 2


@pytest.mark.parametrize("images", [[], [10]])
def test_rows_that_do_not_say_how_many_images_were_scored_tell_nothing(images: list[int]) -> None:
    metrics = [{"val/accuracy": 0.8}, {"val/accuracy": 0.5}]
    found = achieved(metrics, [0.8], images, "val/accuracy")
    assert found.never_trained_again == {} and found.frozen(0, "val/accuracy") is None
