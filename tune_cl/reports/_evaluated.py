"""The numbers of an evaluation: over class orders and seeds, and of the chosen configuration against the default."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, Protocol

from tune_cl.records import EvaluatedConfiguration, EvaluationPlace, Statistic, place_of
from tune_cl.reports._statistics import statistic

_Metrics = Mapping[str, float | None]


class EvaluatedRow(Protocol):
    """What one increment of a run gave: on disk an `IncrementRow`, in W&B a `RemoteRow`."""

    @property
    def metrics(self) -> _Metrics:
        """By name; None where a metric is undefined."""

    @property
    def accuracy_row(self) -> Sequence[float]:
        """R[t, 0..t]."""


@dataclass(frozen=True)
class EvaluatedRun:
    """A run that has its results."""

    place: EvaluationPlace
    rows: Sequence[EvaluatedRow]  # of increments 0, 1, …


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
        images_trained=fmean(metrics.get("images_trained") or 0.0 for metrics in last),
        seconds=fmean(metrics.get("seconds") or 0.0 for metrics in last),
    )


def paired_difference(chosen: Sequence[EvaluatedRun], default: Sequence[EvaluatedRun]) -> dict[str, Statistic] | None:
    """Chosen minus default at the last increment, paired by class order and seed; None where there are no pairs."""
    theirs = {run.place: run.rows[-1].metrics for run in default}
    pairs = [run for run in chosen if run.place in theirs]
    if not pairs:
        return None
    return _statistics(pairs, [_minus(run.rows[-1].metrics, theirs[run.place]) for run in pairs])


def interval_over(places: Iterable[EvaluationPlace]) -> str:
    """What the interval of runs in these places is over: see `statistic`."""
    return "class orders" if len({place.order for place in places}) > 1 else "seeds"


def paired_over(configurations: Sequence[EvaluatedConfiguration]) -> str:
    """What the interval of the paired difference of two is over: the places that both have."""
    ours, theirs = (set(map(place_of, configuration.runs)) for configuration in configurations)
    return interval_over(ours & theirs)


def _statistics(runs: Sequence[EvaluatedRun], metrics: Sequence[_Metrics]) -> dict[str, Statistic]:
    """Each test metric that is defined in all runs, given what each of them has."""
    orders = [run.place.order for run in runs]
    found = {}
    for name in (name for name in metrics[0] if name.startswith("test/")):
        values = [value for of in metrics if (value := of.get(name)) is not None]
        if len(values) == len(runs):
            found[name] = statistic(values, orders)
    return found


def _minus(ours: _Metrics, theirs: _Metrics) -> _Metrics:
    """Differences; None where either is undefined."""
    return {
        name: None if value is None or (other := theirs.get(name)) is None else value - other
        for name, value in ours.items()
    }
