"""Proposals: each is a function of the search seed, the trial's number and the history, and of nothing else.

For every proposal the history is copied into a fresh Optuna study in memory, with a fresh sampler, and the drawn trial
is written to the real study in one piece. So no random state outlives a proposal, a crash leaves no half-drawn trial,
and a draw that the method refuses is drawn again: the scratch study has it as the worst of all trials, so that the
sampler looks elsewhere. If many in a row are refused, a random one is settled with an allowed configuration.
"""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tune_cl.study._attributes import PRIOR, PROPOSER
from tune_cl.study._prior import believed
from tune_cl.study._ranges import Range
from tune_cl.study._sampler import Random, Sampler
from tune_cl.study._scratch import SamplerSettings, proposal_seed, scratch_trial
from tune_cl.study._space import SearchSpace, is_base

# After so many refused draws the next one is settled (see `settled`).
_MAX_DRAWS = 50
# So many random draws are settled in search of a base that is not refused.
_MAX_SETTLED = 20
# Bases in flight come up again in so many draws only where a base has few values: then another way is better.
_MAX_BUSY_DRAWS = 20


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


def drawn_distributions(space: SearchSpace, limited: bool) -> dict[str, BaseDistribution]:
    """The distributions of all parameters that a sampler draws; where bases are limited, `base.*` is seldom drawn."""
    return {path: distribution(found) for path, found in space.ranges.items() if not (limited and is_base(path))}


def check_sampler(space: SearchSpace, sampler: Sampler, where: str) -> None:
    """Check that a sampler can search a space.

    Raises:
        TuneCLError: it cannot.
    """
    sampler.check({path: distribution(range_) for path, range_ in space.ranges.items()}, where)


def startup_trials(trials: int) -> int:
    """Random trials before TPE: a third of the search, at least 2 (TPE compares) and at most 10 (Optuna's default)."""
    return min(max(2, trials // 3), 10)


def default_draw(space: SearchSpace) -> Draw:
    """Trial 0: the default, as if it had been sampled."""
    return replace(draw_of(space, space.default_sample()), notes={PROPOSER: "default"})


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
    return replace(draw_of(space, space.sample_of(values)), notes={PROPOSER: "random"})


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


def written_range(found: BaseDistribution) -> dict[str, Any]:
    """An Optuna distribution as a range of a space file, less its steps."""
    if isinstance(found, CategoricalDistribution):
        return {"choice": list(found.choices)}
    return {"int" if isinstance(found, IntDistribution) else "log" if found.log else "uniform": [found.low, found.high]}


def _draw_once(
    space: SearchSpace,
    settings: SamplerSettings,
    history: Sequence[FrozenTrial],
    attempt: int,
    told: Sequence[FrozenTrial],
) -> Attempt:
    scratch = scratch_trial(settings, len(history), attempt, history, told)
    known = believed(space, settings, history, attempt)
    parameters: dict[str, Any] = {}
    for path, range_ in space.ranges.items():
        if space.is_searched(path, parameters):
            parameters[path] = known[path] if path in known else suggest(scratch.trial, path, range_)
    drawn = replace(draw_of(space, parameters), notes=with_proposer(scratch.notes(), known))
    return Attempt(drawn, drawn)


def with_proposer(notes: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The notes of a trial; one drawn from what was known beforehand says so."""
    return {**notes, PROPOSER: PRIOR} if known else dict(notes)


def _at_random(
    space: SearchSpace, settings: SamplerSettings, history: Sequence[FrozenTrial], attempt: int
) -> dict[str, Any]:
    """A random value for every range, in a random order."""
    trial = scratch_trial(replace(settings, sampler=Random()), len(history), attempt, ()).trial
    drawn = {path: suggest(trial, path, range_) for path, range_ in space.ranges.items()}
    return in_random_order(drawn, proposal_seed(settings.seed, len(history), attempt))


def in_random_order(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The same mapping, its keys shuffled."""
    paths = sorted(values)
    random.Random(seed).shuffle(paths)
    return {path: values[path] for path in paths}


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
