"""The study: the memory of a search, in an Optuna storage that `optuna-dashboard` can read.

Every answer comes from the storage; nothing is held in memory but which unfinished trials this process has taken up.
One process at a time writes (the driver of the search).
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from tune_cl.errors import TuneCLError
from tune_cl.metrics import Objective
from tune_cl.records import SearchFolder
from tune_cl.study._attributes import (
    DECISION,
    EARLIER,
    FOLDER,
    IDLE,
    PLANNED,
    POINT,
    POINTS,
    PROPOSER,
    REASON,
    RETRY_OF,
)
from tune_cl.study._bond import bond_of, check_found, check_ids, check_trials
from tune_cl.study._definition import DIRECTIONS, StudySettings, check_definition, definition_of
from tune_cl.study._flat import gain_of_last
from tune_cl.study._knowledge import Knowledge, add_knowledge
from tune_cl.study._known_samplers import find_sampler
from tune_cl.study._prefix import BaseRules, check_base_configurations, propose
from tune_cl.study._samplers import (
    Draw,
    check_sampler,
    default_draw,
    draw_of,
    drawn_distributions,
    shared_distributions,
    startup_trials,
)
from tune_cl.study._scratch import SamplerSettings, quiet_optuna
from tune_cl.study._space import SearchSpace
from tune_cl.study._stopping import Decision, Report, find_stopping_rule
from tune_cl.study._storage import is_url, open_storage, storage_name
from tune_cl.study._trials import Deferred, Proposal, TrialView, last_value, numbered, view_of

NOTHING_KNOWN = Knowledge()
_AFTER: dict[TrialState, Decision] = {
    TrialState.COMPLETE: "continue",
    TrialState.PRUNED: "stop",
    TrialState.FAIL: "fail",
}


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
        self._sampler = find_sampler(settings.sampler, "sampler")
        self._stopping = find_stopping_rule(settings.stopping, "scheduler")
        self._left_over = [trial.number for trial in self._trials() if trial.state is TrialState.RUNNING]

    @classmethod
    def open(
        cls,
        storage: str | Path,
        name: str,
        space: SearchSpace,
        settings: StudySettings,
        folder: SearchFolder | None = None,
        knowledge: Knowledge = NOTHING_KNOWN,
    ) -> "Study":
        """Open a study, or begin it.

        Args:
            storage: a journal file (made where there is none) or a database URL.
            name: the study's name in its storage.
            space: what is searched.
            settings: how; all but `trials` must be what the study began with.
            folder: of the search; what it has and what the study has must agree.
            knowledge: points to try and earlier searches.

        Raises:
            TuneCLError: the storage cannot be opened, or holds a study of that name with another definition; the study
                and the folder do not belong together; the space does not allow a limit on bases, or the sampler cannot
                search it.
        """
        check_base_configurations(space, settings.base_configurations)
        check_sampler(space, find_sampler(settings.sampler, "sampler"), f"{space.source}: sampler {settings.sampler}")
        where = f"{storage_name(storage)}: study {name!r}"
        if folder is not None and not is_url(storage):
            check_found(folder, where, Path(storage).exists())
        with quiet_optuna():
            opened = open_storage(storage)
            study_id = _found(opened, name)
            if folder is not None:
                check_found(folder, where, study_id is not None)
            if study_id is None:
                study_id = opened.create_new_study([DIRECTIONS[settings.direction]], name)
        if folder is not None:
            check_ids(folder, opened.get_study_user_attrs(study_id).get(FOLDER), where)
        check_definition(opened, study_id, definition_of(space, settings), where)
        study = cls(opened, study_id, space, settings)
        if folder is not None:
            check_trials(folder, study.trials(), settings.objective, space.default, where)
        add_knowledge(opened, study_id, knowledge, bool(study.n_started()), where)
        if PLANNED not in opened.get_study_user_attrs(study_id):
            opened.set_study_user_attr(study_id, PLANNED, settings.trials)
        return study

    def bind(self, folder: SearchFolder, identity: str) -> None:
        """Let the study know its folder, whose `search.json` has the same id on disk already."""
        bond = bond_of(folder, identity)
        if self._storage.get_study_user_attrs(self._study_id).get(FOLDER) != bond:  # new, or the folder was moved
            self._storage.set_study_user_attr(self._study_id, FOLDER, bond)

    def ask(self, busy: Collection[str] = ()) -> Proposal | Deferred | None:
        """The next trial to run, or None when there is nothing left to begin.

        Trials that an earlier process left running come first, under their own numbers, each once per process. Then
        trial 0 is the default, and later ones are drawn. Nothing is left when as many trials as wanted have begun, when
        the last ones gained too little (`StudySettings.flat`), or when there is nothing to search besides the default.

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
        if self._is_flat(history):
            return None
        drawn = self._next(history, frozenset(busy))
        if drawn is None:
            return Deferred(left)
        return self._begun(number, drawn)

    def enqueue(self, parameters: Mapping[str, Any]) -> Proposal:
        """A trial of one's own choice: one with these parameters that runs or has failed, else a new one.

        Trial 0 is the default, whether it is ever asked for or not.

        Args:
            parameters: path -> value, as `SearchSpace.sample_of` gives them.
        """
        history = self._trials()
        if not history:
            default = self._begun(0, default_draw(self._space))
            return default if default.parameters == parameters else self.enqueue(parameters)
        open_states = (TrialState.RUNNING, TrialState.FAIL)
        same = next((trial for trial in history if trial.params == parameters and trial.state in open_states), None)
        if same is None:
            return self._begun(len(history), draw_of(self._space, parameters))
        if same.state is TrialState.FAIL:
            self._retry(same)
        return self._proposal(same.number, same.params, resumed=True)

    def retry_failed(self) -> list[int]:
        """Begin all failed trials anew, under their numbers and with their parameters; returns the numbers.

        Optuna keeps a failed trial as it is, and gets another one for each, which names it as `retry_of`.
        """
        failed = [trial for trial in self._trials() if trial.state is TrialState.FAIL]
        for trial in failed:
            self._retry(trial)
            self._left_over.append(trial.number)
        self._left_over.sort()
        return [trial.number for trial in failed]

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
        self._end(trial, TrialState.PRUNED, last_value(trial))

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
        return [view_of(trial) for trial in self._trials()]

    def n_started(self) -> int:
        """How many trials have begun, however they ended."""
        return len(self._trials())

    def flat(self) -> tuple[int, float] | None:
        """How many of the last trials gained how little, where that ends the search; see `StudySettings.flat`."""
        history = self._trials()
        return gain_of_last(history, self._settings.direction) if self._is_flat(history) else None

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
            return "fail" if Objective.parse(self._settings.objective).defined_at(increment) else "continue"
        if not math.isfinite(value):
            return "fail"
        if trial.last_step is not None and trial.last_step > increment:
            return "continue"  # it has gone on already
        if increment not in trial.intermediate_values:
            self._storage.set_trial_intermediate_value(self._trial_id(trial.number), increment, float(value))
        if trial.number == 0:
            return "continue"
        if increment == self._settings.horizon:
            return "continue"
        sign = 1 if self._settings.direction == "max" else -1
        curves = {t.number: {i: sign * v for i, v in t.intermediate_values.items()} for t in self._trials()}
        report = Report(trial.number, increment, self._settings.horizon, curves)
        return "stop" if self._stopping.stops(report) else "continue"

    def _is_flat(self, history: list[FrozenTrial]) -> bool:
        gained = None if self._settings.flat is None else gain_of_last(history, self._settings.direction)
        return gained is not None and gained[1] < (self._settings.flat or 0.0)

    def _next(self, history: list[FrozenTrial], busy: frozenset[str]) -> Draw | None:
        """The default, then the points to try, then what the sampler draws; None where every base is busy."""
        if not history:
            return default_draw(self._space)
        points = self._storage.get_study_user_attrs(self._study_id).get(POINTS, [])
        tried = sum(POINT in trial.system_attrs for trial in history)
        if tried == len(points):
            return self._draw(history, busy)
        point = points[tried]
        if self._space.base_of(point["parameters"]) in busy:
            return None
        notes = {PROPOSER: point["origin"], POINT: tried}
        return replace(draw_of(self._space, point["parameters"]), notes=notes)

    def _draw(self, history: list[FrozenTrial], busy: frozenset[str]) -> Draw | None:
        # What was planned at first, so that asking for more trials changes no proposal that is still to come.
        planned = self._storage.get_study_user_attrs(self._study_id)[PLANNED]
        settings = self._settings
        limited = settings.base_configurations is not None
        sampler = SamplerSettings(
            self._sampler,
            settings.search_seed,
            startup_trials(planned),
            settings.direction,
            shared_distributions(self._space, limited),
            drawn_distributions(self._space, limited),
            self._space.default,
            self._storage.get_study_user_attrs(self._study_id).get(EARLIER, {}).get("good", ()),
        )
        return propose(self._space, sampler, history, BaseRules(settings.base_configurations, planned, busy))

    def _begun(self, number: int, drawn: Draw) -> Proposal:
        """A new trial."""
        self._space.configuration(drawn.parameters)  # refused before it is written, if at all
        self._create(params=drawn.parameters, distributions=drawn.distributions, system_attrs=drawn.notes)
        return self._proposal(number, drawn.parameters, resumed=False)

    def _retry(self, trial: FrozenTrial) -> None:
        """Another attempt at a failed trial."""
        self._create(
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={RETRY_OF: trial.number},
            system_attrs={n: trial.system_attrs[n] for n in (PROPOSER, POINT) if n in trial.system_attrs},
        )

    def _create(self, **settled: Any) -> None:
        trial = create_trial(state=TrialState.RUNNING, **settled)
        expected = len(self._storage.get_all_trials(self._study_id, deepcopy=False))
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=trial)
        if self._storage.get_trial_number_from_id(trial_id) != expected:
            raise TuneCLError(
                f"trial {expected}: another process writes to the same study; run one search of a name at a time"
            )

    def _end(self, trial: FrozenTrial, state: TrialState, value: float | None) -> None:
        if trial.state is TrialState.RUNNING:
            values = None if value is None else [value]
            self._storage.set_trial_state_values(self._trial_id(trial.number), state, values)

    def _proposal(self, number: int, parameters: dict[str, Any], *, resumed: bool) -> Proposal:
        configuration = self._space.configuration(parameters)
        base, attempt = self._space.base_of(parameters), len(self._attempts()[number]) - 1 if resumed else 0
        proposer = self._trial(number).system_attrs.get(PROPOSER)
        return Proposal(number, dict(parameters), configuration, resumed, base, attempt, proposer)

    def _attempts(self) -> list[list[FrozenTrial]]:
        """Optuna's trials of each trial of the search, by its number: the first attempt, and those after failures."""
        attempts: list[list[FrozenTrial]] = []
        for trial in self._storage.get_all_trials(self._study_id, deepcopy=False):
            again = trial.user_attrs.get(RETRY_OF)
            if again is None:
                attempts.append([trial])
            else:
                attempts[again].append(trial)
        return attempts

    def _trials(self) -> list[FrozenTrial]:
        """The last attempt of each trial, under the trial's number."""
        return [numbered(of_trial[-1], number) for number, of_trial in enumerate(self._attempts())]

    def _trial(self, number: int) -> FrozenTrial:
        return numbered(self._storage.get_trial(self._trial_id(number)), number)

    def _trial_id(self, number: int) -> int:
        attempts = self._attempts()
        if not 0 <= number < len(attempts):
            raise ValueError(f"the study has no trial {number}")
        trial_id: int = attempts[number][-1]._trial_id
        return trial_id


def _found(storage: Any, name: str) -> int | None:
    try:
        study_id: int = storage.get_study_id_from_name(name)
    except KeyError:
        return None
    return study_id
