"""What the driver of a search tells its trackers, and what a tracker is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tune_cl.records import (
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    Summary,
    TrialFolder,
    TrialState,
    TrialSummary,
)


@dataclass(frozen=True)
class SearchStarted:
    """A search begins, or goes on.

    `planned` counts all trials that the search shall have, `resumed` those of them that an earlier run of the same
    command has ended already; `earlier` says how those ended. `costs` are those that increments 0, 1, … of the default
    are expected to have, in any unit; empty where they are not known.
    """

    record: SearchRecord
    folder: SearchFolder
    planned: int
    resumed: int
    earlier: tuple[TrialSummary, ...] = ()
    costs: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrialStarted:
    """A trial runs; one that was interrupted earlier comes again, with its rows on disk."""

    trial: int
    parameters: Mapping[str, Any]  # searched path -> value
    config: RunConfig
    folder: TrialFolder
    proposer: str | None = None  # the sampler that proposed it, or `default`


@dataclass(frozen=True)
class SlotDeferred:
    """A free slot waits: every base that a new trial could have is being trained. Over when a trial starts."""

    waits_for: tuple[int, ...]  # the trials that train those bases


@dataclass(frozen=True)
class PhaseProgress:
    """Somewhere inside a phase; lossy, any of these may be missing or late."""

    trial: int
    increment: int
    phase: str
    step: int
    steps: int
    node: str


@dataclass(frozen=True)
class IncrementReported:
    """An increment's row is on disk; `value` is the search's objective in it, None where it is undefined."""

    trial: int
    row: IncrementRow
    value: float | None
    folder: TrialFolder


@dataclass(frozen=True)
class TrialEnded:
    """A trial is over; `reason` says in a sentence why it was stopped or failed."""

    trial: int
    state: TrialState
    reason: str | None = None


@dataclass(frozen=True)
class SearchEnded:
    """The search is over or interrupted; `in_flight` names the phases that it ended in, one per entry."""

    summary: Summary
    interrupted: bool  # something is left to run
    in_flight: list[str]
    out_of_time: bool = False  # interrupted by the search's own time budget


Event = SearchStarted | TrialStarted | SlotDeferred | PhaseProgress | IncrementReported | TrialEnded | SearchEnded


class Tracker(Protocol):
    """Watches a search. Called by the driver alone; must return at once, whatever it has to write or send."""

    def handle(self, event: Event) -> None:
        """Take note of an event."""

    def close(self, timeout: float) -> None:
        """Finish what is left to do within `timeout` seconds."""
