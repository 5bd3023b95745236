"""The scratch study of one proposal: the history as its sampler shall see it, copied into a fresh study in memory."""

import copy
import hashlib
import logging
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from tune_cl.metrics import Direction
from tune_cl.study._attributes import PROPOSER
from tune_cl.study._sampler import Sampler, SamplerContext, quiet_experiments

OPTUNA_DIRECTIONS = {"max": "maximize", "min": "minimize"}
_NAME = "scratch"


@dataclass(frozen=True)
class SamplerSettings:
    """Which sampler, from which seed."""

    sampler: Sampler
    seed: int  # the search seed
    startup: int  # trials before a model takes over from random sampling
    direction: Direction
    shared: Mapping[str, BaseDistribution] = field(default_factory=dict)  # of the parameters that every trial has
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)  # of all that the sampler draws
    default: Mapping[str, Any] = field(default_factory=dict)  # path -> value of trial 0
    good: Sequence[Mapping[str, Any]] = ()  # good configurations of earlier searches


def proposal_seed(search_seed: int, number: int, attempt: int = 0) -> int:
    """A 32-bit seed for one draw of one trial."""
    digest = hashlib.sha256(f"{search_seed}:{number}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


@dataclass(frozen=True)
class Scratch:
    """A new trial in a scratch study, from which parameters are drawn."""

    trial: optuna.Trial
    proposer: Sampler  # what proposes: the search's sampler, or the one that it chose

    def notes(self) -> dict[str, Any]:
        """What the trial must have in the real study: who proposed it, and what its sampler must find again."""
        found: dict[str, Any] = {}
        if self.proposer.keeps_notes:
            found = dict(self.trial.study.get_trials(deepcopy=False)[-1].system_attrs)
        return {**found, PROPOSER: str(self.proposer).partition("(")[0]}


def scratch_trial(
    settings: SamplerSettings,
    number: int,
    attempt: int,
    history: Sequence[FrozenTrial],
    told: Sequence[FrozenTrial] = (),
) -> Scratch:
    """A new trial in a fresh study in memory that has the history, with a fresh sampler.

    Args:
        settings: the sampler.
        number: of the trial in the search.
        attempt: how many proposals for it came to nothing.
        history: the trials before, as the sampler shall know them.
        told: refused draws. They count as pruned before they had any value, which TPE ranks last, and do not bring
            forward the end of the random trials.
    """
    sampler = settings.sampler
    context = SamplerContext(
        seed=proposal_seed(settings.seed, number, attempt),
        search_seed=settings.seed,
        number=number,
        attempt=attempt,
        startup=(getattr(sampler, "startup", None) or settings.startup) + len(told),
        direction=settings.direction,
        shared=settings.shared,
        distributions=settings.distributions,
        reported=sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in history),
    )
    proposer = sampler.proposer(context)
    storage = _ScratchStorage()
    with quiet_optuna(), quiet_experiments():
        scratch = optuna.create_study(
            study_name=_NAME,
            storage=storage,
            sampler=proposer.make(context),
            direction=OPTUNA_DIRECTIONS[settings.direction],
        )
        if proposer.uses_history:  # another is not even shown the history
            storage.add(seen_by(proposer, [*history, *told], settings))
        return Scratch(scratch.ask(), proposer)


def seen_by(sampler: Sampler, history: Sequence[FrozenTrial], settings: SamplerSettings) -> Sequence[FrozenTrial]:
    """A history as a sampler shall see it."""
    if not sampler.sees_stopped:
        history = as_finished(history, settings.direction)
    if sampler.fills_conditional:
        history = [_filled(trial, settings) for trial in history]
    return history


def _filled(trial: FrozenTrial, settings: SamplerSettings) -> FrozenTrial:
    """A trial with every parameter: those that do not count in it have their defaults."""
    missing = [path for path in settings.distributions if path not in trial.params]
    if not missing:
        return trial
    filled = copy.copy(trial)
    filled.params = {**trial.params, **{path: settings.default[path] for path in missing}}
    filled.distributions = {**trial.distributions, **{path: settings.distributions[path] for path in missing}}
    return filled


class _Shared(FrozenTrial):  # type: ignore[misc]
    """A historic trial that the scratch storage takes over without a deep copy: nothing there changes it."""

    def __deepcopy__(self, memo: Any) -> "_Shared":
        return self


class _ScratchStorage(InMemoryStorage):  # type: ignore[misc]
    """Optuna's storage in memory, filled with a history at once; a copy of 1,000 trials took three times the draw."""

    def add(self, trials: Sequence[FrozenTrial]) -> None:
        """Add trials to the study."""
        study = self.get_study_id_from_name(_NAME)
        for trial in trials:
            shared = copy.copy(trial)
            shared.__class__ = _Shared
            self.create_new_trial(study, template_trial=shared)


def as_finished(history: Sequence[FrozenTrial], direction: Direction) -> list[FrozenTrial]:
    """A history for a sampler that learns from finished trials alone: stopped ones with the final score to expect.

    The expected score is regressed, on the finished trials, from the score at the increment where the trial was
    stopped. The slope is drawn towards 1, a lead that stays, as by one more trial that differs from them as trials
    differ at that increment: finished trials that are all alike say nothing of how far behind a stopped one ends. The
    expected score is never better than the best finished one. A trial that reported nothing (a refused draw) has the
    worst score of all.
    """
    finished = [trial for trial in history if trial.state is TrialState.COMPLETE]
    if not finished:
        return list(history)
    values = [float(trial.value) for trial in finished]
    best, worst = (max(values), min(values)) if direction == "max" else (min(values), max(values))

    def expected(trial: FrozenTrial) -> float:
        if trial.last_step is None:
            return worst
        found = _regressed(finished, history, trial.last_step, trial.intermediate_values[trial.last_step])
        return min(found, best) if direction == "max" else max(found, best)

    return [_ended(trial, expected(trial)) if trial.state is TrialState.PRUNED else trial for trial in history]


def _regressed(finished: Sequence[FrozenTrial], history: Sequence[FrozenTrial], increment: int, score: float) -> float:
    pairs = [(t.intermediate_values[increment], float(t.value)) for t in finished if increment in t.intermediate_values]
    if not pairs:
        return score
    at, final = zip(*pairs, strict=True)
    mean_at, mean_final = statistics.fmean(at), statistics.fmean(final)
    prior = statistics.pvariance(
        t.intermediate_values[increment] for t in history if increment in t.intermediate_values
    )
    covariance = sum((a - mean_at) * (f - mean_final) for a, f in pairs) + prior
    spread = sum((a - mean_at) ** 2 for a in at) + prior
    slope = max(0.0, covariance / spread) if spread else 1.0
    return mean_final + slope * (score - mean_at)


def _ended(trial: FrozenTrial, value: float) -> FrozenTrial:
    ended = copy.copy(trial)
    ended.state, ended.value = TrialState.COMPLETE, value
    return ended


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Hold back Optuna's notes on studies made and opened; its warnings still come through."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
