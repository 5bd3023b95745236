"""Means with intervals, over runs that are not all independent of each other."""

import math
import statistics
from collections.abc import Hashable, Sequence

from scipy.stats import t

from tune_cl.metrics import possible_range
from tune_cl.records import Statistic

_TAIL = 0.975  # of the two-sided 95 % interval


def possible_differences(metric: str) -> tuple[float, float]:
    """Between which values a difference of a metric can lie."""
    low, high = possible_range(metric)
    return low - high, high - low


def clipped(low: float | None, high: float | None, possible: tuple[float, float]) -> tuple[float | None, float | None]:
    """An interval without what cannot be; None stays None. One beyond the range on one side ends in its end."""
    least, most = possible
    return tuple(None if end is None else min(max(end, least), most) for end in (low, high))  # type: ignore[return-value]


def statistic(
    values: Sequence[float], groups: Sequence[Hashable], possible: tuple[float, float] = (-math.inf, math.inf)
) -> Statistic:
    """Mean, standard deviation and 95 % interval of a metric.

    Runs of one class order share what that order makes hard, so the interval is Student's t over the means of the
    groups (class orders). With a single group it is Student's t over its values, and says nothing of other orders.

    Args:
        values: one per run; at least one.
        groups: the class order of each run.
        possible: between which values the metric can lie; Student's t does not know of it, so the interval is clipped.
    """
    means = _group_means(values, groups)
    independent = means if len(means) > 1 else list(values)
    mean = statistics.fmean(means)
    half = None
    if len(independent) > 1:
        error = statistics.stdev(independent) / math.sqrt(len(independent))
        half = float(t.ppf(_TAIL, len(independent) - 1)) * error
    low, high = (None, None) if half is None else clipped(mean - half, mean + half, possible)
    return Statistic(
        mean=mean,
        std=statistics.stdev(values) if len(values) > 1 else None,
        low=low,
        high=high,
        values=list(values),
    )


def within_noise(difference: Statistic) -> bool:
    """Whether a difference's 95 % interval holds zero, or there is no interval to tell."""
    return difference.low is None or difference.high is None or difference.low <= 0 <= difference.high


def _group_means(values: Sequence[float], groups: Sequence[Hashable]) -> list[float]:
    members: dict[Hashable, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        members.setdefault(group, []).append(value)
    return [statistics.fmean(member) for member in members.values()]
