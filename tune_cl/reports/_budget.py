"""The best value over budget: as it went, and as it may be expected to go with so many trials."""

import numpy as np
from numpy.typing import NDArray

from tune_cl.reports._models import BudgetPoint, Cost, ExpectedBest, SearchData

_RESAMPLES = 2000
_SEED = 0  # of the bootstrap: the same trials give the same interval
_INTERVAL = (2.5, 97.5)  # percentiles
_FEWEST = 2  # finished trials besides the default without which an interval would say nothing


def best_so_far(search: SearchData) -> list[BudgetPoint]:
    """The best value after each trial that has ended, and what had been spent by then, in order of their numbers."""
    points, spent, best = [], Cost(), None
    for ended, trial in enumerate(search.ended(), start=1):
        spent += trial.paid
        if trial.state == "finished" and trial.value is not None:
            better = best is None or search.sign * trial.value > search.sign * best
            best = trial.value if better else best
        points.append(BudgetPoint(trials=ended, paid=spent, value=best))
    return points


def expected_best(search: SearchData) -> list[ExpectedBest]:
    """The expected best of searches of 1, 2, … trials, up to as many as this one has had, with bootstrap intervals.

    Trial 0 is always the default, so that a search of n trials is the default and n - 1 draws, with replacement,
    from the other trials that have ended. One that was stopped or failed counts as a draw and cannot be the best.
    See `expected_maximum` for the expectation; the interval is of the same number over resampled trials.
    """
    ended = list(search.ended())
    default = search.default
    floor = None if default is None or default.value is None else search.sign * default.value
    others = [trial for trial in ended if trial is not default]
    values = np.array([_worth(search.sign, trial.value, trial.state == "finished") for trial in others])
    resampled = _resample(values)
    first = 0 if floor is None else 1
    return [_expected(search.sign, values, resampled, n, n - first, floor) for n in range(1, len(ended) + 1)]


def expected_maximum(values: NDArray[np.float64], draws: int, floor: float | None = None) -> NDArray[np.float64]:
    """The exact expectation of the maximum of a floor and of draws with replacement.

    With m values in ascending order, the largest of d draws is the i-th with probability (i / m)^d - ((i - 1) / m)^d.
    Where it is minus infinity the floor holds; without a floor the expectation is given that it is not.

    Args:
        values: (..., m) what may be drawn, minus infinity for what counts as a draw and cannot be the best.
        draws: how many; 0 leaves the floor.
        floor: a value that is there in any case.

    Returns:
        (...) the expectations; not-a-number where there is nothing that could be the best.
    """
    size = values.shape[-1]
    if not draws or not size:
        return np.full(values.shape[:-1], np.nan if floor is None else floor)
    ranked = np.sort(values, axis=-1, kind="stable")  # which takes no time where they are sorted
    chances = np.diff((np.arange(size + 1) / size) ** draws)
    if floor is not None:
        return np.asarray(np.maximum(ranked, floor) @ chances)
    possible = np.isfinite(ranked)
    with np.errstate(invalid="ignore"):  # 0 / 0 where nothing can be the best
        return np.asarray(np.where(possible, ranked, 0.0) @ chances / (possible @ chances))


def _worth(sign: float, value: float | None, finished: bool) -> float:
    return sign * value if finished and value is not None else -np.inf


def _resample(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(resamples, trials): the trials drawn anew with replacement, in ascending order; none where too few finished."""
    if np.isfinite(values).sum() < _FEWEST:
        return np.empty((0, len(values)))
    places = np.random.default_rng(_SEED).integers(len(values), size=(_RESAMPLES, len(values)))
    return np.sort(values[places], axis=-1)


def _expected(
    sign: float,
    values: NDArray[np.float64],
    resampled: NDArray[np.float64],
    trials: int,
    draws: int,
    floor: float | None,
) -> ExpectedBest:
    value = float(expected_maximum(values, draws, floor))
    if np.isnan(value):
        return ExpectedBest(trials=trials, value=None, low=None, high=None)
    low, high = _interval(resampled, draws, floor)
    if sign < 0:
        low, high = high, low
    return ExpectedBest(
        trials=trials,
        value=sign * value,
        low=None if low is None else sign * low,
        high=None if high is None else sign * high,
    )


def _interval(resampled: NDArray[np.float64], draws: int, floor: float | None) -> tuple[float | None, float | None]:
    if not draws:  # the default was run once: nothing to resample
        return None, None
    again = expected_maximum(resampled, draws, floor)
    again = again[np.isfinite(again)]  # a resample may hold nothing but stopped trials
    if not len(again):
        return None, None
    low, high = np.percentile(again, _INTERVAL)
    return float(low), float(high)
