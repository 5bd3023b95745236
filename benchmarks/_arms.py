"""What searches on a surrogate: our study with a sampler and a stopping rule, and Optuna used plainly."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import optuna
from _surrogate import GaussianProcess, Surrogate
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from tune_cl.study import Knowledge, Proposal, Range, SearchSpace, Study, StudySettings
from tune_cl.study._attributes import PLANNED
from tune_cl.study._knowledge import add_knowledge


@dataclass(frozen=True)
class Trial:
    """One trial of a simulated search."""

    parameters: dict[str, Any]
    final: float | None  # what the search saw at the horizon; None where it was stopped
    paid: float  # full trials paid when it ended, less the base task


@dataclass(frozen=True)
class Problem:
    """What is searched."""

    space: SearchSpace
    surrogate: Surrogate

    def whole(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The recorded parameters of a sample, fixed ones too."""
        return {path: {**self.space.default, **parameters}[path] for path in self.surrogate.paths}

    def value(self, parameters: dict[str, Any]) -> float:
        """Without noise."""
        return float(self.surrogate.curve(self.whole(parameters))[-1])


Arm = Callable[[Problem, int, int], list[Trial]]  # budget in full trials, search seed -> trials


def ours(
    sampler: str,
    stopping: str = "halving",
    *,
    earlier: Literal["helpful", "misleading"] | None = None,
    believe_default: bool = False,
) -> Arm:
    """The study of a search, one worker.

    Args:
        sampler: as `--sampler` has it.
        stopping: as `--scheduler` has it.
        earlier: `--warm-start` with a search of 16 random trials of which the first increment was the last (see
            `_earlier`); the misleading one takes its worst for its best.
        believe_default: `confidence: medium` at every parameter, which makes its default a prior.
    """

    def run(problem: Problem, budget: int, seed: int) -> list[Trial]:
        storage = InMemoryStorage()
        study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "simulated")
        storage.set_study_user_attr(study_id, PLANNED, budget)
        horizon = problem.surrogate.horizon
        space = problem.space
        if earlier is not None:
            add_knowledge(storage, study_id, _earlier(problem, seed, worst=earlier == "misleading"), False, "simulated")
        if believe_default:
            believed = {path: replace(found, confidence="medium") for path, found in space.ranges.items()}
            space = replace(space, ranges=believed)
        settings = StudySettings(
            sampler=sampler,
            search_seed=seed,
            trials=8 * budget,
            objective="val/average_incremental_accuracy",
            direction="max",
            horizon=horizon,
            stopping=stopping,
        )
        study = Study(storage, study_id, space, settings)
        trials: list[Trial] = []
        paid = 0.0
        while paid < budget - 1e-9 and isinstance(proposal := study.ask(), Proposal):
            curve = problem.surrogate.noisy(problem.whole(proposal.parameters), seed)
            final: float | None = None
            for increment in range(horizon + 1):
                paid += (increment > 0) / horizon
                if study.report(proposal.number, increment, float(curve[increment])) == "stop":
                    study.tell_stopped(proposal.number)
                    break
            else:
                study.tell_finished(proposal.number)
                final = float(curve[-1])
            trials.append(Trial(proposal.parameters, final, paid))
        return trials

    return run


def _earlier(problem: Problem, seed: int, *, worst: bool) -> Knowledge:
    """What a search of 16 random trials on the stream's first increment, under another train seed, knew at its end."""
    rng = random.Random(f"earlier:{seed}")
    samples = []
    for _ in range(16):
        places = {path: rng.random() for path in problem.space.ranges}
        samples.append({path: _at(problem.space.ranges[path], place) for path, place in places.items()})
    seen = [float(problem.surrogate.noisy(problem.whole(found), 1000 + seed)[1]) for found in samples]
    order = sorted(range(16), key=lambda i: seen[i], reverse=not worst)
    good = tuple(samples[i] for i in order[:4])
    return Knowledge(searches=("earlier",), best=good[:1], good=good)


def _at(found: Range, place: float) -> Any:
    if found.kind == "choice":
        return found.values[int(place * len(found.values))]
    low, high = found.values
    return low * (high / low) ** place if found.kind == "log" else low + place * (high - low)


def plain(make: Callable[[int], optuna.samplers.BaseSampler]) -> Arm:
    """A study of Optuna as its tutorial has it: no pruner, no trial of the default."""

    def run(problem: Problem, budget: int, seed: int) -> list[Trial]:
        study = optuna.create_study(sampler=make(seed), direction="maximize")

        def objective(trial: optuna.Trial) -> float:
            parameters: dict[str, Any] = {}
            for path, found in problem.space.ranges.items():
                if found.kind == "choice":
                    parameters[path] = trial.suggest_categorical(path, found.values)
                else:
                    parameters[path] = trial.suggest_float(path, *found.values, log=found.kind == "log")
            return float(problem.surrogate.noisy(problem.whole(parameters), seed)[-1])

        study.optimize(objective, n_trials=budget)
        return [Trial(t.params, t.value, t.number + 1.0) for t in study.trials if t.state is TrialState.COMPLETE]

    return run


def best_seen(problem: Problem, trials: Sequence[Trial]) -> dict[str, Any]:
    """The finished trial with the best value that the search saw."""
    return max((t for t in trials if t.final is not None), key=lambda t: t.final or 0.0).parameters


def best_mean(problem: Problem, trials: Sequence[Trial]) -> dict[str, Any]:
    """The finished trial with the best posterior mean of a Gaussian process over the finished ones."""
    finished = [t for t in trials if t.final is not None]
    if len(finished) < 4:
        return best_seen(problem, trials)
    places = np.array([problem.surrogate.place(problem.whole(t.parameters)) for t in finished])
    varied = places.std(axis=0) > 0
    model = GaussianProcess(places[:, varied], np.array([t.final for t in finished]), restarts=1)
    return finished[int(model.mean(places[:, varied]).argmax())].parameters
