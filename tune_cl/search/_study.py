"""The study: the memory of a search, in an Optuna storage that `optuna-dashboard` can read.

Every answer comes from the storage; nothing is held in memory but which unfinished trials this process has taken up.
One process at a time writes (the driver of the search).
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from tune_cl.errors import TuneCLError
from tune_cl.records import SearchRecord
from tune_cl.records import TrialState as TrialStateName
from tune_cl.search._attributes import DECISION, DEFINITION, IDLE, PLANNED, REASON
from tune_cl.search._options import UNDEFINED_AT_BASE, Direction
from tune_cl.search._prefix import BaseRules, check_base_configurations, propose
from tune_cl.search._samplers import Draw, SamplerSettings, default_draw, quiet_optuna, startup_trials
from tune_cl.search._space import SearchSpace
from tune_cl.search._stopping import Decision, StoppingRule
from tune_cl.search._storage import open_storage, storage_name

_STATES: dict[TrialState, TrialStateName] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}
_AFTER: dict[TrialState, Decision] = {
    TrialState.COMPLETE: "continue",
    TrialState.PRUNED: "stop",
    TrialState.FAIL: "fail",
}


@dataclass(frozen=True)
class Proposal:
    """A trial to run."""

    number: int
    parameters: dict[str, Any]  # path -> value: what was sampled
    configuration: dict[str, Any]  # the method's whole tree
    resumed: bool  # an earlier process began it
    base: str  # `SearchSpace.base_of` its sample: equal where two trials share their base task


@dataclass(frozen=True)
class Deferred:
    """No trial may begin now: every base that one could have is being trained."""

    left: int  # trials that are still to begin, those left running by an earlier process among them


@dataclass(frozen=True)
class TrialView:
    """A trial as the study knows it."""

    number: int
    state: TrialStateName
    parameters: dict[str, Any]  # path -> value: what was sampled
    values: dict[int, float]  # increment -> objective
    reason: str | None  # why it failed

    @property
    def increment(self) -> int | None:
        """The last increment reported."""
        return max(self.values, default=None)

    @property
    def value(self) -> float | None:
        """The objective at the last increment reported."""
        return None if self.increment is None else self.values[self.increment]


@dataclass(frozen=True)
class StudySettings:
    """Everything besides the space that defines a study, and how many trials are wanted now."""

    sampler: str  # tpe or random
    search_seed: int
    trials: int  # may be raised later: the study goes on
    objective: str
    direction: Direction
    horizon: int  # last increment; the objective there is what counts
    stopping: StoppingRule
    base_configurations: int | None = None  # distinct bases that may be trained; None for no limit

    @classmethod
    def of(cls, record: SearchRecord) -> "StudySettings":
        """The settings that a search's definition names."""
        return cls(
            sampler=record.sampler,
            search_seed=record.seeds.search,
            trials=record.trials,
            objective=record.objective,
            direction=record.direction,
            horizon=record.horizon,
            stopping=StoppingRule(record.scheduler),  # type: ignore[arg-type]
            base_configurations=record.base_configurations,
        )


class Study:
    """Ask for trials, report increments, tell how trials ended.

    Example:
        >>> study = Study.open("results/mine/study.journal", "mine", space, settings)
        >>> while isinstance(proposal := study.ask(), Proposal):
        ...     for increment, value in run(proposal.configuration):
        ...         if study.report(proposal.number, increment, value) != "continue":
        ...             study.tell_stopped(proposal.number)
        ...             break
        ...     else:
        ...         study.tell_finished(proposal.number)
    """

    def __init__(self, storage: Any, study_id: int, space: SearchSpace, settings: StudySettings) -> None:
        """Use `Study.open`."""
        self._storage = storage
        self._study_id = study_id
        self._space = space
        self._settings = settings
        self._left_over = [trial.number for trial in self._trials() if trial.state is TrialState.RUNNING]

    @classmethod
    def open(cls, storage: str | Path, name: str, space: SearchSpace, settings: StudySettings) -> "Study":
        """Open a study, or begin it.

        Args:
            storage: a journal file (made where there is none) or a database URL.
            name: the study's name in its storage.
            space: what is searched.
            settings: how; all but `trials` must be what the study began with.

        Raises:
            TuneCLError: the storage cannot be opened, or holds a study of that name with another definition; the space
                does not allow a limit on bases.
        """
        check_base_configurations(space, settings.base_configurations)
        with quiet_optuna():
            opened = open_storage(storage)
            study_id = _find_or_create(opened, name, settings)
        where = f"{storage_name(storage)}: study {name!r}"
        _check_definition(opened, study_id, _definition(space, settings), where)
        if PLANNED not in opened.get_study_user_attrs(study_id):
            opened.set_study_user_attr(study_id, PLANNED, settings.trials)
        return cls(opened, study_id, space, settings)

    def ask(self, busy: Collection[str] = ()) -> Proposal | Deferred | None:
        """The next trial to run, or None when there is nothing left to begin.

        Trials that an earlier process left running come first, under their own numbers, each once per process. Then
        trial 0 is the default, and later ones are drawn. Nothing is left when as many trials as wanted have begun, or
        when there is nothing to search besides the default.

        Args:
            busy: bases (`Proposal.base`) that are being trained right now and are not stored yet. No trial is given
                one of them: another base is reused or opened, or `Deferred` says to ask again later, when fewer are
                busy. With nothing busy a trial is never deferred.

        Raises:
            TuneCLError: another process writes to the study.
        """
        history = self._trials()
        self._left_over = [number for number in self._left_over if history[number].state is TrialState.RUNNING]
        for number in list(self._left_over):
            parameters = history[number].params
            complaint = self._space.complaint(parameters)
            if complaint is not None:  # by a rule that the method did not have then
                self.tell_failed(number, f"its configuration is not allowed any more: {complaint}")
                self._left_over.remove(number)
            elif self._space.base_of(parameters) not in busy:
                self._left_over.remove(number)
                return self._proposal(number, parameters, resumed=True)
        number = len(history)
        left = max(0, (self._settings.trials if self._space.ranges else 1) - number)
        if self._left_over:
            return Deferred(len(self._left_over) + left)
        if not left:
            return None
        drawn = self._draw(history, frozenset(busy)) if number else default_draw(self._space)
        if drawn is None:
            return Deferred(left)
        proposal = self._proposal(number, drawn.parameters, resumed=False)
        self._begin(
            number, create_trial(state=TrialState.RUNNING, params=drawn.parameters, distributions=drawn.distributions)
        )
        return proposal

    def report(self, number: int, increment: int, value: float | None) -> Decision:
        """Take in the objective of a trial at an increment and decide whether the trial goes on.

        The first report of an increment counts; repeated (a resumed trial runs over its stored stages again), it gets
        the decision that was given then. Trial 0 is never stopped. A value that is missing where the objective is not
        defined yet (forgetting, at the base task) is no failure.

        Raises:
            ValueError: there is no such trial, or the increment is not on the way to the horizon.
        """
        if not 0 <= increment <= self._settings.horizon:
            raise ValueError(f"increment {increment} is not within 0 … {self._settings.horizon}")
        trial = self._trial(number)
        key = DECISION.format(increment)
        if key in trial.system_attrs:
            decided: Decision = trial.system_attrs[key]
            return decided
        if trial.state is not TrialState.RUNNING:
            return _AFTER[trial.state]
        decision = self._decide(trial, increment, value)
        self._storage.set_trial_system_attr(self._trial_id(number), key, decision)
        return decision

    def tell_finished(self, number: int) -> None:
        """Record that a trial has reached the horizon. The first telling of a trial stands, here and below.

        Raises:
            ValueError: there is no such trial, or it has no value at the horizon.
        """
        trial = self._trial(number)
        if self._settings.horizon not in trial.intermediate_values and trial.state is TrialState.RUNNING:
            raise ValueError(f"trial {number} has no value at the horizon, increment {self._settings.horizon}")
        self._end(trial, TrialState.COMPLETE, trial.intermediate_values.get(self._settings.horizon))

    def tell_stopped(self, number: int) -> None:
        """Record that a trial was stopped early; what it reported last is kept as its value, and it is never the best.

        Raises:
            ValueError: there is no such trial, or it has reported nothing.
        """
        trial = self._trial(number)
        if trial.last_step is None and trial.state is TrialState.RUNNING:
            raise ValueError(f"trial {number} has reported nothing that it could be stopped for")
        self._end(trial, TrialState.PRUNED, _last_value(trial))

    def tell_failed(self, number: int, reason: str) -> None:
        """Record that a trial failed, and why, in a sentence.

        Raises:
            ValueError: there is no such trial.
        """
        trial = self._trial(number)
        if trial.state is TrialState.RUNNING:
            self._storage.set_trial_user_attr(self._trial_id(number), REASON, reason)
        self._end(trial, TrialState.FAIL, None)

    def trials(self) -> list[TrialView]:
        """All trials in order of their numbers."""
        return [_view(trial) for trial in self._trials()]

    def n_started(self) -> int:
        """How many trials have begun, however they ended."""
        return len(self._trials())

    def best(self) -> TrialView | None:
        """The best of the finished trials by the objective at the horizon (of equals the earliest), if any finished."""
        sign = 1 if self._settings.direction == "max" else -1
        finished = [view for view in self.trials() if view.state == "finished"]
        return max(finished, key=lambda view: (sign * view.values[self._settings.horizon], -view.number), default=None)

    def default_value(self) -> float | None:
        """The objective of trial 0 at the horizon, once it has finished."""
        trials = self.trials()
        return trials[0].values[self._settings.horizon] if trials and trials[0].state == "finished" else None

    def add_idle(self, seconds: float) -> None:
        """Add to the time that free slots have waited for a base, in seconds times slots."""
        self._storage.set_study_user_attr(self._study_id, IDLE, self.idle_seconds() + seconds)

    def idle_seconds(self) -> float:
        """How long free slots have waited for a base, over all runs of the search, in seconds times slots."""
        return float(self._storage.get_study_user_attrs(self._study_id).get(IDLE, 0.0))

    def _decide(self, trial: FrozenTrial, increment: int, value: float | None) -> Decision:
        value = trial.intermediate_values.get(increment, value)
        if value is None:
            undefined = increment == 0 and self._settings.objective in UNDEFINED_AT_BASE
            return "continue" if undefined else "fail"
        if not math.isfinite(value):
            return "fail"
        if trial.last_step is not None and trial.last_step > increment:
            return "continue"  # it has gone on already
        if increment not in trial.intermediate_values:
            self._storage.set_trial_intermediate_value(self._trial_id(trial.number), increment, float(value))
        if trial.number == 0:
            return "continue"
        reported = [t.intermediate_values[increment] for t in self._trials() if increment in t.intermediate_values]
        horizon, direction = self._settings.horizon, self._settings.direction
        return self._settings.stopping.decide(increment, value, reported, horizon=horizon, direction=direction)

    def _draw(self, history: list[FrozenTrial], busy: frozenset[str]) -> Draw | None:
        # What was planned at first, so that asking for more trials changes no proposal that is still to come.
        planned = self._storage.get_study_user_attrs(self._study_id)[PLANNED]
        settings = self._settings
        sampler = SamplerSettings(settings.sampler, settings.search_seed, startup_trials(planned), settings.direction)
        return propose(self._space, sampler, history, BaseRules(settings.base_configurations, planned, busy))

    def _begin(self, number: int, trial: FrozenTrial) -> None:
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=trial)
        if self._storage.get_trial_number_from_id(trial_id) != number:
            raise TuneCLError(
                f"trial {number}: another process writes to the same study; run one search of a name at a time"
            )

    def _end(self, trial: FrozenTrial, state: TrialState, value: float | None) -> None:
        if trial.state is TrialState.RUNNING:
            values = None if value is None else [value]
            self._storage.set_trial_state_values(self._trial_id(trial.number), state, values)

    def _proposal(self, number: int, parameters: dict[str, Any], *, resumed: bool) -> Proposal:
        configuration = self._space.configuration(parameters)
        return Proposal(number, dict(parameters), configuration, resumed, self._space.base_of(parameters))

    def _trials(self) -> list[FrozenTrial]:
        trials: list[FrozenTrial] = self._storage.get_all_trials(self._study_id, deepcopy=False)
        return trials

    def _trial(self, number: int) -> FrozenTrial:
        trial: FrozenTrial = self._storage.get_trial(self._trial_id(number))
        return trial

    def _trial_id(self, number: int) -> int:
        if not 0 <= number < self.n_started():
            raise ValueError(f"the study has no trial {number}")
        trial_id: int = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        return trial_id


def _find_or_create(storage: Any, name: str, settings: StudySettings) -> int:
    try:
        study_id: int = storage.get_study_id_from_name(name)
    except KeyError:
        direction = StudyDirection.MAXIMIZE if settings.direction == "max" else StudyDirection.MINIMIZE
        study_id = storage.create_new_study([direction], name)
    return study_id


def _definition(space: SearchSpace, settings: StudySettings) -> dict[str, Any]:
    definition = asdict(settings)
    del definition["trials"]
    definition |= {"fixed": space.fixed, "ranges": space.written_ranges(), "default": space.default}
    plain: dict[str, Any] = json.loads(json.dumps(definition))
    return plain


def _check_definition(storage: Any, study_id: int, definition: Mapping[str, Any], where: str) -> None:
    before = storage.get_study_user_attrs(study_id).get(DEFINITION)
    if before is None and storage.get_all_trials(study_id, deepcopy=False):
        raise TuneCLError(f"{where} was not made by a search; use another --name")
    if before is None:
        storage.set_study_user_attr(study_id, DEFINITION, definition)
        return
    for key, value in definition.items():
        if before.get(key) != value:
            raise TuneCLError(f"{where} began with another {key.replace('_', ' ')}; repeat it, or use another --name")


def _view(trial: FrozenTrial) -> TrialView:
    state = _STATES[trial.state]
    return TrialView(
        number=trial.number,
        state=state,
        parameters=dict(trial.params),
        values=dict(sorted(trial.intermediate_values.items())),
        reason=trial.user_attrs.get(REASON) if state == "failed" else None,
    )


def _last_value(trial: FrozenTrial) -> float | None:
    return None if trial.last_step is None else trial.intermediate_values[trial.last_step]
