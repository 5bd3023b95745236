"""An engine beside Ray: recorded curves and costs, replayed through the real adapters on a virtual clock, in seconds.

Real are the study, its sampler and stopping rule, the conductor, and the adapters that Ray would call. Made up are the
workers, of whom each follows a chain through its stages: one that is stored costs nothing, one that another worker
trains is waited for, any other is trained at its recorded cost. Time and cost have one unit, that of `Simulation.cost`.
"""

import heapq
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from simulator._recording import NearestTrial, recorded_space
from simulator._records import RecordedIncrement, RecordedStage, RecordedTrial, Recording
from simulator._simulated import SimulatedSearch, SimulatedTrial
from tune_cl.chain import stage_ingredients
from tune_cl.engine import Conductor, StudyScheduler, StudySearcher
from tune_cl.errors import TuneCLError
from tune_cl.methods import Phase, get_method
from tune_cl.metrics import Direction, default_direction
from tune_cl.options import Numerics
from tune_cl.records import IncrementRow, RunConfig, SearchFolder, SearchRecord, SearchSeeds, StageUse
from tune_cl.store import stage_key
from tune_cl.study import (
    SearchSpace,
    Study,
    StudySettings,
    check_base_configurations,
    check_option,
)
from tune_cl.tracking import Trackers

Cost = Literal["cpu_seconds", "images_trained"] | Callable[[int, str], float]

# A folder in memory where there is one: the records of a search of 64 trials are flushed to disk some 700 times.
_MEMORY = Path("/dev/shm")
_NUMERICS = Numerics().resolved()


@dataclass(frozen=True)
class Simulation:
    """How a recording is replayed.

    Attributes:
        trials: how many are wanted.
        sampler: such as `tpe` or `random`.
        search_seed: of the proposals.
        scheduler: a stopping rule such as `halving` or `none`.
        base_configurations: k, distinct bases that may be trained; None for no limit.
        workers: how many trials run at a time.
        sharing: whether a stage that one trial trained is there for the others. The study does not know: with several
            workers it defers trials all the same.
        cost: of a stage: as recorded, or a function of increment and phase.
        objective: what is searched for, None for what the recorded search had.
        budget: no trial is begun once this much has been paid; None for no limit.
        horizon: last increment, None for the recorded one. Beyond it, the last recorded increment is repeated, which
            needs a cost function.
        ranges: path -> range in place of a recorded one, as in a space file.
    """

    trials: int = 32
    sampler: str = "tpe"
    search_seed: int = 0
    scheduler: str = "halving"
    base_configurations: int | None = None
    workers: int = 1
    sharing: bool = True
    cost: Cost = "cpu_seconds"
    objective: str | None = None
    budget: float | None = None
    horizon: int | None = None
    ranges: Mapping[str, Any] = field(default_factory=dict)


def simulate(recording: Recording, simulation: Simulation) -> SimulatedSearch:
    """Run a search on recorded trials.

    Example:
        >>> recording = read_record(Path("benchmarks/recordings/genifer-fashion-b4-t3-quick.json"), Recording)
        >>> search = simulate(recording, Simulation(trials=64, workers=4))
        >>> search.best_value, search.saving, search.bound

    Raises:
        TuneCLError: an option is wrong, or costs are not known.
    """
    for name in ("trials", "sampler", "scheduler"):
        check_option(name, getattr(simulation, name), name)
    for name in ("base_configurations", "objective"):
        if getattr(simulation, name) is not None:
            check_option(name, getattr(simulation, name), name)
    if simulation.workers < 1:
        raise TuneCLError(f"workers: {simulation.workers} workers run nothing; give at least 1")
    if simulation.horizon is not None and simulation.horizon < 1:
        raise TuneCLError(f"horizon: {simulation.horizon} leaves nothing to learn; give at least 1")
    space = recorded_space(recording, simulation.ranges)
    check_base_configurations(space, simulation.base_configurations)
    with tempfile.TemporaryDirectory(prefix="tune_cl-simulation-", dir=_in_memory()) as scratch:
        folder = SearchFolder(Path(scratch))
        record = _search_record(recording, simulation, space)
        study = Study.open(folder.study, record.name, space, StudySettings.of(record))
        conductor = Conductor(study, space, record, folder, Trackers([]), slots=simulation.workers)
        workers = _Workers(recording, simulation, conductor, record.horizon)
        workers.run()
        return workers.result(study, record.direction)


@dataclass(frozen=True)
class _Stage:
    """A stage that a chain needs next."""

    key: str
    cost: float


@dataclass(frozen=True)
class _Stored:
    """A stage in the simulated store: which trial trained it, at what cost."""

    trainer: int
    cost: float


@dataclass
class _Running:
    """A trial in the hands of a simulated worker; `config` is what Ray's trials carry, for the scheduler."""

    number: int
    config: Mapping[str, Any]
    replays: RecordedTrial
    began: float
    chain: Iterator[_Stage] = field(default_factory=lambda: iter(()))
    base_configuration: str = ""  # key of the last base stage, which names all of them
    ended: float = math.nan
    paid_by_all: float = math.nan  # when it ended
    paid: float = 0.0
    alone: float = 0.0
    base: float = 0.0
    waited: float = 0.0


class _Workers:
    """Simulated workers, the stage store that they share, and the clock."""

    def __init__(self, recording: Recording, simulation: Simulation, conductor: Conductor, horizon: int) -> None:
        self._recording, self._simulation, self._horizon = recording, simulation, horizon
        self._method = get_method(recording.method)
        self._nearest = NearestTrial(recording)
        self._searcher = StudySearcher(conductor)
        self._scheduler = StudyScheduler(conductor, horizon)
        self._now = 0.0
        self._free = [0.0] * simulation.workers  # since when each of them is
        self._exhausted = False  # nothing is left to begin
        self._deferred = 0.0
        self._paid = 0.0
        self._trials: list[_Running] = []  # in the order of their beginning
        self._stored: dict[str, _Stored] = {}
        self._in_training: dict[str, list[tuple[_Running, float]]] = {}  # stage -> who waits for it, since when
        self._events: list[tuple[float, int, _Running, _Stage]] = []  # (time, tie-break, trainer, stage trained)
        self._n_events = 0

    def run(self) -> None:
        """Hand out trials and let the clock run until nothing is left to do."""
        self._hand_out()
        while self._events:
            self._now, _, trainer, stage = heapq.heappop(self._events)
            self._stored[stage.key] = _Stored(trainer.number, stage.cost)
            self._paid += stage.cost
            trainer.paid += stage.cost
            waiting = self._in_training.pop(stage.key)
            self._advance(trainer)
            for trial, since in waiting:
                trial.waited += self._now - since
                self._advance(trial)
            self._hand_out()
        if not self._exhausted:
            raise RuntimeError("the searcher defers a trial although none is running")

    def result(self, study: Study, direction: Direction) -> SimulatedSearch:
        """What came of it."""
        views = study.trials()
        trials = [
            SimulatedTrial(
                number=trial.number,
                parameters=views[trial.number].parameters,
                state=views[trial.number].state,
                values=views[trial.number].values,
                replays=trial.replays.trial,
                base_configuration=trial.base_configuration,
                began=trial.began,
                ended=trial.ended,
                paid=trial.paid,
                alone=trial.alone,
                base=trial.base,
                waited=trial.waited,
                paid_by_all=trial.paid_by_all,
            )
            for trial in self._trials
        ]
        return SimulatedSearch(tuple(trials), self._horizon, direction, self._deferred, makespan=self._now)

    def _hand_out(self) -> None:
        """Give each free worker a trial, as long as there are any; those who get none ask again at the next event."""
        while self._free and not self._exhausted:
            budget = self._simulation.budget
            over = budget is not None and self._paid >= budget
            config = Searcher.FINISHED if over else self._searcher.suggest(f"simulated-{len(self._trials)}")
            if config is None:
                return
            if config == Searcher.FINISHED:
                self._exhausted = True
                return
            assert isinstance(config, dict)
            self._deferred += self._now - self._free.pop(0)
            self._begin(config)

    def _begin(self, config: Mapping[str, Any]) -> None:
        run = RunConfig.model_validate_json(config["run"])
        trial = _Running(config["trial"], config, self._nearest(run.parameters), self._now)
        trial.chain = self._chain(trial, run)
        self._trials.append(trial)
        self._advance(trial)

    def _advance(self, trial: _Running) -> None:
        """Follow a trial's chain to the next stage that takes time, or to its end."""
        for stage in trial.chain:
            if stage.key in self._stored:
                continue
            if stage.key in self._in_training:
                self._in_training[stage.key].append((trial, self._now))
                return
            self._in_training[stage.key] = []
            self._n_events += 1
            heapq.heappush(self._events, (self._now + stage.cost, self._n_events, trial, stage))
            return
        trial.ended, trial.paid_by_all = self._now, self._paid
        self._free.append(self._now)

    def _chain(self, trial: _Running, run: RunConfig) -> Iterator[_Stage]:
        """The stages that a trial needs, one after another; each is in the store when the next is asked for."""
        config = self._method.config.model_validate(run.parameters)
        store = "" if self._simulation.sharing else f"{trial.number}:"
        key: str | None = None
        for increment in range(self._horizon + 1):
            uses: list[StageUse] = []
            for phase in self._method.phases(config, increment, self._horizon):
                subtree = self._method.subtree(config, increment, phase)
                place = {"increment": increment}
                key = stage_key(stage_ingredients(key, place, run.train_seed, phase, subtree, _NUMERICS))
                stage = _Stage(store + key, self._cost(trial, increment, phase))
                yield stage
                stored = self._stored[stage.key]
                trial.alone += stored.cost
                trial.base += stored.cost if increment == 0 else 0.0
                uses.append(_use(phase, key, stored, trial.number))
            trial.base_configuration = trial.base_configuration or str(key)
            if not self._goes_on(trial, increment, uses):
                return

    def _goes_on(self, trial: _Running, increment: int, uses: list[StageUse]) -> bool:
        """Report an increment as the Trainable would, and ask the scheduler as Ray would."""
        recorded = self._recorded(trial, increment)
        row = IncrementRow(
            trial=trial.number,
            increment=increment,
            metrics=recorded.metrics,
            accuracy_row=recorded.accuracy_row,
            losses={},
            stages=uses,
            node="simulated",
        )
        answer = self._scheduler.on_trial_result(None, trial, {"row": row.model_dump_json()})
        return answer == TrialScheduler.CONTINUE

    def _recorded(self, trial: _Running, increment: int) -> RecordedIncrement:
        return trial.replays.increments[min(increment, self._recording.horizon)]

    def _cost(self, trial: _Running, increment: int, phase: Phase) -> float:
        where = f"cost of the {phase.name} phase of increment {increment}"
        cost = self._simulation.cost
        if callable(cost):
            value = cost(increment, phase.name)
            if not (math.isfinite(value) and value >= 0):
                raise TuneCLError(f"{where}: {value!r} is no cost; it takes a number of at least 0")
            return float(value)
        for stage in self._recorded(trial, increment).stages if increment <= self._recording.horizon else ():
            if stage.phase == phase.name:
                return _recorded_cost(stage, cost)
        raise TuneCLError(f"{where}: it was not recorded; give a cost function, or a smaller horizon")


def _use(phase: Phase, key: str, stored: _Stored, trial: int) -> StageUse:
    origin: Literal["trained", "reused"] = "trained" if stored.trainer == trial else "reused"
    return StageUse(phase=phase.name, key=key, origin=origin, seconds=stored.cost, images_trained=0)


def _recorded_cost(stage: RecordedStage, cost: str) -> float:
    if cost == "images_trained":
        return float(stage.images_trained)
    return stage.seconds if stage.cpu_seconds is None else stage.cpu_seconds


def _search_record(recording: Recording, simulation: Simulation, space: SearchSpace) -> SearchRecord:
    """The definition of the simulated search, as the conductor wants it."""
    return SearchRecord(
        name="simulation",
        method=recording.method,
        stream=recording.stream,
        scale=recording.scale,
        budget=recording.budget,
        protocol="stream",
        horizon=recording.horizon if simulation.horizon is None else simulation.horizon,
        objective=check_option("objective", simulation.objective or recording.objective, "objective"),
        direction=default_direction(simulation.objective) if simulation.objective else recording.direction,
        seeds=SearchSeeds(search=simulation.search_seed, train=recording.train_seed),
        sampler=simulation.sampler,
        scheduler=simulation.scheduler,
        base_configurations=simulation.base_configurations,
        threads=recording.threads,
        device=recording.device,
        fixed=dict(space.fixed),
        ranges=space.written_ranges(),
        default=dict(space.default),
        data_fingerprint="",
        trials=simulation.trials,
    )


def _in_memory() -> Path | None:
    return _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else None
