"""What trackers are sent while a search runs, and several trackers as one that cannot hurt the search."""

from tune_cl.tracking._events import (
    Event,
    IncrementReported,
    PhaseProgress,
    SearchEnded,
    SearchStarted,
    SlotDeferred,
    Tracker,
    TrialEnded,
    TrialStarted,
)
from tune_cl.tracking._jobs import JobThread
from tune_cl.tracking._registry import chosen_trackers, own_trackers, register_tracker, tracker_packages
from tune_cl.tracking._trackers import Trackers, in_one_line, write_to_stderr

__all__ = [
    "Event",
    "IncrementReported",
    "JobThread",
    "PhaseProgress",
    "SearchEnded",
    "SearchStarted",
    "SlotDeferred",
    "Tracker",
    "Trackers",
    "TrialEnded",
    "TrialStarted",
    "chosen_trackers",
    "in_one_line",
    "own_trackers",
    "register_tracker",
    "tracker_packages",
    "write_to_stderr",
]
