"""The expected best after n trials, and the best so far: against enumeration and simulation."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from made_searches import IMAGES, made

from tune_cl.reports import expected_maximum
from tune_cl.reports._budget import best_so_far, expected_best

NEVER = -np.inf


def enumerated(values: list[float], draws: int, floor: float | None) -> float:
    """The mean over every possible sequence of draws; without a floor, over those that have a best."""
    maxima = [max(drawn, default=NEVER) for drawn in product(values, repeat=draws)]
    maxima = [max(best, NEVER if floor is None else floor) for best in maxima]
    return float(np.mean([best for best in maxima if best > NEVER] or [np.nan]))


@pytest.mark.parametrize("floor", [None, 0.35, 0.9])
@pytest.mark.parametrize("draws", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "values", [[0.5], [0.2, 0.7, 0.4], [0.3, 0.3, 0.8, 0.1], [0.6, NEVER, NEVER], [0.2, NEVER, 0.5, 0.5, NEVER]]
)
def test_expectation_equals_the_mean_over_every_sequence_of_draws(
    values: list[float], draws: int, floor: float | None
) -> None:
    assert expected_maximum(np.array(values), draws, floor) == pytest.approx(
        enumerated(values, draws, floor), abs=1e-12
    )


def test_without_anything_that_could_be_the_best_there_is_no_expectation_but_the_floor() -> None:
    assert np.isnan(expected_maximum(np.array([NEVER, NEVER]), 3))
    assert np.isnan(expected_maximum(np.array([]), 3))
    assert expected_maximum(np.array([NEVER, NEVER]), 3, floor=0.4) == 0.4
    assert expected_maximum(np.array([0.9]), 0, floor=0.4) == 0.4


def test_first_of_n_trials_is_the_default_and_stopped_ones_count_as_drawn(tmp_path: Path) -> None:
    search = made(tmp_path / "s", {0: 0.5, 1: 0.7, 3: 0.4}, stopped={2: 0.95})
    found = expected_best(search)
    assert [point.trials for point in found] == [1, 2, 3, 4]
    assert found[0].value == pytest.approx(0.5) and found[0].low is None
    assert found[1].value == pytest.approx((0.7 + 0.5 + 0.5) / 3)  # 0.7, or stopped, or worse than the default
    assert found[3].value == pytest.approx(enumerated([0.7, 0.4, NEVER], 3, 0.5))


def test_without_a_finished_default_every_trial_is_a_draw(tmp_path: Path) -> None:
    search = made(tmp_path / "s", {1: 0.7, 2: 0.4}, failed=[0])
    assert expected_best(search)[1].value == pytest.approx(enumerated([0.7, 0.4, NEVER], 2, None))


def test_interval_is_that_of_resampled_trials(tmp_path: Path) -> None:
    values = {0: 0.5} | {trial: 0.4 + 0.025 * trial for trial in range(1, 15)}
    search = made(tmp_path / "s", values, stopped={15: 0.9, 16: 0.8})
    point = expected_best(search)[4]
    pool = np.array([*(value for trial, value in values.items() if trial), NEVER, NEVER])
    generator = np.random.default_rng(99)
    simulated = []
    for _ in range(3000):  # with another generator, and the maximum itself simulated instead of computed
        resample = pool[generator.integers(len(pool), size=len(pool))]
        drawn = resample[generator.integers(len(pool), size=(400, 4))].max(axis=1)
        simulated.append(np.maximum(drawn, 0.5).mean())
    assert point.low is not None and point.high is not None
    assert [point.low, point.high] == pytest.approx(np.percentile(simulated, [2.5, 97.5]), abs=0.01)


def test_interval_is_the_same_every_time_and_holds_the_value(tmp_path: Path) -> None:
    search = made(tmp_path / "s", {0: 0.5, 1: 0.7, 2: 0.6, 3: 0.65})
    first, again = expected_best(search), expected_best(search)
    assert first == again
    for point in first[1:]:
        assert point.low is not None and point.high is not None and point.value is not None
        assert point.low <= point.value <= point.high


def test_no_interval_where_a_single_trial_has_finished_besides_the_default(tmp_path: Path) -> None:
    search = made(tmp_path / "s", {0: 0.5, 1: 0.7}, stopped={2: 0.9, 3: 0.9})
    assert all(point.low is None for point in expected_best(search))


def test_where_less_is_better_the_expected_best_falls(tmp_path: Path) -> None:
    values = {0: 0.5, 1: 0.3, 2: 0.6, 3: 0.4}
    up = expected_best(made(tmp_path / "up", {t: -value for t, value in values.items()}))
    down = expected_best(made(tmp_path / "down", values, direction="min"))
    assert [point.value for point in down] == pytest.approx([-(point.value or 0) for point in up])
    assert all(point.low <= point.value <= point.high for point in down if point.low is not None)  # type: ignore[operator]


def test_best_so_far_takes_finished_trials_alone_and_adds_up_what_was_paid(tmp_path: Path) -> None:
    points = best_so_far(made(tmp_path / "s", {0: 0.5, 2: 0.7, 3: 0.6}, stopped={1: 0.99}))
    assert [point.value for point in points] == pytest.approx([0.5, 0.5, 0.7, 0.7])
    assert [point.paid.images_trained for point in points] == [4 * IMAGES, 5 * IMAGES, 8 * IMAGES, 11 * IMAGES]


def test_best_so_far_of_failed_trials_is_nothing(tmp_path: Path) -> None:
    points = best_so_far(made(tmp_path / "s", {}, failed=[0, 1]))
    assert [point.value for point in points] == [None, None]
