"""Stage keys, the stage store, running a chain, scoring. Knows neither Ray nor Optuna."""

from tune_cl.chain._backbone import PRETRAINED, backbone_of, read_named_backbone
from tune_cl.chain._chain import Chain, Increment, Progress, computing_threads, device_of
from tune_cl.chain._checkpoint import PhaseCheckpoint
from tune_cl.chain._configuration import check_run, read_run, settings_of
from tune_cl.chain._forecast import Forecast, forecast
from tune_cl.chain._inventory import Ages, Entry, Holdings, Inventory, Leftover
from tune_cl.chain._keys import Numerics, stage_ingredients, stage_key
from tune_cl.chain._lease import FileLeases, Lease, Leases, LeaseTimes
from tune_cl.chain._phase_data import extent, phase_data
from tune_cl.chain._pins import LivePin, PinRecord, Pins, PinTimes
from tune_cl.chain._planned import planned_keys
from tune_cl.chain._scoring import Correct, ReadOut, Scores, accuracy_row, correct_per_image, metrics, scores
from tune_cl.chain._store import CHECKPOINT_SECONDS, Stage, StageRecord, StageStore
from tune_cl.chain._upkeep import Evicted, Pruned, Upkeep, bytes_text
from tune_cl.chain._verify import Fault, Verified, verify
from tune_cl.chain._warnings import chance_warning
from tune_cl.chain._winners import winner_keys, winners_in

__all__ = [
    "CHECKPOINT_SECONDS",
    "PRETRAINED",
    "Ages",
    "Chain",
    "Correct",
    "Entry",
    "Evicted",
    "Fault",
    "FileLeases",
    "Forecast",
    "Holdings",
    "Increment",
    "Inventory",
    "Lease",
    "LeaseTimes",
    "Leases",
    "Leftover",
    "LivePin",
    "Numerics",
    "PhaseCheckpoint",
    "PinRecord",
    "PinTimes",
    "Pins",
    "Progress",
    "Pruned",
    "ReadOut",
    "Scores",
    "Stage",
    "StageRecord",
    "StageStore",
    "Upkeep",
    "Verified",
    "accuracy_row",
    "backbone_of",
    "bytes_text",
    "chance_warning",
    "check_run",
    "computing_threads",
    "correct_per_image",
    "device_of",
    "extent",
    "forecast",
    "metrics",
    "phase_data",
    "planned_keys",
    "read_named_backbone",
    "read_run",
    "scores",
    "settings_of",
    "stage_ingredients",
    "stage_key",
    "verify",
    "winner_keys",
    "winners_in",
]
