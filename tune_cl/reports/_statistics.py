"""Means with intervals, over runs that are not all independent of each other."""

import math
import statistics
from collections.abc import Hashable, Sequence

from scipy.stats import t

from tune_cl.records import Statistic

_TAIL = 0.975  # of the two-sided 95 % interval


def statistic(values: Sequence[float], groups: Sequence[Hashable]) -> Statistic:
    """Mean, standard deviation and 95 % interval of a metric.

    Runs of one class order share what that order makes hard, so the interval is Student's t over the means of the
    groups (class orders). With a single group it is Student's t over its values, and says nothing of other orders.

    Args:
        values: one per run; at least one.
        groups: the class order of each run.
    """
    means = _group_means(values, groups)
    independent = means if len(means) > 1 else list(values)
    mean = statistics.fmean(means)
    half = None
    if len(independent) > 1:
        error = statistics.stdev(independent) / math.sqrt(len(independent))
        half = float(t.ppf(_TAIL, len(independent) - 1)) * error
    return Statistic(
        mean=mean,
        std=statistics.stdev(values) if len(values) > 1 else None,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
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
