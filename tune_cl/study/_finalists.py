"""Which trials run again under further train seeds, which of them wins, and what that gains: arithmetic alone.

Three kinds of seeds are kept apart. The search's own has chosen the finalists, so that their values under it are too
good. Further seeds choose among the finalists by the mean over all seeds that each has, so that the winner's values
under these are too good as well. What the winner gains over the default is therefore measured under fresh seeds, which
choose nothing.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tune_cl.metrics import Direction
from tune_cl.options import Race
from tune_cl.records import Statistic
from tune_cl.study._trials import TrialView

_TAIL = 0.975  # of the two-sided 95 % interval

Run = tuple[int, int]  # trial, train seed
Values = Mapping[Run, float | None]  # of the runs that are over: the objective at the horizon; None for a failed one


@dataclass(frozen=True)
class Finals:
    """The race of a search's best trials.

    Attributes:
        first: finalist -> its value under the search's own seed, the best first.
        seeds: that choose, the search's own first.
        fresh: that judge the winner against the default.
        sign: 1 where more of the objective is better, -1 where less is.
    """

    first: Mapping[int, float]
    seeds: tuple[int, ...]
    fresh: tuple[int, ...]
    sign: int

    @classmethod
    def of(
        cls, race: Race, trials: Sequence[TrialView], *, horizon: int, direction: Direction, train_seed: int
    ) -> "Finals | None":
        """The race among some trials; None where there is none, or fewer than two have finished.

        Finalists are the best `race.top` of the finished trials, at least two, and the default, trial 0, if it has
        finished. Of equals the earlier trial comes first.
        """
        sign = 1 if direction == "max" else -1
        finished = {trial.number: trial.values[horizon] for trial in trials if trial.state == "finished"}
        if race.finalists == 1 or len(finished) < 2:
            return None
        ranked = sorted(finished, key=lambda number: (-sign * finished[number], number))
        best = ranked[: race.count(len(ranked))]
        finalists = [*best, *({0} & finished.keys() - set(best))]
        return cls({number: finished[number] for number in finalists}, *race.seeds(train_seed), sign)

    def chosen_by(self, trial: int, values: Values) -> list[float | None]:
        """A finalist's values under the seeds that choose; None for a run that has failed or is not over."""
        return [self.first[trial], *(values.get((trial, seed)) for seed in self.seeds[1:])]

    def mean(self, trial: int, values: Values) -> float | None:
        """Their mean, where there are all."""
        found = self.chosen_by(trial, values)
        known = [value for value in found if value is not None]
        return fmean(known) if len(known) == len(found) else None

    def winner(self, values: Values) -> int | None:
        """The finalist with the best mean, once every run that chooses is over.

        None before, and where none is left: a finalist is out if one of its runs has failed.
        """
        if any(run not in values for run in self._choosing()):
            return None
        means = {trial: mean for trial in self.first if (mean := self.mean(trial, values)) is not None}
        return max(means, key=lambda trial: (self.sign * means[trial], -trial), default=None)

    def missing(self, values: Values) -> list[Run]:
        """The runs to do next, in order: those that choose, then the winner's and the default's under fresh seeds."""
        choosing = [run for run in self._choosing() if run not in values]
        return choosing or [run for run in self._judging(self.winner(values)) if run not in values]

    def runs(self, values: Values) -> list[Run]:
        """Every run of the race as far as it is known by now."""
        return [*self._choosing(), *self._judging(self.winner(values))]

    def most_missing(self, values: Values) -> int:
        """How many runs there are still to do, at most."""
        choosing = sum(run not in values for run in self._choosing())
        return choosing + 2 * len(self.fresh) if choosing else len(self.missing(values))

    def gain(self, values: Values) -> Statistic | None:
        """What the winner is better by than the default under the fresh seeds, with a 95 % interval.

        Student's t for the difference of two means over as many seeds each, with one variance between seeds for all
        finalists: it is pooled over their further seeds within each of them. The search's own seed is left out, and
        the fresh ones are a group of their own, since the choice has moved the means of those before. Differences are
        not paired by seed, which would leave few degrees of freedom; where a seed moves two configurations the same
        way, the interval is wider than it need be.

        Returns:
            None where the default has won or has not finished, or where a run under a fresh seed is missing or failed.
        """
        winner = self.winner(values)
        if winner in (None, 0) or 0 not in self.first:
            return None
        ours, theirs = ([values.get((trial, seed)) for seed in self.fresh] for trial in (winner, 0))
        pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
        if len(pairs) < len(self.fresh):
            return None
        differences = [self.sign * (a - b) for a, b in pairs]
        further = [[value for value in self.chosen_by(trial, values)[1:] if value is not None] for trial in self.first]
        half = self._half_width([[a for a, _ in pairs], [b for _, b in pairs], *further])
        mean = fmean(differences)
        std = math.sqrt(_squares(differences) / (len(differences) - 1))
        return Statistic(mean=mean, std=std, low=mean - half, high=mean + half, values=differences)

    def _half_width(self, groups: Sequence[Sequence[float]]) -> float:
        from scipy.stats import t  # takes a while to import, and few searches need it

        freedom = sum(len(group) - 1 for group in groups if group)
        variance = sum(_squares(group) for group in groups) / freedom
        return float(t.ppf(_TAIL, freedom)) * math.sqrt(2 * variance / len(self.fresh))

    def _choosing(self) -> Iterator[Run]:
        return ((trial, seed) for seed in self.seeds[1:] for trial in self.first)

    def _judging(self, winner: int | None) -> Iterator[Run]:
        judged = [] if winner in (None, 0) or 0 not in self.first else [winner, 0]
        return ((trial, seed) for seed in self.fresh for trial in judged if trial is not None)


def _squares(values: Sequence[float]) -> float:
    """The sum of squared deviations from the mean; 0 for none."""
    return sum((value - fmean(values)) ** 2 for value in values)
