"""The grid of faults: where in a run, what happens there, and which ten cases `make test` runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from tripwire import Moment

Through = Literal["chain", "search"]

# In one chain of two increments after the base task: five stages.
IN_CHAIN = {
    "classifier": Moment("phase", 1, "classifier", 5),
    "generator": Moment("phase", 1, "generator", 6),
    "writing": Moment("writing", 1, "generator"),
    "publishing": Moment("publishing", 1, "generator"),
    "between": Moment("between", 1),
}
# In a search through Ray; trial 1 finds the base task in the store.
IN_SEARCH = {
    "classifier": Moment("phase", 1, "classifier", 3, trial=1),
    "generator": Moment("phase", 1, "generator", 4, trial=1),
    "publishing": Moment("publishing", 1, "classifier", trial=1),
    "between": Moment("between", 1, trial=1),
    "reporting": Moment("reporting", 1, trial=1),
}


@dataclass(frozen=True)
class Case:
    """A fault in a moment."""

    through: Through
    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.through}-{self.what}-{self.where}".replace(" ", "_")

    @property
    def moment(self) -> Moment:
        """When the fault hits."""
        return (IN_CHAIN if self.through == "chain" else IN_SEARCH)[self.where]


def _cases(through: Through, what: str, where: str) -> list[Case]:
    return [Case(through, what, place) for place in where.split()]


ANYWHERE = "classifier generator publishing between"
KILLED = [
    *_cases("chain", "killed", "classifier generator writing publishing between"),
    *_cases("chain", "killed with a checkpoint", "classifier generator"),
]
DAMAGED_STAGES = [
    case
    for what in ("cut state.pt", "flipped state.pt", "cut stage.json", "flipped stage.json")
    for case in _cases("chain", what, ANYWHERE)
]
DAMAGED_CHECKPOINTS = [
    case for what in ("cut checkpoint", "flipped checkpoint") for case in _cases("chain", what, "classifier generator")
]
FULL = _cases("chain", "full disk", "classifier generator writing publishing between")
FREED = _cases("chain", "full disk for some steps", "classifier generator")
READ_ONLY = _cases("chain", "read-only store", ANYWHERE)
WORKER_KILLED = _cases("search", "worker killed", ANYWHERE)
DRIVER_KILLED = _cases("search", "driver killed", f"{ANYWHERE} reporting")
NODE_KILLED = _cases("search", "node killed", "classifier publishing between")
STAGE_DAMAGED = _cases("search", "flipped state.pt and worker killed", "classifier")

CASES = [
    *(*KILLED, *DAMAGED_STAGES, *DAMAGED_CHECKPOINTS, *FULL, *FREED, *READ_ONLY),
    *(*WORKER_KILLED, *DRIVER_KILLED, *NODE_KILLED, *STAGE_DAMAGED),
]
# What `make test` runs; the rest is slow. (A killed worker is in engine/test_failures.py, too.)
AT_ONCE = (
    "chain-killed-publishing",
    "chain-killed-between",
    "chain-killed_with_a_checkpoint-generator",
    "chain-cut_state.pt-classifier",
    "chain-flipped_stage.json-between",
    "chain-flipped_checkpoint-classifier",
    "chain-full_disk-writing",
    "chain-read-only_store-publishing",
    "chain-killed-classifier",
)


def each(cases: Iterable[Case]) -> Any:
    """Run a test with each of these cases, as `case`."""
    marked = [
        pytest.param(case, id=str(case), marks=() if str(case) in AT_ONCE else pytest.mark.slow) for case in cases
    ]
    return pytest.mark.parametrize("case", marked)
