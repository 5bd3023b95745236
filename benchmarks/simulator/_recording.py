"""Recordings of searches: made from a search's folder, opened as a space again, looked up by configuration."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from simulator._records import RecordedIncrement, RecordedStage, RecordedTrial, Recording
from tune_cl.errors import TuneCLError
from tune_cl.methods import flatten, get_method
from tune_cl.metrics import VALIDATION, scored_metrics
from tune_cl.records import IncrementRow, RunConfig, SearchFolder, SearchRecord, TrialFolder, read_record
from tune_cl.study import ScaleSettings, SearchSpace, SpaceFile, resolve

_METRICS = (*(VALIDATION + metric.name for metric in scored_metrics()), "replay_accuracy")
# Accuracies are ratios of counts of images and means of a few of them: nine places tell any two of them apart.
_METRIC_PLACES = 9
_COST_PLACES = 3  # milliseconds
_KEY_DIGITS = 16
_BASE = "base."
_SOURCE = "the recording"


def record_search(folder: SearchFolder) -> Recording:
    """Record the finished trials of a search; one that is still running gives those it has finished.

    Raises:
        TuneCLError: the folder holds no search, or one without a finished trial.
    """
    search = read_record(folder.search, SearchRecord)
    recorded = [
        _recorded(number, trial, search) for number, trial in folder.trials().items() if _is_finished(trial, search)
    ]
    if not recorded:
        raise TuneCLError(f"{folder.path}: no trial of this search has finished; record it when one has")
    return Recording(
        method=search.method,
        stream=search.stream,
        scale=search.scale,
        budget=search.budget,
        horizon=search.horizon,
        objective=search.objective,
        direction=search.direction,
        train_seed=search.seeds.train,
        threads=search.threads,
        device=search.device,
        fixed=search.fixed,
        ranges=search.ranges,
        default=search.default,
        command=search.command,
        versions=search.versions,
        created=search.created,
        trials=recorded,
    )


def recorded_space(recording: Recording, ranges: Mapping[str, Any] | None = None) -> SearchSpace:
    """The space of the recorded search.

    Args:
        recording: the recording.
        ranges: path -> another range for a path that was searched, as in a space file, or a value that fixes it.

    Raises:
        TuneCLError: a range is wrong, or the recorded trials do not differ at its path.
    """
    for path in ranges or {}:
        if path not in recording.ranges:
            raise TuneCLError(
                f"{path}: the recorded trials do not differ there; they do in {', '.join(recording.ranges)}"
            )
    searched = {path: {**raw, "default": recording.default[path]} for path, raw in recording.ranges.items()}
    file = SpaceFile(
        source=_SOURCE,
        method=recording.method,
        parameters={**recording.fixed, **searched},
        scales={recording.scale: ScaleSettings(defaults={}, note="", budgets={recording.budget: {}})},
    )
    config = get_method(recording.method).config
    return resolve(file, config=config, scale=recording.scale, budget=recording.budget, overrides=ranges or {})


class NearestTrial:
    """Finds the recorded trial that stands for a configuration: the nearest base, then the nearest trial of that base.

    A numeric range has unit length, logarithmic if it is `log` or lists positive numbers; a choice among anything else
    is 0 (the same) or 1 (another) away. Distances are Euclidean; of equals the trial with the lower number is taken.
    """

    def __init__(self, recording: Recording) -> None:
        self._axes = {path: _axis(raw) for path, raw in recording.ranges.items()}
        self._of_base: dict[tuple[Any, ...], list[RecordedTrial]] = {}
        for trial in recording.trials:
            self._of_base.setdefault(self._base(trial.parameters), []).append(trial)

    def __call__(self, configuration: Mapping[str, Any]) -> RecordedTrial:
        """The recorded trial for a method's whole configuration tree."""
        wanted = flatten(configuration)
        same_base = min(
            self._of_base.values(), key=lambda trials: self._distance(wanted, trials[0].parameters, base=True)
        )
        return min(same_base, key=lambda trial: self._distance(wanted, trial.parameters, base=False))

    def _base(self, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(parameters[path] for path in self._axes if path.startswith(_BASE))

    def _distance(self, one: Mapping[str, Any], other: Mapping[str, Any], *, base: bool) -> float:
        axes = (item for item in self._axes.items() if item[0].startswith(_BASE) == base)
        return math.fsum(axis(one[path], other[path]) ** 2 for path, axis in axes)


def _is_finished(trial: TrialFolder, search: SearchRecord) -> bool:
    rows = trial.rows()
    if [row.increment for row in rows] != list(range(search.horizon + 1)):
        return False
    value = rows[-1].metrics[search.objective]
    return value is not None and math.isfinite(value)


def _recorded(number: int, trial: TrialFolder, search: SearchRecord) -> RecordedTrial:
    values = flatten(read_record(trial.config, RunConfig).parameters)
    return RecordedTrial(
        trial=number,
        parameters={path: values[path] for path in search.ranges},
        increments=[_increment(row) for row in trial.rows()],
    )


def _increment(row: IncrementRow) -> RecordedIncrement:
    measured = {name: row.metrics.get(name) for name in _METRICS}
    return RecordedIncrement(
        metrics={name: None if value is None else round(value, _METRIC_PLACES) for name, value in measured.items()},
        accuracy_row=[round(value, _METRIC_PLACES) for value in row.accuracy_row],
        stages=[
            RecordedStage(
                phase=use.phase,
                key=use.key[:_KEY_DIGITS],
                seconds=round(use.seconds, _COST_PLACES),
                cpu_seconds=None if use.cpu_seconds is None else round(use.cpu_seconds, _COST_PLACES),
                images_trained=use.images_trained,
            )
            for use in row.stages
        ],
    )


def _axis(raw: Mapping[str, Any]) -> Callable[[Any, Any], float]:
    """How far two values of a range lie apart, as a share of the range."""
    kind = next(kind for kind in raw if kind != "when")
    values = raw[kind]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numeric:
        return lambda one, other: float(one != other)
    low, high = min(values), max(values)
    if kind == "log" or (kind == "choice" and low > 0):
        length = math.log(high / low)
        return lambda one, other: abs(math.log(one / other)) / length
    return lambda one, other: abs(one - other) / (high - low)
