"""Stopping rules: early stopping that is honest on streams, as pure functions of what trials have reported.

Accuracy over the classes seen falls as classes arrive, so that values are compared at the same increment only. A rule
is asked after every increment below the horizon, of every trial but trial 0. What it stops is PRUNED in the study, and
only trials that reached the horizon can be the best.
"""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from tune_cl.errors import TuneCLError
from tune_cl.registry import Choice, Member, Origin, Registry

Decision = Literal["continue", "stop", "fail"]


@dataclass(frozen=True)
class Report:
    """A trial's value at an increment, beside those of all others.

    Scores are signed so that more is always better: where the objective is minimised they are its negatives.
    """

    trial: int  # its number
    increment: int  # the one just reported, 0 to horizon - 1
    horizon: int  # the last increment
    curves: Mapping[int, Mapping[int, float]]  # trial -> increment -> score, this trial's with the present one

    @property
    def score(self) -> float:
        """The trial's score now."""
        return self.curves[self.trial][self.increment]

    def at(self, increment: int) -> dict[int, float]:
        """The scores of all trials that have reported an increment, by trial."""
        return {trial: curve[increment] for trial, curve in self.curves.items() if increment in curve}

    def others(self, increment: int) -> list[float]:
        """The scores there of all trials but this one."""
        return [score for trial, score in self.at(increment).items() if trial != self.trial]


class StoppingRule(Member):
    """Base of stopping rules: a class is a rule, its fields are options that a search may write in parentheses.

    Example:
        >>> class Floor(StoppingRule):
        ...     "Stops trials that fall below a score."
        ...     name = "floor"
        ...     least: float = 0.2
        ...     def stops(self, report: Report) -> bool:
        ...         return report.score < self.least
        >>> STOPPING_RULE = Floor  # in a plug-in: `--plugin floor --scheduler 'floor(least=0.3)'`
    """

    def stops(self, report: Report) -> bool:
        """Say whether a trial stops after an increment; a function of the report and the options alone."""
        raise NotImplementedError


class Halving(StoppingRule):
    """Successive halving on increments: one in `factor` continues at increment first, first * factor and so on.

    Asynchronous (Li et al. 2020, arXiv 1810.05934): at a rung a trial continues if its score is among the best
    ceil(n / factor) of the n reported there so far, its own included; ties continue. So the first at a rung always
    continues, and of three the better two do.
    """

    name: ClassVar[str] = "halving"
    factor: int = Field(2, ge=2, le=1000)
    first: int = Field(1, ge=0, le=1_000_000)

    def rungs(self, horizon: int) -> tuple[int, ...]:
        """The increments below the horizon at which trials may be stopped."""
        found, rung = [], self.first
        while rung < horizon:
            found.append(rung)
            rung = max(rung * self.factor, 1)
        return tuple(found)

    def stops(self, report: Report) -> bool:
        """Below the best one in `factor` at a rung."""
        here = report.increment in self.rungs(report.horizon)
        return here and _is_below_best(report.score, report.at(report.increment), self.factor)


class Hyperband(StoppingRule):
    """Hyperband: brackets of successive halving that begin at ever later increments, and one that never stops.

    Trials go to the brackets in turn, by their numbers, and compete within their bracket alone (Li et al. 2018,
    arXiv 1603.06560).
    """

    name: ClassVar[str] = "hyperband"
    factor: int = Field(2, ge=2, le=1000)
    first: int = Field(1, ge=0, le=1_000_000)

    def stops(self, report: Report) -> bool:
        """Below the best one in `factor` of its bracket, at one of the bracket's rungs."""
        rungs = Halving(factor=self.factor, first=self.first).rungs(report.horizon)
        brackets = len(rungs) + 1
        bracket = report.trial % brackets
        rivals = {trial: score for trial, score in report.at(report.increment).items() if trial % brackets == bracket}
        return report.increment in rungs[bracket:] and _is_below_best(report.score, rivals, self.factor)


class Median(StoppingRule):
    """The median rule: stops a trial that is below the median of the others at the same increment.

    From increment `first` on, and once `startup` others have reported it (Golovin et al. 2017, Vizier).
    """

    name: ClassVar[str] = "median"
    first: int = Field(1, ge=0, le=1_000_000)
    startup: int = Field(4, ge=1, le=1_000_000)

    def stops(self, report: Report) -> bool:
        """Below the median now."""
        return report.increment >= self.first and _is_below_median(report, report.increment, self.startup)


class Patience(StoppingRule):
    """The median rule with patience: stops a trial that was below the median at the last `increments` in a row."""

    name: ClassVar[str] = "patience"
    increments: int = Field(2, ge=1, le=1_000_000)
    first: int = Field(1, ge=0, le=1_000_000)
    startup: int = Field(4, ge=1, le=1_000_000)

    def stops(self, report: Report) -> bool:
        """Below the median now and at the increments before."""
        earliest = report.increment - self.increments + 1
        return earliest >= self.first and all(
            _is_below_median(report, increment, self.startup) for increment in range(earliest, report.increment + 1)
        )


class NoStopping(StoppingRule):
    """Every trial runs to the horizon."""

    name: ClassVar[str] = "none"

    def stops(self, report: Report) -> bool:
        """Never."""
        return False


STOPPING_RULES: Registry[type[StoppingRule]] = Registry("stopping rule")
for _rule in (Halving, Hyperband, Median, Patience, NoStopping):
    STOPPING_RULES.add(_rule.name, _rule)
StoppingRule.registry = STOPPING_RULES


def find_stopping_rule(text: str, where: str) -> StoppingRule:
    """The rule that a text such as `halving(factor=3)` names.

    Args:
        text: a name, with options in parentheses or without.
        where: what a message begins with, such as `--scheduler`.

    Raises:
        TuneCLError: the rule or an option is unknown.
    """
    choice = Choice.parse(text, where)
    return STOPPING_RULES.get(choice.name, where).choose(choice, where)


def register_stopping_rule(rule: type[StoppingRule], origin: Origin | None = None) -> None:
    """Make a rule from outside the package known in this process.

    Raises:
        TuneCLError: its name is unfit or taken, or it has no `stops`.
    """
    if rule.stops is StoppingRule.stops:
        raise TuneCLError(f"stopping rule {rule.__name__}: it defines no `stops(self, report)`")
    STOPPING_RULES.add(getattr(rule, "name", None), rule, origin)


def _is_below_best(score: float, reported: Mapping[int, float], factor: int) -> bool:
    """Whether a score is none of the best ceil(n / factor) of n."""
    ranked = sorted(reported.values(), reverse=True)
    return score < ranked[math.ceil(len(ranked) / factor) - 1]


def _is_below_median(report: Report, increment: int, startup: int) -> bool:
    others = report.others(increment)
    own = report.curves[report.trial].get(increment)
    return own is not None and len(others) >= startup and own < statistics.median(others)
