"""What a person sees of a search, live and in W&B; fed by records and events alone."""

from tune_cl.tracking._console import ConsoleTracker
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
from tune_cl.tracking._format import duration_text
from tune_cl.tracking._trackers import Trackers
from tune_cl.tracking._wandb import WandbTracker

__all__ = [
    "ConsoleTracker",
    "Event",
    "IncrementReported",
    "PhaseProgress",
    "SearchEnded",
    "SearchStarted",
    "SlotDeferred",
    "Tracker",
    "Trackers",
    "TrialEnded",
    "TrialStarted",
    "WandbTracker",
    "duration_text",
]
