"""What a study says of its trials: a proposal, a view, and that all must wait."""

import copy
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tune_cl.records import TrialState as TrialStateName
from tune_cl.study._attributes import PROPOSER, REASON

_STATES: dict[TrialState, TrialStateName] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Proposal:
    """A trial to run."""

    number: int
    parameters: dict[str, Any]  # path -> value: what was sampled
    configuration: dict[str, Any]  # the method's whole tree
    resumed: bool  # an earlier process began it
    base: str  # `SearchSpace.base_of` its sample: equal where two trials share their base task
    attempt: int = 0  # how often the trial had failed before it was begun anew
    proposer: str | None = None  # the sampler that proposed it, or `default`; None in studies of earlier versions


@dataclass(frozen=True)
class Deferred:
    """No trial may begin now: every base that one could have is being trained."""

    left: int  # trials that are still to begin, those left running by an earlier process among them


@dataclass(frozen=True)
class TrialView:
    """A trial as the study knows it."""

    number: int
    state: TrialStateName
    parameters: dict[str, Any]  # path -> value: what was sampled
    values: dict[int, float]  # increment -> objective
    reason: str | None  # why it failed
    proposer: str | None = None  # see `Proposal`

    @property
    def increment(self) -> int | None:
        """The last increment reported."""
        return max(self.values, default=None)

    @property
    def value(self) -> float | None:
        """The objective at the last increment reported."""
        return None if self.increment is None else self.values[self.increment]


def numbered(trial: FrozenTrial, number: int) -> FrozenTrial:
    """Optuna's trial under the number that it has in the search."""
    if trial.number == number:
        return trial
    trial = copy.copy(trial)
    trial.number = number
    return trial


def view_of(trial: FrozenTrial) -> TrialView:
    state = _STATES[trial.state]
    return TrialView(
        number=trial.number,
        state=state,
        parameters=dict(trial.params),
        values=dict(sorted(trial.intermediate_values.items())),
        reason=trial.user_attrs.get(REASON) if state == "failed" else None,
        proposer=trial.system_attrs.get(PROPOSER),
    )


def last_value(trial: FrozenTrial) -> float | None:
    return None if trial.last_step is None else trial.intermediate_values[trial.last_step]
