"""Prefix-aware proposals: trials with the same base task share its stages, so a search may open only k bases.

A base is what `SearchSpace.base_of` tells apart. Trial 0 opens the first one; a schedule, known from the start, says
when the others are opened. All other trials reuse an open base: of the `base.*` parameters the sampler then sees one
categorical parameter, the base's index, so that multivariate TPE weighs bases together with the rest. What goes into
the study are the base's own parameters.

Bases that are being trained right now (busy) are avoided, since whoever needs one would wait for it.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from tune_cl.errors import TuneCLError
from tune_cl.study._attributes import DECISION
from tune_cl.study._prior import believed
from tune_cl.study._sampler import Random
from tune_cl.study._samplers import (
    Attempt,
    Draw,
    draw,
    draw_of,
    first_allowed,
    in_random_order,
    settled,
    suggest,
    with_proposer,
)
from tune_cl.study._scratch import SamplerSettings, proposal_seed, scratch_trial
from tune_cl.study._space import SearchSpace, is_base

_INDEX = "tune_cl:base"  # no path has a colon


@dataclass(frozen=True)
class BaseRules:
    """Which bases a proposal may have."""

    limit: int | None = None  # k: distinct bases that the search may train; None for no limit
    planned: int = 1  # trials that were wanted when the search began
    busy: frozenset[str] = field(default_factory=frozenset)  # bases in training now, not stored yet


@dataclass(frozen=True)
class OpenBase:
    """A base that the history has."""

    parameters: Mapping[str, Any]  # searched base path -> value
    works: bool  # false if every trial that had it failed before it reported the base task


def check_base_configurations(space: SearchSpace, limit: int | None) -> None:
    """Check that bases can be told from the rest.

    Raises:
        TuneCLError: with a limit, a base parameter depends on a searched parameter that is not of the base.
    """
    if limit is None:
        return
    for path, range_ in space.ranges.items():
        for parent, _ in range_.when:
            if is_base(path) and parent in space.ranges and not is_base(parent):
                raise TuneCLError(
                    f"{space.source}: base_configurations: {path} is searched only for some values of {parent}, which "
                    f"is no part of the base; fix {parent}, or drop the `when:`"
                )


def bases_due(number: int, planned: int, limit: int) -> int:
    """How many bases a search shall have opened when trial `number` has begun.

    The openings are spread evenly over the first half of the planned trials, so that each base is tried often; where
    that has too few trials, the first trials open one each.
    """
    openings = (max(i, i * planned // (2 * limit)) for i in range(1, min(limit, number + 1)))
    return 1 + sum(opening <= number for opening in openings)


def open_bases(space: SearchSpace, history: Sequence[FrozenTrial]) -> dict[str, OpenBase]:
    """The distinct bases of a history (what `base_of` says -> the base) in order of first appearance."""
    bases: dict[str, OpenBase] = {}
    for trial in history:
        name = space.base_of(trial.params)
        parameters = {path: value for path, value in trial.params.items() if is_base(path)}
        works = name in bases and bases[name].works
        bases[name] = OpenBase(parameters, works or trial.state is not TrialState.FAIL or _passed_base(trial))
    return bases


def propose(
    space: SearchSpace, settings: SamplerSettings, history: Sequence[FrozenTrial], rules: BaseRules
) -> Draw | None:
    """Draw the next trial, whose number is the length of the history (at least 1).

    Args:
        space: what is searched.
        settings: the sampler.
        history: all trials of the study in order of their numbers.
        rules: which bases the trial may have.

    Returns:
        The draw, or None if every base that it might have is busy; never None if nothing is busy.
    """
    if not space.searched_changes_base():
        return None if space.base_of({}) in rules.busy else draw(space, settings, history)
    if rules.limit is None:
        return draw(space, settings, history, rules.busy)
    bases = open_bases(space, history)
    working = [name for name, base in bases.items() if base.works]
    full = len(bases) >= rules.limit
    if full and not working:
        working = list(bases)
    usable = [name for name in working if name not in rules.busy]
    if not full and (not usable or len(bases) < bases_due(len(history), rules.planned, rules.limit)):
        refused = rules.busy if not working else rules.busy | (bases.keys() - working)
        opening = draw(space, settings, history, refused)
        if opening is not None:
            return opening
    if not usable and not rules.busy:  # none works, and no other can be had
        usable = working = list(bases)
    if not usable:
        return None
    reusing = _Reuse(space, settings, history, bases)
    # One that does not learn takes any usable one; others weigh all that work, or, if they insist on a busy one, the
    # usable.
    drawn = reusing.draw(working, rules.busy) if settings.sampler.uses_history else None
    return drawn or reusing.draw(usable, rules.busy)


@dataclass(frozen=True)
class _Reuse:
    """Draws that take an open base."""

    space: SearchSpace
    settings: SamplerSettings
    history: Sequence[FrozenTrial]
    bases: Mapping[str, OpenBase]

    def draw(self, choices: Sequence[str], refused: frozenset[str]) -> Draw | None:
        """Draw one of some bases together with the rest; None if it is a refused one many times in a row."""
        indices = {name: index for index, name in enumerate(choices)}
        known = [(trial, indices.get(self.space.base_of(trial.params))) for trial in self.history]
        seen = [_indexed(trial, index, len(choices)) for trial, index in known if index is not None]
        return first_allowed(
            self.space,
            lambda attempt, told: self._draw_once(choices, seen, attempt, told),
            lambda attempt: self._draw_settled(choices, attempt),
            refused,
        )

    def _draw_once(
        self, choices: Sequence[str], seen: Sequence[FrozenTrial], attempt: int, told: Sequence[FrozenTrial]
    ) -> Attempt:
        scratch = scratch_trial(self.settings, len(self.history), attempt, seen, told)
        trial = scratch.trial
        known = believed(self.space, self.settings, self.history, attempt)
        base = self.bases[choices[trial.suggest_categorical(_INDEX, range(len(choices)))]]
        parameters = dict(base.parameters)
        for path, range_ in self.space.ranges.items():
            if not is_base(path) and self.space.is_searched(path, parameters):
                parameters[path] = known[path] if path in known else suggest(trial, path, range_)
        ordered = {path: parameters[path] for path in self.space.ranges if path in parameters}
        drawn = replace(draw_of(self.space, ordered), notes=with_proposer(scratch.notes(), known))
        rest = {path: found for path, found in drawn.distributions.items() if not is_base(path)}
        shown = {_INDEX: trial.params[_INDEX], **{path: v for path, v in parameters.items() if not is_base(path)}}
        return Attempt(drawn, Draw(shown, {_INDEX: trial.distributions[_INDEX], **rest}))

    def _draw_settled(self, choices: Sequence[str], attempt: int) -> Draw:
        """Random values, as far as they are allowed with the base, put into a trial that has had it."""
        trial = scratch_trial(replace(self.settings, sampler=Random()), len(self.history), attempt, ()).trial
        name = choices[trial.suggest_categorical(_INDEX, range(len(choices)))]
        had = next(trial.params for trial in self.history if self.space.base_of(trial.params) == name)
        values = {path: suggest(trial, path, range_) for path, range_ in self.space.ranges.items() if not is_base(path)}
        seed = proposal_seed(self.settings.seed, len(self.history), attempt)
        return settled(self.space, had, in_random_order(values, seed))


def _indexed(trial: FrozenTrial, index: int, n_bases: int) -> FrozenTrial:
    """A historic trial as if its base had been one parameter."""
    seen = copy.copy(trial)
    seen.params = {_INDEX: index, **{path: value for path, value in trial.params.items() if not is_base(path)}}
    seen.distributions = {
        _INDEX: CategoricalDistribution(range(n_bases)),
        **{path: of_path for path, of_path in trial.distributions.items() if not is_base(path)},
    }
    return seen


def _passed_base(trial: FrozenTrial) -> bool:
    return trial.system_attrs.get(DECISION.format(0), "fail") != "fail" or bool(trial.intermediate_values)
