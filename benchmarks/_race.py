"""Races of the best trials over train seeds (`--seeds`) on surrogates: what is chosen, and what is said of it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from _arms import Arm, Problem, Trial, best_seen

from tune_cl.options import Race
from tune_cl.study import Finals, TrialView

RACES = {
    "no race": Race(),
    "finalists=2,top=0.25,fresh=2": Race(2, 0.25, 2),
    "finalists=3,top=0.25,fresh=3": Race(3, 0.25, 3),
}


@dataclass(frozen=True)
class Outcome:
    """What a search handed back.

    Attributes:
        gain: over the default, without noise.
        told: the gain that the search names.
        half: half the width of its interval; None where there is none.
        cost: full trials.
    """

    gain: float
    told: float
    half: float | None
    cost: float


def tuned_default(problem: Problem, rank: int) -> Problem:
    """The same problem whose default is a good configuration: the one of this rank among the recorded ones."""
    space, surrogate = problem.space, problem.surrogate
    recorded = sorted(
        ({path: found[path] for path in space.ranges} for found in surrogate.recorded), key=problem.value, reverse=True
    )
    return replace(problem, space=replace(space, default={**space.default, **recorded[rank - 1]}))


def outcome(problem: Problem, arm: Arm, race: Race, budget: int, seed: int) -> Outcome:
    """A search, and its race, that together cost at most the budget; the search has as many trials as leave room."""
    if race.finalists == 1:
        return _without(problem, arm(problem, budget, seed))
    least = 3 * (race.finalists - 1) + 2 * race.fresh  # a race of two and the default
    trials = arm(problem, budget - least, seed)
    prefixes = (_raced(problem, trials[:n], race, seed) for n in range(len(trials), 1, -1))
    return next(found for found in prefixes if found.cost <= budget)


def _without(problem: Problem, trials: Sequence[Trial]) -> Outcome:
    chosen = best_seen(problem, trials)
    seen = max(trial.final for trial in trials if trial.final is not None)
    default = trials[0].final
    assert default is not None
    return Outcome(problem.value(chosen) - problem.value({}), seen - default, None, trials[-1].paid)


def _raced(problem: Problem, trials: Sequence[Trial], race: Race, seed: int) -> Outcome:
    horizon = problem.surrogate.horizon
    views = [
        TrialView(n, "stopped" if t.final is None else "finished", t.parameters, {horizon: t.final or 0.0}, None)
        for n, t in enumerate(trials)
    ]
    # Train seeds that no search of this benchmark has used.
    finals = Finals.of(race, views, horizon=horizon, direction="max", train_seed=1000 * (seed + 1))
    if finals is None:  # one trial has finished: the default
        return Outcome(0.0, 0.0, 0.0, trials[-1].paid)
    values: dict[tuple[int, int], float | None] = {}
    while missing := finals.missing(values):
        for trial, train_seed in missing:
            parameters = problem.whole(trials[trial].parameters)
            values[trial, train_seed] = float(problem.surrogate.noisy(parameters, train_seed)[-1])
    winner, gain = finals.winner(values), finals.gain(values)
    assert winner is not None
    told, half = (0.0, 0.0) if gain is None else (gain.mean, (gain.high or 0.0) - gain.mean)
    true = problem.value(trials[winner].parameters) - problem.value({})
    return Outcome(true, told, half, trials[-1].paid + len(values))


def race_row(name: str, budget: int, outcomes: Sequence[Outcome]) -> str:
    """A line of the table."""
    gains = [found.gain for found in outcomes]
    excess = [found.told - found.gain for found in outcomes]
    claims = [found for found in outcomes if found.half and found.told > found.half]
    judged = [found for found in outcomes if found.half]
    held = sum(abs(found.told - found.gain) <= (found.half or 0.0) for found in judged)
    cells = [
        f"{sum(gain < 0 for gain in gains)} of {len(gains)}",
        f"{statistics.mean(gains):+.4f} ± {_error(gains):.4f}",
        f"{statistics.mean(excess):+.4f} ± {_error(excess):.4f}",
        f"{held} of {len(judged)}" if judged else "–",
        f"{len(claims)}, wrong {sum(found.gain <= 0 for found in claims)}" if judged else "–",
    ]
    return f"| {name} | {budget} | {' | '.join(cells)} |"


def _error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
