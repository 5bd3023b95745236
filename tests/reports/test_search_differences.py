"""Whether a difference is told from noise: by pairs, by Welch, or not at all."""

from pathlib import Path

import numpy as np
import pytest
from made_searches import evaluation, made
from scipy import stats

from tune_cl.records import EvaluationSummary
from tune_cl.reports import Difference, compare, statistic
from tune_cl.reports._differences import welch

PLACES = [(order, seed) for order in (1001, 1002, 1003) for seed in (1001, 1002)]


def told(tmp_path: Path, a: EvaluationSummary | None, b: EvaluationSummary | None, **changes: str) -> Difference:
    searches = [
        made(tmp_path / "a", {0: 0.5, 1: 0.7}, method="genifer", evaluation=a, **changes),
        made(tmp_path / "b", {0: 0.5, 1: 0.6}, method="lwf", evaluation=b, **changes),
    ]
    return next(d for d in compare(searches).differences if d.second != "default")


def scores(
    shift: float, noise: float, seed: int, places: list[tuple[int, int]] = PLACES
) -> dict[tuple[int, int], float]:
    generator = np.random.default_rng(seed)
    return {place: 0.6 + shift + noise * generator.standard_normal() for place in places}


@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (10, 4)])
def test_welch_interval_is_that_of_scipy(sizes: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    a, b = (list(generator.normal(0.5, scale, size)) for scale, size in zip((0.1, 0.3), sizes, strict=True))
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert welch(a, b) == pytest.approx((expected.low, expected.high))


def test_welch_needs_two_values_on_each_side_and_bears_equal_ones() -> None:
    assert welch([0.5], [0.4, 0.3]) == (None, None)
    assert welch([0.5, 0.5], [0.25, 0.25]) == (0.25, 0.25)


def test_equal_runs_are_paired_by_class_order_and_seed(tmp_path: Path) -> None:
    hard = {1001: 0.0, 1002: 0.2, 1003: -0.2}  # what an order does to both cancels in the pairs
    a = {place: value + hard[place[0]] for place, value in scores(0.05, 0.002, 1).items()}
    b = {place: value + hard[place[0]] for place, value in scores(0.0, 0.002, 2).items()}
    difference = told(tmp_path, evaluation(a), evaluation(dict(reversed(b.items()))))
    expected = statistic([a[place] - b[place] for place in PLACES], [order for order, _ in PLACES])
    assert difference.basis == "paired" and difference.over == "class orders"
    assert (difference.mean, difference.low, difference.high) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    assert difference.verdict == "real"
    assert "genifer is better" in difference.sentence and f"{expected.mean:+.4f}" in difference.sentence


def test_runs_of_the_same_class_orders_are_paired_by_order_whatever_their_seeds(tmp_path: Path) -> None:
    hard = {1001: 0.0, 1002: 0.2, 1003: -0.2}
    a = {place: value + hard[place[0]] for place, value in scores(0.05, 0.002, 1).items()}
    b = {(o, 7): value + hard[o] for (o, _), value in scores(0.0, 0.002, 2, [(o, 7) for o in hard]).items()}
    difference = told(tmp_path, evaluation(a), evaluation(b))
    gaps = [np.mean([a[order, 1001], a[order, 1002]]) - b[order, 7] for order in hard]
    expected = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
    assert (difference.basis, difference.over, difference.verdict) == ("paired", "class orders", "real")
    assert (difference.mean, difference.low, difference.high) == pytest.approx(
        (np.mean(gaps), expected.low, expected.high)
    )
    assert "paired by class order;" in difference.sentence


def test_unequal_runs_are_compared_by_welch_over_class_orders(tmp_path: Path) -> None:
    a, b = scores(0.0, 0.05, 1), scores(0.0, 0.05, 2, [(order, 1001) for order in (1001, 1002, 1004, 1005)])
    difference = told(tmp_path, evaluation(a), evaluation(b))
    means = [np.mean([a[order, seed] for seed in (1001, 1002)]) for order in (1001, 1002, 1003)]
    expected = stats.ttest_ind(means, list(b.values()), equal_var=False).confidence_interval(0.95)
    assert difference.basis == "welch" and difference.over == "class orders"
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
    assert difference.verdict == "within noise" and ": within noise" in difference.sentence


def test_a_single_class_order_gives_an_interval_over_its_seeds(tmp_path: Path) -> None:
    a = scores(0.3, 0.01, 1, [(1001, seed) for seed in (1, 2, 3)])
    b = scores(0.0, 0.01, 2, [(1001, seed) for seed in (1, 2)])
    difference = told(tmp_path, evaluation(a), evaluation(b))
    assert difference.over == "seeds" and difference.verdict == "real"
    assert "Welch, since they were evaluated on other seeds; interval over seeds" in difference.sentence


@pytest.mark.parametrize("orders", [(1001, 1002, 1003), (1004,)])
def test_one_class_order_against_others_cannot_be_told_from_noise(tmp_path: Path, orders: tuple[int, ...]) -> None:
    a = scores(0.3, 0.01, 1, [(1001, seed) for seed in (1, 2, 3)])
    b = scores(0.0, 0.01, 2, [(order, seed) for order in orders for seed in (1, 2)])
    difference = told(tmp_path, evaluation(a), evaluation(b))
    assert difference.verdict == "unknown" and difference.low is None
    assert "unequal class orders, one of the two on a single one" in difference.sentence


def test_pairs_of_a_single_class_order_are_not_said_to_be_over_class_orders(tmp_path: Path) -> None:
    """As when an evaluation is interrupted in the middle of the default's runs."""
    chosen = scores(0.3, 0.01, 1)
    default = scores(0.0, 0.01, 2, [(1001, 1001), (1001, 1002)])
    found = evaluation(chosen, {place: default.get(place, 0.0) for place in chosen})
    half = found.configurations[1].model_copy(
        update={"runs": [f"trial-0000-seed-1001-train-{s}" for s in (1001, 1002)]}
    )
    found = found.model_copy(update={"configurations": [found.configurations[0], half]})
    [difference] = compare([made(tmp_path / "a", {0: 0.5, 1: 0.7}, evaluation=found)]).differences
    assert difference.over == "seeds"


def test_a_single_run_of_each_cannot_be_told_from_noise(tmp_path: Path) -> None:
    difference = told(tmp_path, evaluation({(1001, 1): 0.9}), evaluation({(1001, 1): 0.1}))
    assert difference.verdict == "unknown" and difference.low is None
    assert "cannot be told from noise" in difference.sentence


@pytest.mark.parametrize("evaluated", [True, False])
def test_without_both_evaluations_a_difference_is_not_told_from_noise(tmp_path: Path, evaluated: bool) -> None:
    a = evaluation(scores(0.5, 0.01, 1)) if evaluated else None
    difference = told(tmp_path, a, None)
    assert difference.basis == "none" and difference.verdict == "unknown" and difference.low is None
    assert difference.mean == pytest.approx(0.1) and difference.metric.startswith("val/")
    assert ("lwf is not evaluated" if evaluated else "genifer and lwf are not evaluated") in difference.sentence


def test_where_less_is_better_the_lower_one_is(tmp_path: Path) -> None:
    a, b = scores(0.3, 0.01, 1), scores(0.0, 0.01, 2)
    difference = told(tmp_path, evaluation(a, direction="min"), evaluation(b, direction="min"), direction="min")
    assert difference.verdict == "real" and "lwf is better" in difference.sentence


def test_different_test_data_are_not_compared(tmp_path: Path) -> None:
    a = evaluation(scores(0.3, 0.01, 1), test_fingerprint="a" * 64)
    difference = told(tmp_path, a, evaluation(scores(0.0, 0.01, 2)))
    assert difference.verdict == "unknown" and "different test data" in difference.sentence


def test_gain_over_the_default_is_the_evaluations_own(tmp_path: Path) -> None:
    found = evaluation(scores(0.3, 0.01, 1), scores(0.0, 0.01, 2))
    search = made(tmp_path / "a", {0: 0.5, 1: 0.7}, evaluation=found)
    [difference] = compare([search]).differences
    assert found.difference is not None
    assert difference.mean == found.difference[found.objective].mean
    assert difference.second == "default" and ": a gain" in difference.sentence


def test_an_evaluation_of_an_earlier_choice_and_missing_runs_are_noted(tmp_path: Path) -> None:
    found = evaluation(
        scores(0.3, 0.01, 1), trial=2, missing={"trial-0002-seed-1003-train-1": "not run"}, held_out=False
    )
    notes = "\n".join(compare([made(tmp_path / "a", {0: 0.5, 1: 0.7, 2: 0.6}, evaluation=found)]).notes)
    assert "evaluation is of trial 0002" in notes and "it is trial 0001" in notes
    assert "1 runs of the evaluation have no result" in notes and "class order of the search" in notes
