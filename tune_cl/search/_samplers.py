"""Samplers: a proposal is a function of the search seed, the trial's number and the history, and of nothing else.

For every proposal the history is copied into a fresh Optuna study in memory, with a fresh sampler, and the drawn trial
is written to the real study in one piece. So no random state outlives a proposal, a crash leaves no half-drawn trial,
and a draw that the method refuses can be thrown away.
"""

import hashlib
import logging
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from tune_cl.errors import TuneCLError
from tune_cl.search._options import Direction
from tune_cl.search._ranges import Range
from tune_cl.search._space import SearchSpace

OPTUNA_DIRECTIONS = {"max": "maximize", "min": "minimize"}

# A space that refuses this many draws in a row is refused itself: it would be searched blindly.
_MAX_DRAWS = 100
# Bases in flight come up again in so many draws only where a base has few values: then another way is better.
_MAX_BUSY_DRAWS = 20


@dataclass(frozen=True)
class SamplerSettings:
    """Which sampler, from which seed."""

    name: str  # tpe or random
    seed: int  # the search seed
    startup: int  # told trials before TPE takes over from random sampling
    direction: Direction


@dataclass(frozen=True)
class Draw:
    """What was sampled, and from which distributions (path -> …); conditional parameters only where they count."""

    parameters: dict[str, Any]
    distributions: dict[str, BaseDistribution]


def startup_trials(trials: int) -> int:
    """Random trials before TPE: a third of the search, at least 2 (TPE compares) and at most 10 (Optuna's default)."""
    return min(max(2, trials // 3), 10)


def proposal_seed(search_seed: int, number: int, attempt: int = 0) -> int:
    """A 32-bit seed for one draw of one trial."""
    digest = hashlib.sha256(f"{search_seed}:{number}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def default_draw(space: SearchSpace) -> Draw:
    """Trial 0: the default, as if it had been sampled."""
    parameters = space.default_sample()
    return Draw(parameters, {path: distribution(space.ranges[path]) for path in parameters})


def draw(
    space: SearchSpace, settings: SamplerSettings, history: Sequence[FrozenTrial], refused: Collection[str] = ()
) -> Draw | None:
    """Draw the next trial from all ranges; its number is the length of the history.

    Combinations that the method refuses (a rule across fields) are drawn again, from a seed that counts the attempts:
    they cost no trial and teach the sampler nothing wrong. `when:` avoids them in the space.

    Args:
        space: what is searched.
        settings: the sampler.
        history: all trials of the study in order of their numbers, running and failed ones too.
        refused: bases (`SearchSpace.base_of`) that the draw must not have.

    Returns:
        The draw, or None if every one of many draws has a refused base.

    Raises:
        TuneCLError: the method refuses every one of many draws.
    """
    return first_allowed(space, lambda attempt: _draw_once(space, settings, history, attempt), refused)


def first_allowed(space: SearchSpace, draw_once: Callable[[int], Draw], refused: Collection[str] = ()) -> Draw | None:
    """The first of many attempts that the method allows and whose base is not refused; None if all bases are refused.

    Raises:
        TuneCLError: the method refuses every attempt.
    """
    complaint: str | None = None
    busy = 0
    for attempt in range(_MAX_DRAWS):
        drawn = draw_once(attempt)
        complaint = space.complaint(drawn.parameters)
        if complaint is None and (not refused or space.base_of(drawn.parameters) not in refused):
            return drawn
        busy += complaint is None
        if busy == _MAX_BUSY_DRAWS:
            break
    if busy:
        return None
    raise TuneCLError(
        f"{space.source}: {_MAX_DRAWS} draws in a row are not allowed by the method, the last because: {complaint}; "
        "add `when:` to the parameters that exclude each other, or fix one of them"
    )


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


def _draw_once(space: SearchSpace, settings: SamplerSettings, history: Sequence[FrozenTrial], attempt: int) -> Draw:
    seed = proposal_seed(settings.seed, len(history), attempt)
    trial = scratch_trial(settings, seed, history)
    parameters: dict[str, Any] = {}
    for path, range_ in space.ranges.items():
        if space.is_searched(path, parameters):
            parameters[path] = suggest(trial, path, range_)
    return Draw(parameters, trial.distributions)


def scratch_trial(settings: SamplerSettings, seed: int, history: Sequence[FrozenTrial]) -> optuna.Trial:
    """A new trial in a fresh study in memory that has the history, with a fresh sampler."""
    with quiet_optuna():
        scratch = optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            sampler=_sampler(settings, seed),
            direction=OPTUNA_DIRECTIONS[settings.direction],
        )
    if settings.name == "tpe":  # random sampling is not even shown the history
        scratch.add_trials(history)
    return scratch.ask()


def suggest(trial: optuna.Trial, path: str, range_: Range) -> Any:
    """Draw a parameter from its range."""
    if range_.kind == "choice":
        return trial.suggest_categorical(path, range_.values)
    low, high = range_.values
    if range_.kind == "int":
        return trial.suggest_int(path, low, high)
    return trial.suggest_float(path, low, high, log=range_.kind == "log")


def _sampler(settings: SamplerSettings, seed: int) -> BaseSampler:
    if settings.name == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        # `group` has been called experimental since Optuna 2.8; conditional parameters need it.
        warnings.filterwarnings("ignore", "Argument ``group`` is an experimental feature", ExperimentalWarning)
        return TPESampler(
            seed=seed, n_startup_trials=settings.startup, multivariate=True, group=True, constant_liar=True
        )
