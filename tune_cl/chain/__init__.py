"""Stage keys, the stage store, running a chain, scoring. Knows neither Ray nor Optuna."""

from tune_cl.chain._chain import Chain, Increment, Progress, device_of
from tune_cl.chain._keys import Numerics, stage_ingredients, stage_key
from tune_cl.chain._lease import Lease, LeaseTimes
from tune_cl.chain._scoring import accuracy_row, correct_per_image, metrics
from tune_cl.chain._store import Stage, StageRecord, StageStore

__all__ = [
    "Chain",
    "Increment",
    "Lease",
    "LeaseTimes",
    "Numerics",
    "Progress",
    "Stage",
    "StageRecord",
    "StageStore",
    "accuracy_row",
    "correct_per_image",
    "device_of",
    "metrics",
    "stage_ingredients",
    "stage_key",
]
