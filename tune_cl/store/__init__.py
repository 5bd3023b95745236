"""Trained stages on disk: keys, leases between processes, pins, checkpoints, upkeep. Knows no chain."""

from tune_cl.store._checkpoint import PhaseCheckpoint, Stateful
from tune_cl.store._inventory import Ages, Entry, Holdings, Inventory, Leftover
from tune_cl.store._key import stage_key
from tune_cl.store._leases import FileLeases, Lease, Leases, LeaseTimes
from tune_cl.store._pins import LivePin, PinRecord, Pins, PinTimes
from tune_cl.store._stages import CHECKPOINT_SECONDS, Stage, StageRecord, StageStore, checkpoint_pace
from tune_cl.store._upkeep import Evicted, Pruned, Upkeep
from tune_cl.store._verify import Fault, Verified, verify
from tune_cl.store._winners import winner_keys, winners_in

__all__ = [
    "CHECKPOINT_SECONDS",
    "Ages",
    "Entry",
    "Evicted",
    "Fault",
    "FileLeases",
    "Holdings",
    "Inventory",
    "Lease",
    "LeaseTimes",
    "Leases",
    "Leftover",
    "LivePin",
    "PhaseCheckpoint",
    "PinRecord",
    "PinTimes",
    "Pins",
    "Pruned",
    "Stage",
    "StageRecord",
    "StageStore",
    "Stateful",
    "Upkeep",
    "Verified",
    "checkpoint_pace",
    "stage_key",
    "verify",
    "winner_keys",
    "winners_in",
]
