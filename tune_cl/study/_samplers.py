"""Proposals: each is a function of the search seed, the trial's number and the history, and of nothing else.

For every proposal the history is copied into a fresh Optuna study in memory, with a fresh sampler, and the drawn trial
is written to the real study in one piece. So no random state outlives a proposal, a crash leaves no half-drawn trial,
and a draw that the method refuses is drawn again: the scratch study has it as the worst of all trials, so that the
sampler looks elsewhere. If many in a row are refused, a random one is settled with an allowed configuration.
"""

import copy
import hashlib
import logging
import random
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tune_cl.metrics import Direction
from tune_cl.study._ranges import Range
from tune_cl.study._sampler import Random, Sampler, SamplerContext, quiet_experiments
from tune_cl.study._space import SearchSpace, is_base

OPTUNA_DIRECTIONS = {"max": "maximize", "min": "minimize"}

# After so many refused draws the next one is settled (see `settled`).
_MAX_DRAWS = 50
# So many random draws are settled in search of a base that is not refused.
_MAX_SETTLED = 20
# Bases in flight come up again in so many draws only where a base has few values: then another way is better.
_MAX_BUSY_DRAWS = 20


@dataclass(frozen=True)
class SamplerSettings:
    """Which sampler, from which seed."""

    sampler: Sampler
    seed: int  # the search seed
    startup: int  # trials before a model takes over from random sampling
    direction: Direction
    shared: Mapping[str, BaseDistribution] = field(default_factory=dict)  # of the parameters that every trial has


@dataclass(frozen=True)
class Draw:
    """What was sampled, and from which distributions (path -> …); conditional parameters only where they count."""

    parameters: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    notes: dict[str, Any] = field(default_factory=dict)  # what the sampler must find at later proposals


def shared_distributions(space: SearchSpace, limited: bool) -> dict[str, BaseDistribution]:
    """The distributions of the parameters that every trial draws.

    Args:
        space: what is searched.
        limited: whether the bases are limited, so that most trials take an open one and draw no `base.*`.
    """
    return {
        path: distribution(range_)
        for path, range_ in space.ranges.items()
        if not range_.when and not (limited and is_base(path))
    }


def check_sampler(space: SearchSpace, sampler: Sampler, where: str) -> None:
    """Check that a sampler can search a space.

    Raises:
        TuneCLError: it cannot.
    """
    sampler.check({path: distribution(range_) for path, range_ in space.ranges.items()}, where)


def startup_trials(trials: int) -> int:
    """Random trials before TPE: a third of the search, at least 2 (TPE compares) and at most 10 (Optuna's default)."""
    return min(max(2, trials // 3), 10)


def proposal_seed(search_seed: int, number: int, attempt: int = 0) -> int:
    """A 32-bit seed for one draw of one trial."""
    digest = hashlib.sha256(f"{search_seed}:{number}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def default_draw(space: SearchSpace) -> Draw:
    """Trial 0: the default, as if it had been sampled."""
    return draw_of(space, space.default_sample())


def draw(
    space: SearchSpace, settings: SamplerSettings, history: Sequence[FrozenTrial], refused: Collection[str] = ()
) -> Draw | None:
    """Draw the next trial from all ranges; its number is the length of the history.

    Combinations that the method refuses (a rule across fields) are drawn again, from a seed that counts the attempts:
    they cost no trial. `when:` avoids them in the space.

    Args:
        space: what is searched.
        settings: the sampler.
        history: all trials of the study in order of their numbers, running and failed ones too.
        refused: bases (`SearchSpace.base_of`) that the draw must not have.

    Returns:
        The draw, or None if every one of many draws has a refused base.
    """
    return first_allowed(
        space,
        lambda attempt, told: _draw_once(space, settings, history, attempt, told),
        lambda attempt: settled(space, space.default_sample(), _at_random(space, settings, history, attempt)),
        refused,
    )


def first_allowed(
    space: SearchSpace,
    draw_once: Callable[[int, Sequence[FrozenTrial]], "Attempt"],
    draw_settled: Callable[[int], Draw | None],
    refused: Collection[str] = (),
) -> Draw | None:
    """The first of many attempts that the method allows and whose base is not refused; None if all bases are refused.

    Args:
        space: what is searched.
        draw_once: draws, given the number of the attempt and what the method has refused of this proposal so far.
        draw_settled: draws what the method allows for certain; asked when it has refused many.
        refused: bases that the draw must not have.
    """
    told: list[FrozenTrial] = []
    busy = 0
    for number in range(_MAX_DRAWS):
        attempt = draw_once(number, told)
        if space.complaint(attempt.drawn.parameters) is not None:
            told.append(create_trial(state=TrialState.PRUNED, **_as_trial(attempt.shown)))
        elif not refused or space.base_of(attempt.drawn.parameters) not in refused:
            return attempt.drawn
        else:
            busy += 1
        if busy == _MAX_BUSY_DRAWS:
            return None
    for number in range(_MAX_DRAWS, _MAX_DRAWS + _MAX_SETTLED):
        drawn = draw_settled(number)
        if drawn is not None and space.base_of(drawn.parameters) not in refused:
            return drawn
    return None


@dataclass(frozen=True)
class Attempt:
    """A draw, and the same in the parameters that the sampler knows."""

    drawn: Draw
    shown: Draw


def settled(space: SearchSpace, allowed: Mapping[str, Any], drawn: Mapping[str, Any]) -> Draw:
    """An allowed configuration with as much of a draw as the method takes: its values are put in one after the other.

    Args:
        space: what is searched.
        allowed: a sample that the method allows, such as the default's.
        drawn: values to put in, in this order.
    """
    values = dict(allowed)
    for path, value in drawn.items():
        tried = {**values, path: value}
        if space.complaint(space.sample_of(tried)) is None:
            values = tried
    return draw_of(space, space.sample_of(values))


def draw_of(space: SearchSpace, sample: Mapping[str, Any]) -> Draw:
    """A sample with the distributions of its parameters."""
    return Draw(dict(sample), {path: distribution(space.ranges[path]) for path in sample})


def distribution(range_: Range) -> BaseDistribution:
    """The Optuna distribution of a range."""
    if range_.kind == "choice":
        return CategoricalDistribution(range_.values)
    low, high = range_.values
    if range_.kind == "int":
        return IntDistribution(low, high)
    return FloatDistribution(low, high, log=range_.kind == "log")


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Hold back Optuna's notes on studies made and opened; its warnings still come through."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _draw_once(
    space: SearchSpace,
    settings: SamplerSettings,
    history: Sequence[FrozenTrial],
    attempt: int,
    told: Sequence[FrozenTrial],
) -> Attempt:
    trial = scratch_trial(settings, len(history), attempt, history, told)
    parameters: dict[str, Any] = {}
    for path, range_ in space.ranges.items():
        if space.is_searched(path, parameters):
            parameters[path] = suggest(trial, path, range_)
    drawn = Draw(parameters, trial.distributions, notes_of(trial, settings))
    return Attempt(drawn, drawn)


def _at_random(
    space: SearchSpace, settings: SamplerSettings, history: Sequence[FrozenTrial], attempt: int
) -> dict[str, Any]:
    """A random value for every range, in a random order."""
    trial = scratch_trial(replace(settings, sampler=Random()), len(history), attempt, ())
    drawn = {path: suggest(trial, path, range_) for path, range_ in space.ranges.items()}
    return in_random_order(drawn, proposal_seed(settings.seed, len(history), attempt))


def in_random_order(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The same mapping, its keys shuffled."""
    paths = sorted(values)
    random.Random(seed).shuffle(paths)
    return {path: values[path] for path in paths}


def scratch_trial(
    settings: SamplerSettings,
    number: int,
    attempt: int,
    history: Sequence[FrozenTrial],
    told: Sequence[FrozenTrial] = (),
) -> optuna.Trial:
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
    )
    with quiet_optuna(), quiet_experiments():
        scratch = optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            sampler=sampler.make(context),
            direction=OPTUNA_DIRECTIONS[settings.direction],
        )
        if sampler.uses_history:  # another is not even shown the history
            shown = [*history, *told]
            scratch.add_trials(shown if sampler.sees_stopped else as_finished(shown, settings.direction))
        return scratch.ask()


def notes_of(trial: optuna.Trial, settings: SamplerSettings) -> dict[str, Any]:
    """What the sampler has noted on a trial and must find again."""
    if not settings.sampler.keeps_notes:
        return {}
    found: FrozenTrial = trial.study.get_trials(deepcopy=False)[-1]
    return dict(found.system_attrs)


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


def _as_trial(drawn: Draw) -> dict[str, Any]:
    return {"params": drawn.parameters, "distributions": drawn.distributions}


def suggest(trial: optuna.Trial, path: str, range_: Range) -> Any:
    """Draw a parameter from its range."""
    if range_.kind == "choice":
        return trial.suggest_categorical(path, range_.values)
    low, high = range_.values
    if range_.kind == "int":
        return trial.suggest_int(path, low, high)
    return trial.suggest_float(path, low, high, log=range_.kind == "log")
