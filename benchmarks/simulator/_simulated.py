"""What a simulated search has found and cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune_cl.metrics import Direction
from tune_cl.records import TrialState


@dataclass(frozen=True)
class SimulatedTrial:
    """One trial. Costs and times are in the unit of the simulation's cost."""

    number: int
    parameters: Mapping[str, Any]  # path -> value: what was sampled
    state: TrialState
    values: Mapping[int, float]  # increment -> objective
    replays: int  # the recorded trial that stood for it
    base_configuration: str  # equal for two trials whose base stages are the same
    began: float
    ended: float
    paid: float  # for the stages that it trained itself
    alone: float  # for all its stages, as if there were no other trial
    base: float  # the base task's part of `alone`
    waited: float  # for stages in training elsewhere
    paid_by_all: float  # what the whole search had paid when this trial ended


@dataclass(frozen=True)
class SimulatedSearch:
    """A whole search on recorded trials."""

    trials: tuple[SimulatedTrial, ...]  # by number
    horizon: int
    direction: Direction
    deferred: float  # time that free workers waited for a proposal
    makespan: float

    @property
    def paid(self) -> float:
        """What the search cost: each stage once."""
        return sum(trial.paid for trial in self.trials)

    @property
    def alone(self) -> float:
        """What its trials would have cost, each trained alone."""
        return sum(trial.alone for trial in self.trials)

    @property
    def idle(self) -> float:
        """Time that workers waited, for a stage in training elsewhere or for a proposal."""
        return sum(trial.waited for trial in self.trials) + self.deferred

    @property
    def base_share(self) -> float:
        """b: the base task's share of the cost as if alone."""
        return sum(trial.base for trial in self.trials) / self.alone

    @property
    def base_configurations(self) -> int:
        """k: how many different base tasks there were."""
        return len({trial.base_configuration for trial in self.trials})

    @property
    def saving(self) -> float:
        """How many times cheaper the search was than its trials alone."""
        return self.alone / self.paid

    @property
    def bound(self) -> float:
        """The saving 1 / (1 - b (1 - k/N)) that sharing whole base tasks of equal cost gives.

        Sharing part of a base task (its classifier alone) or an increment comes on top.
        """
        return 1 / (1 - self.base_share * (1 - self.base_configurations / len(self.trials)))

    @property
    def trajectory(self) -> tuple[tuple[float, float], ...]:
        """(paid by then, best finished value so far) at the end of each finished trial, in order of time."""
        points: list[tuple[float, float]] = []
        better = max if self.direction == "max" else min
        for trial in sorted(self.trials, key=lambda trial: trial.ended):
            if trial.state == "finished":
                value = trial.values[self.horizon]
                points.append((trial.paid_by_all, better(value, points[-1][1]) if points else value))
        return tuple(points)

    @property
    def best_value(self) -> float | None:
        """The best finished value, None where no trial finished."""
        return self.trajectory[-1][1] if self.trajectory else None

    def best_at(self, paid: float) -> float | None:
        """The best value among the trials that had finished when so much was paid, None before the first."""
        return next((best for cost, best in reversed(self.trajectory) if cost <= paid), None)
