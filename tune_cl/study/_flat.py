"""Whether a search has become flat: its last trials raised the best value by less than it varies by chance."""

import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from tune_cl.metrics import Direction

_LEAST = 8  # trials in each half


def gain_of_last(history: Sequence[FrozenTrial], direction: Direction) -> tuple[int, float] | None:
    """How many of the last trials are judged, and by how much they raised the best value.

    They are the later half of the trials that finished or were stopped, at least eight; a stopped trial raised nothing.

    Args:
        history: all trials, in order of their numbers.
        direction: of the objective.

    Returns:
        The number of trials, and the gain (at least 0); None where fewer than sixteen have reported, or none of the
        earlier half has finished.
    """
    reported = [trial for trial in history if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if len(reported) < 2 * _LEAST:
        return None
    last = len(reported) // 2
    sign = 1 if direction == "max" else -1

    def best(trials: Sequence[FrozenTrial]) -> float:
        values = (sign * float(trial.value) for trial in trials if trial.state is TrialState.COMPLETE)
        return max(values, default=-math.inf)

    before = best(reported[:-last])
    return None if before == -math.inf else (last, max(0.0, best(reported) - before))
