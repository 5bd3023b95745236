"""The numbers of an evaluation: over class orders and seeds, and of the chosen configuration against the default."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, Protocol

from tune_cl.metrics import possible_range
from tune_cl.outcome import Achieved, achieved, cautions
from tune_cl.records import Caution, EvaluatedConfiguration, EvaluationPlace, Statistic, place_of
from tune_cl.reports._statistics import possible_differences, statistic

_Metrics = Mapping[str, float | None]


class EvaluatedRow(Protocol):
    """What one increment of a run gave: on disk an `IncrementRow`, in W&B a `RemoteRow`."""

    @property
    def metrics(self) -> _Metrics:
        """By name; None where a metric is undefined."""

    @property
    def accuracy_row(self) -> Sequence[float]:
        """R[t, 0..t]."""

    @property
    def images_scored(self) -> Sequence[int]:
        """Test images of each increment's classes; empty where nobody has noted them."""


@dataclass(frozen=True)
class EvaluatedRun:
    """A run that has its results."""

    place: EvaluationPlace
    rows: Sequence[EvaluatedRow]  # of increments 0, 1, …

    def achieved(self, objective: str) -> Achieved:
        """What it achieved on test data, by the read-out that an objective is of."""
        metrics = [row.metrics for row in self.rows]
        return achieved(metrics, self.rows[0].accuracy_row, self.rows[-1].images_scored, objective)


def evaluated_configuration(
    role: Literal["chosen", "default"], trial: int, parameters: dict[str, Any], runs: Sequence[EvaluatedRun]
) -> EvaluatedConfiguration:
    """Sum up the runs of one configuration; at least one."""
    by_increment = list(zip(*(run.rows for run in runs), strict=True))
    statistics = [_statistics(runs, [row.metrics for row in rows]) for rows in by_increment]
    last = [row.metrics for row in by_increment[-1]]
    return EvaluatedConfiguration(
        role=role,
        trial=trial,
        parameters=parameters,
        runs=[run.place.run_of(trial) for run in runs],
        metrics=statistics[-1],
        by_increment=statistics,
        accuracy_matrix=[
            [fmean(column) for column in zip(*(row.accuracy_row for row in rows), strict=True)] for rows in by_increment
        ],
        never_trained_again=_never_trained_again(runs),
        images_trained=fmean(metrics.get("images_trained") or 0.0 for metrics in last),
        seconds=fmean(metrics.get("seconds") or 0.0 for metrics in last),
    )


def paired_difference(chosen: Sequence[EvaluatedRun], default: Sequence[EvaluatedRun]) -> dict[str, Statistic] | None:
    """Chosen minus default at the last increment, paired by class order and seed; None where there are no pairs."""
    theirs = {run.place: run.rows[-1].metrics for run in default}
    pairs = [run for run in chosen if run.place in theirs]
    if not pairs:
        return None
    differences = [_minus(run.rows[-1].metrics, theirs[run.place]) for run in pairs]
    return _statistics(pairs, differences, possible_differences)


def evaluation_cautions(
    chosen: Sequence[EvaluatedRun], default: Sequence[EvaluatedRun], objective: str, base_classes: int | None
) -> list[Caution]:
    """What speaks against the chosen configuration on test data; by the means over the runs.

    Args:
        chosen: its runs.
        default: those of the default, if it was evaluated as well and is another.
        objective: under its name on test data.
        base_classes: how many classes the base task has.
    """
    if not chosen:
        return []
    against = _mean_of(default, objective, None) if default else None
    return cautions(_mean_of(chosen, objective, base_classes), against, objective)


def interval_over(places: Iterable[EvaluationPlace]) -> str:
    """What the interval of runs in these places is over: see `statistic`."""
    return "class orders" if len({place.order for place in places}) > 1 else "seeds"


def paired_over(configurations: Sequence[EvaluatedConfiguration]) -> str:
    """What the interval of the paired difference of two is over: the places that both have."""
    ours, theirs = (set(map(place_of, configuration.runs)) for configuration in configurations)
    return interval_over(ours & theirs)


def _never_trained_again(runs: Sequence[EvaluatedRun]) -> dict[str, Statistic]:
    """What the runs' base tasks give if they are never trained again, by each read-out that they have."""
    read_outs = ("test/", "test/nme/") if "test/nme/accuracy" in runs[0].rows[0].metrics else ("test/",)
    found: list[_Metrics] = [
        {
            f"{read_out}{name}": value
            for read_out in read_outs
            for name, value in run.achieved(read_out).never_trained_again.items()
        }
        for run in runs
    ]
    return _statistics(runs, found)


def _mean_of(runs: Sequence[EvaluatedRun], objective: str, base_classes: int | None) -> Achieved:
    """The means of what runs achieved; what one of them lacks, none has."""
    each = [run.achieved(objective) for run in runs]
    increments = range(min(len(of.metrics) for of in each))
    untrained = _means([of.never_trained_again for of in each])
    return Achieved(
        [_means([of.metrics[t] for of in each]) for t in increments],
        {name: value for name, value in untrained.items() if value is not None},
        base_classes,
        each[0].base_images,
    )


def _means(rows: Sequence[_Metrics]) -> dict[str, float | None]:
    values = {name: [row.get(name) for row in rows] for name in rows[0]}
    known = {name: [value for value in of if value is not None] for name, of in values.items()}
    return {name: fmean(of) if len(of) == len(rows) else None for name, of in known.items()}


def _statistics(
    runs: Sequence[EvaluatedRun],
    metrics: Sequence[_Metrics],
    possible: Callable[[str], tuple[float, float]] = possible_range,
) -> dict[str, Statistic]:
    """Each test metric that is defined in all runs, given what each of them has; `possible` clips its interval."""
    orders = [run.place.order for run in runs]
    found = {}
    for name in (name for name in metrics[0] if "test/" in name):
        values = [value for of in metrics if (value := of.get(name)) is not None]
        if len(values) == len(runs):
            found[name] = statistic(values, orders, possible(name))
    return found


def _minus(ours: _Metrics, theirs: _Metrics) -> _Metrics:
    """Differences; None where either is undefined."""
    return {
        name: None if value is None or (other := theirs.get(name)) is None else value - other
        for name, value in ours.items()
    }
