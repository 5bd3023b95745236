"""Knowledge before a search: what a space file believes of a parameter, and good configurations of earlier searches.

A share of the proposals is drawn from that knowledge in place of the sampler's, which learns from them as from any
other trial. The share falls as trials report, and faster where the proposals so drawn turn out worse than the rest, so
that a misleading belief is outgrown. Drawing some proposals from a prior around a believed value, at three degrees of
confidence, is PriorBand's way (arXiv 2306.12370), and that its influence falls as strength / n piBO's (arXiv
2204.11051).
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tune_cl.study._attributes import PRIOR, PROPOSER
from tune_cl.study._ranges import Range
from tune_cl.study._scratch import SamplerSettings, as_finished, proposal_seed
from tune_cl.study._space import SearchSpace

# Share of the proposals: strength / (strength + trials that have reported).
_STRENGTH = {"low": 2.0, "medium": 4.0, "high": 8.0}
_STRENGTH_OF_EARLIER = 6.0
# Standard deviation around a belief, as a share of the range; for a choice, the probability of the value believed in
# beside its even share.
_SPREAD = {"low": 0.5, "medium": 0.25, "high": 0.125}
_CERTAINTY = {"low": 0.25, "medium": 0.5, "high": 0.75}
# The same around a good configuration of an earlier search.
_SPREAD_OF_EARLIER, _CERTAINTY_OF_EARLIER = 0.1, 0.8


def believed(
    space: SearchSpace, settings: SamplerSettings, history: Sequence[FrozenTrial], attempt: int
) -> dict[str, Any]:
    """Values for the next trial out of what is known beforehand; none where the sampler is to propose.

    Args:
        space: what is searched; its ranges may have a prior.
        settings: the sampler, and good configurations of earlier searches.
        history: all trials so far; the proposal is a function of the search seed, their number, `attempt` and them.
        attempt: how many proposals for the trial came to nothing.

    Returns:
        path -> value, of parameters with a prior, or of all that an earlier configuration has. Other parameters, and
        those that do not count in the end, are the sampler's.
    """
    of_ranges = {path: range_ for path, range_ in space.ranges.items() if range_.confidence is not None}
    strengths = [_STRENGTH[str(range_.confidence)] for range_ in of_ranges.values()]
    strength = max([*strengths, *([_STRENGTH_OF_EARLIER] if settings.good else [])], default=0.0)
    if not strength:
        return {}
    rng = random.Random(f"prior:{proposal_seed(settings.seed, len(history), attempt)}")
    if rng.random() >= prior_share(strength, history, settings):
        return {}
    if settings.good and (not of_ranges or rng.random() < 0.5):
        return _like(rng, space, rng.choice(settings.good))
    return {
        path: _near(
            rng,
            range_,
            space.default[path] if range_.prior is None else range_.prior,
            _SPREAD[str(range_.confidence)],
            _CERTAINTY[str(range_.confidence)],
        )
        for path, range_ in of_ranges.items()
    }


def prior_share(strength: float, history: Sequence[FrozenTrial], settings: SamplerSettings) -> float:
    """The probability that the next trial is drawn from what is known beforehand.

    It is strength / (strength + n) with n trials reported, times twice the mean rank (0 worst, 1 best) of the trials so
    drawn among all that have reported, where that is below 1. Two trials of middle rank count with them, so that one
    bad trial does not decide.
    """
    reported = [t for t in as_finished(history, settings.direction) if t.state is TrialState.COMPLETE]
    reported.sort(key=lambda trial: float(trial.value), reverse=settings.direction == "min")
    last = max(1, len(reported) - 1)
    ranks = [i / last for i, trial in enumerate(reported) if trial.system_attrs.get(PROPOSER) == PRIOR]
    standing = (sum(ranks) + 1) / (len(ranks) + 2)
    return strength / (strength + len(reported)) * min(1.0, 2 * standing)


def _like(rng: random.Random, space: SearchSpace, good: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration near one of an earlier search."""
    return {
        path: _near(rng, range_, good[path], _SPREAD_OF_EARLIER, _CERTAINTY_OF_EARLIER)
        for path, range_ in space.ranges.items()
        if path in good
    }


def _near(rng: random.Random, range_: Range, centre: Any, spread: float, certainty: float) -> Any:
    """A value of a range near one of its values."""
    if range_.kind == "choice":
        return centre if rng.random() < certainty else rng.choice(range_.values)
    low, high = (math.log(end) for end in range_.values) if range_.kind == "log" else range_.values
    middle = math.log(centre) if range_.kind == "log" else centre
    for _ in range(1000):  # a centre at an end is hit by every second draw
        place = rng.gauss(middle, spread * (high - low))
        if low <= place <= high:
            break
    else:
        place = middle
    if range_.kind == "int":
        return round(place)
    value = math.exp(place) if range_.kind == "log" else place
    return min(max(float(value), range_.values[0]), range_.values[1])
