"""What the live view knows of a search: immutable, advanced one event at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tune_cl.records import SearchFolder, SearchRecord, TrialState, TrialSummary
from tune_cl.tracking import (
    Event,
    IncrementReported,
    PhaseProgress,
    SearchEnded,
    SearchStarted,
    SlotDeferred,
    TrialEnded,
    TrialStarted,
)

_NOTICES = 3


@dataclass(frozen=True)
class Cell:
    """One increment of one trial.

    `seconds` is the time that passed on the clock while it ran, `alone` what its stages took when they were trained.
    """

    value: float | None
    reused: tuple[str, ...]  # phases loaded from the stage store
    phases: int
    seconds: float
    alone: float = 0.0


@dataclass(frozen=True)
class Progress:
    """The running phase of a trial."""

    increment: int
    phase: str
    share: float  # 0 to 1
    node: str


@dataclass(frozen=True)
class TrialView:
    """One trial as the view shows it. Times are those of the `now` given to `reduce`."""

    trial: int
    state: TrialState
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cells: Mapping[int, Cell] = field(default_factory=dict)
    progress: Progress | None = None
    since: float = 0.0  # start of the increment under way
    value: float | None = None  # objective at the last increment reported
    last: int | None = None  # last increment reported
    reason: str | None = None
    earlier: bool = False  # ended in an earlier run of the command
    warnings: tuple[str, ...] = ()  # of its increments


@dataclass(frozen=True)
class ViewState:
    """A search as the view shows it."""

    record: SearchRecord | None = None
    folder: SearchFolder | None = None
    planned: int = 0
    began: float = 0.0
    trials: Mapping[int, TrialView] = field(default_factory=dict)
    ended: SearchEnded | None = None
    waits_for: tuple[int, ...] = ()  # trials whose bases a free slot waits for
    notices: tuple[str, ...] = ()
    costs: tuple[float, ...] = ()  # that increments 0, 1, … are expected to have, in some unit

    def count(self, state: TrialState) -> int:
        """How many trials are in a state."""
        return sum(trial.state == state for trial in self.trials.values())

    def lower_is_better(self) -> bool:
        """Say whether the objective is to be made small."""
        return self.record is not None and self.record.direction == "min"

    def best(self) -> TrialView | None:
        """The best finished trial so far; the lower number where two are equal."""
        sign = -1.0 if self.lower_is_better() else 1.0
        finished = [t for t in self.trials.values() if t.state == "finished" and t.value is not None]
        return max(finished, key=lambda t: (sign * (t.value or 0.0), -t.trial), default=None)

    def default(self) -> TrialView | None:
        """Trial 0 once it has finished."""
        trial = self.trials.get(0)
        return trial if trial is not None and trial.state == "finished" else None


def reduce(state: ViewState, event: Event, now: float) -> ViewState:
    """The state after an event that arrives at `now` (seconds on any clock that only goes forward)."""
    match event:
        case SearchStarted():
            earlier = {t.trial: _from_summary(t) for t in event.earlier if t.state != "running"}
            return ViewState(event.record, event.folder, event.planned, now, earlier, costs=event.costs)
        case TrialStarted():
            known = state.trials.get(event.trial)
            cells = known.cells if known is not None else {}
            view = TrialView(event.trial, "running", dict(event.parameters), cells, since=now)
            return _with(replace(state, waits_for=()), view)
        case SlotDeferred():
            return replace(state, waits_for=event.waits_for)
        case PhaseProgress():
            return _progressed(state, event)
        case IncrementReported():
            return _reported(state, event, now)
        case TrialEnded():
            ended = _view(state, event.trial, now)
            return _with(state, replace(ended, state=event.state, reason=event.reason, progress=None))
        case SearchEnded():
            return replace(state, ended=event, waits_for=())


def with_notice(state: ViewState, line: str) -> ViewState:
    """The state with one more line to show under the table; the oldest goes."""
    return replace(state, notices=(*state.notices, line)[-_NOTICES:])


def _from_summary(summary: TrialSummary) -> TrialView:
    return TrialView(
        summary.trial,
        summary.state,
        value=summary.value,
        last=summary.increment,
        reason=summary.reason,
        earlier=True,
        warnings=tuple(summary.warnings),
    )


def _progressed(state: ViewState, event: PhaseProgress) -> ViewState:
    trial = state.trials.get(event.trial)
    if trial is None or trial.state != "running" or event.increment in trial.cells:
        return state  # late: the channel is lossy and may be out of order
    share = min(1.0, event.step / event.steps) if event.steps > 0 else 0.0
    return _with(state, replace(trial, progress=Progress(event.increment, event.phase, share, event.node)))


def _reported(state: ViewState, event: IncrementReported, now: float) -> ViewState:
    trial, row = _view(state, event.trial, now), event.row
    reused = tuple(stage.phase for stage in row.stages if stage.origin == "reused")
    alone = sum(stage.seconds for stage in row.stages)
    cell = Cell(event.value, reused, len(row.stages), now - trial.since, alone)
    cells = {**trial.cells, row.increment: trial.cells.get(row.increment, cell)}
    last = max(cells)
    value = cells[last].value
    warned = tuple(dict.fromkeys([*trial.warnings, *row.told_warnings()]))
    reported = replace(trial, cells=cells, progress=None, since=now, value=value, last=last, warnings=warned)
    known = {warning for view in state.trials.values() for warning in view.warnings}  # trials share stages
    for warning in row.told_warnings():
        if warning not in known:
            state = with_notice(state, f"⚠ trial {event.trial:04d}, {warning}")
    return _with(state, reported)


def _view(state: ViewState, trial: int, now: float) -> TrialView:
    return state.trials.get(trial) or TrialView(trial, "running", since=now)


def _with(state: ViewState, trial: TrialView) -> ViewState:
    return replace(state, trials={**state.trials, trial.trial: trial})
