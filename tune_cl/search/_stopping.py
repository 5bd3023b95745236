"""Early stopping that is honest on streams, as pure functions.

Accuracy over the classes seen falls as classes arrive, so that values are compared at the same increment only. The
rule, asynchronous successive halving (Li et al. 2020, arXiv 1810.05934) on increments: at the rungs 1, η, η², … below
the horizon a trial continues if its value is among the best ⌈n/η⌉ of the n values reported there so far, its own
included; ties continue. Hence the first trial at a rung always continues, the base task (increment 0), which says
nothing of forgetting, stops nobody, and at the horizon there is nothing left to save. With short streams η = 2.
Rounding up is the careful side: of three values the better two continue.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tune_cl.search._options import Direction

Decision = Literal["continue", "stop", "fail"]


@dataclass(frozen=True)
class StoppingRule:
    """`halving` on increments, or `none`."""

    name: Literal["halving", "none"] = "halving"
    reduction: int = 2  # η: one in η continues

    def __post_init__(self) -> None:
        if self.name not in ("halving", "none"):
            raise ValueError(f"unknown stopping rule {self.name!r}")
        if self.reduction < 2:
            raise ValueError(f"a reduction factor of {self.reduction} stops nobody; use at least 2")

    def rungs(self, horizon: int) -> tuple[int, ...]:
        """The increments at which trials may be stopped: 1, η, η², … below the horizon."""
        found = []
        rung = 1
        while self.name == "halving" and rung < horizon:
            found.append(rung)
            rung *= self.reduction
        return tuple(found)

    def decide(
        self, increment: int, value: float, reported: Sequence[float], *, horizon: int, direction: Direction
    ) -> Decision:
        """Say whether a trial continues after an increment.

        Args:
            increment: the one just reported.
            value: the trial's objective there; NaN and infinities fail it at once.
            reported: the objective of every trial that has reported this increment so far, this one included.
            horizon: the last increment.
            direction: whether high or low values are good.
        """
        if not math.isfinite(value):
            return "fail"
        if increment not in self.rungs(horizon):
            return "continue"
        sign = 1 if direction == "max" else -1
        ranked = sorted((sign * other for other in reported), reverse=True)
        cutoff = ranked[math.ceil(len(ranked) / self.reduction) - 1]
        return "continue" if sign * value >= cutoff else "stop"
