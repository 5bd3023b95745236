"""Whether one search's choice is better than another's, said plainly."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy.stats import t

from tune_cl.records import EvaluatedConfiguration, EvaluationPlace, EvaluationSummary, Statistic, place_of
from tune_cl.reports._evaluated import interval_over, paired_over
from tune_cl.reports._models import Basis, Difference, SearchData, Verdict
from tune_cl.reports._statistics import clipped, possible_differences, statistic, within_noise
from tune_cl.text import gain_text

_TAIL = 0.975  # of the two-sided 95 % interval
_BY_BOTH = "paired by class order and seed"

_Values = Mapping[EvaluationPlace, float]


@dataclass(frozen=True)
class _Found:
    """A difference, and how it was had."""

    value: Statistic
    over: str  # what the interval is over
    how: str
    basis: Basis = "paired"


def differences(searches: Sequence[SearchData], labels: Sequence[str]) -> list[Difference]:
    """Each search's choice against its default, then each pair of searches, in the order given."""
    named = list(zip(labels, searches, strict=True))
    own = (found for label, search in named if (found := _against_default(label, search)) is not None)
    return [*own, *(_between(*a, *b) for a, b in combinations(named, 2))]


def welch(first: Sequence[float], second: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of the difference of two means by Welch's t; none with a single value on a side."""
    if len(first) < 2 or len(second) < 2:
        return None, None
    parts = [statistics.variance(values) / len(values) for values in (first, second)]
    mean, error = statistics.fmean(first) - statistics.fmean(second), math.sqrt(sum(parts))
    if not error:
        return mean, mean
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True)
    )
    half = float(t.ppf(_TAIL, freedom)) * error
    return mean - half, mean + half


def chosen(evaluation: EvaluationSummary) -> EvaluatedConfiguration | None:
    """The test results of the configuration that the search chose."""
    return next((found for found in evaluation.configurations if found.role == "chosen"), None)


def _against_default(label: str, search: SearchData) -> Difference | None:
    evaluation = search.evaluation
    if evaluation is None or not evaluation.difference or evaluation.objective not in evaluation.difference:
        return None
    found = evaluation.difference[evaluation.objective]
    over = paired_over(evaluation.configurations)
    return _told(label, "default", evaluation.objective, search.direction, _Found(found, over, _BY_BOTH))


def _between(a_label: str, a: SearchData, b_label: str, b: SearchData) -> Difference:
    ours, theirs = _values(a.evaluation), _values(b.evaluation)
    without = [label for label, values in ((a_label, ours), (b_label, theirs)) if not values]
    if a.evaluation is None or b.evaluation is None or without:
        return _not_evaluated(a_label, a, b_label, b, without)
    metric = a.evaluation.objective
    fingerprints = {a.evaluation.test_fingerprint, b.evaluation.test_fingerprint} - {None}
    if len(fingerprints) > 1:
        why = "evaluated on different test data: not comparable"
        return _unknown(a_label, b_label, metric, None, why)
    possible = possible_differences(metric)
    difference = _paired(ours, theirs, possible) or _unpaired(ours, theirs, possible)
    if difference is None:
        why = "evaluated on unequal class orders, one of the two on a single one, so it cannot be told from noise"
        return _unknown(a_label, b_label, metric, None, why)
    return _told(a_label, b_label, metric, a.direction, difference)


def _values(evaluation: EvaluationSummary | None) -> dict[EvaluationPlace, float]:
    """Class order and seed of each run of the choice -> its test objective."""
    configuration = None if evaluation is None else chosen(evaluation)
    if evaluation is None or configuration is None or evaluation.objective not in configuration.metrics:
        return {}
    places = map(place_of, configuration.runs)
    return dict(zip(places, configuration.metrics[evaluation.objective].values, strict=True))


def _paired(ours: _Values, theirs: _Values, possible: tuple[float, float]) -> _Found | None:
    """The difference paired by run, else by class order where there are two or more; else None."""
    if set(ours) == set(theirs):
        orders = [place.order for place in ours]
        found = statistic([ours[place] - theirs[place] for place in ours], orders, possible)
        return _Found(found, interval_over(ours), _BY_BOTH)
    mine, others = _by_order(ours), _by_order(theirs)
    if set(mine) != set(others) or len(mine) < 2:
        return None
    values = [statistics.fmean(mine[order]) - statistics.fmean(others[order]) for order in mine]
    return _Found(statistic(values, list(mine), possible), "class orders", "paired by class order")


def _unpaired(ours: _Values, theirs: _Values, possible: tuple[float, float]) -> _Found | None:
    """The difference of two means over class orders, or over the seeds of the one order that both have; else None.

    The values of a single class order, beside those of others, say nothing of how much an order matters.
    """
    mine, others = _by_order(ours), _by_order(theirs)
    if len(mine) > 1 and len(others) > 1:
        on, over = "unequal class orders", "class orders"
        first, second = ([statistics.fmean(values) for values in side.values()] for side in (mine, others))
    elif set(mine) == set(others):
        on, over = "other seeds", "seeds"
        first, second = list(ours.values()), list(theirs.values())
    else:
        return None
    low, high = clipped(*welch(first, second), possible)
    mean = statistics.fmean(first) - statistics.fmean(second)
    found = Statistic(mean=mean, std=None, low=low, high=high, values=[])
    return _Found(found, over, f"Welch, since they were evaluated on {on}", "welch")


def _by_order(values: _Values) -> dict[str, list[float]]:
    grouped: dict[str, list[float]] = {}
    for place, value in values.items():
        grouped.setdefault(place.order, []).append(value)
    return grouped


def _told(first: str, second: str, metric: str, direction: str, difference: _Found) -> Difference:
    found = difference.value
    if found.low is None or found.high is None:
        verdict: Verdict = "unknown"
        words = "cannot be told from noise with a single run"
    elif within_noise(found):
        verdict, words = "within noise", "within noise"
    else:
        better = (found.mean > 0) == (direction == "max")
        verdict = "real"
        words = f"{first if better else second} is better" if second != "default" else "a gain" if better else "a loss"
    interval = "" if found.low is None else f" [{found.low:+.4f}, {found.high:+.4f}]"
    return Difference(
        first=first,
        second=second,
        metric=metric,
        basis=difference.basis,
        over=difference.over,
        mean=found.mean,
        low=found.low,
        high=found.high,
        verdict=verdict,
        sentence=f"{_pair(first, second)}, {metric}: {gain_text(found.mean)}{interval}: {words}"
        + (f" ({difference.how}; interval over {difference.over})." if interval else "."),
    )


def _not_evaluated(a_label: str, a: SearchData, b_label: str, b: SearchData, without: Sequence[str]) -> Difference:
    mean = None
    if a.best is not None and b.best is not None and a.best.value is not None and b.best.value is not None:
        mean = a.best.value - b.best.value
    verb = "is" if len(without) == 1 else "are"
    why = f"{' and '.join(without)} {verb} not evaluated, so it cannot be told from noise"
    return _unknown(a_label, b_label, a.objective, mean, why)


def _unknown(first: str, second: str, metric: str, mean: float | None, why: str) -> Difference:
    number = "nothing to state" if mean is None else f"{gain_text(mean)} on validation data, one run each"
    return Difference(
        first=first,
        second=second,
        metric=metric,
        basis="none",
        mean=mean,
        verdict="unknown",
        sentence=f"{_pair(first, second)}, {metric}: {number}: {why}.",
    )


def _pair(first: str, second: str) -> str:
    return f"{first}, chosen against default" if second == "default" else f"{first} against {second}"


def evaluate_commands(searches: Sequence[SearchData]) -> Iterator[str]:
    """What to type so that a difference can be told from noise."""
    for search in searches:
        if search.evaluation is None and search.best is not None and search.evaluate_command is not None:
            yield search.evaluate_command
