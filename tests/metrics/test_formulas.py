"""The metrics on an example worked out by hand, and what is refused as one."""

import math

import pytest

from tune_cl.errors import TuneCLError
from tune_cl.metrics import METRICS, Metric, Scored, measure, possible_range, register_metric

# R[t, i] over three increments with 40, 20 and 10 validation images.
ROWS = [[0.9], [0.6, 0.8], [0.7, 0.4, 0.5]]
COUNTS = [40, 20, 10]


def test_metrics_of_a_worked_example():
    found = measure(Scored(ROWS, COUNTS))
    after = [0.9, (36 - 12 + 16) / 60, (28 + 8 + 5) / 70]  # 0.9, 40 of 60, 41 of 70 right
    expected = {
        "accuracy": 41 / 70,
        "average_incremental_accuracy": sum(after) / 3,
        "average_incremental_accuracy_excl_base": (after[1] + after[2]) / 2,
        "accuracy_old": 36 / 60,
        "accuracy_new": 0.5,
        # Best so far minus now: 0.9 - 0.7 (not 0.6 - 0.7), 0.8 - 0.4.
        "forgetting": (0.2 + 0.4) / 2,
        # Now minus when it was learnt: 0.7 - 0.9, 0.4 - 0.8.
        "backward_transfer": (-0.2 - 0.4) / 2,
    }
    assert found == pytest.approx(expected)


def test_forgetting_takes_the_best_of_all_earlier_increments_but_not_the_current_one():
    rows = [[0.5], [0.8, 0.9], [0.95, 0.9, 0.7]]
    found = measure(Scored(rows, [10, 10, 10]))
    assert found["forgetting"] == pytest.approx(((0.8 - 0.95) + 0.0) / 2)  # it can be negative
    assert found["backward_transfer"] == pytest.approx((0.45 + 0.0) / 2)


def test_at_the_base_task_nothing_is_old():
    assert measure(Scored([[0.75]], [8])) == {
        "accuracy": 0.75,
        "average_incremental_accuracy": 0.75,
        "accuracy_new": 0.75,
        "average_incremental_accuracy_excl_base": None,
        "accuracy_old": None,
        "forgetting": None,
        "backward_transfer": None,
    }


def test_random_rows_give_metrics_within_their_ranges() -> None:
    import random

    rng = random.Random(0)
    for t in range(1, 6):
        rows = [[rng.random() for _ in range(s + 1)] for s in range(t + 1)]
        for name, value in measure(Scored(rows, [rng.randint(1, 50) for _ in range(t + 1)])).items():
            low, high = possible_range(f"val/nme/{name}")
            assert value is not None and low <= value <= high


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METRICS, "_members", dict(METRICS._members))


@pytest.mark.usefixtures("registry")
def test_a_metric_of_ones_own_is_measured_beside_the_others() -> None:
    worst = Metric("accuracy_worst", lambda scored: min(scored.rows[-1]), "accuracy on the worst increment")
    register_metric(worst)
    register_metric(worst)
    assert measure(Scored(ROWS, COUNTS))["accuracy_worst"] == 0.4
    register_metric(Metric("gained", lambda scored: scored.rows[-1][0] - scored.rows[-2][0], "", defined_at_base=False))
    assert measure(Scored([[0.75]], [8]))["gained"] is None


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (Metric("accuracy", len, "x"), "another metric of that name"),
        (Metric("Accuracy worst", len, "x"), "unfit as a name"),
        (Metric("worst", len, "x", "up"), "'up' is neither 'max' nor 'min'"),  # type: ignore[arg-type]
        (Metric("worst", None, "x"), "is no function"),
    ],
)
def test_an_unfit_metric_is_refused(metric: Metric, words: str) -> None:
    with pytest.raises(TuneCLError, match=words):
        register_metric(metric)


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(("formula", "words"), [(lambda s: 1 / 0, "ZeroDivisionError"), (lambda s: math.nan, "nan")])
def test_a_formula_that_fails_is_named(formula: object, words: str) -> None:
    register_metric(Metric("bad", formula, "x"))  # type: ignore[arg-type]
    with pytest.raises(TuneCLError, match=f"metric 'bad': its formula .*{words}"):
        measure(Scored(ROWS, COUNTS))
