"""Stage keys, plan and forecast, running a chain, scoring. Knows neither Ray nor Optuna."""

from tune_cl.chain._backbone import PRETRAINED, backbone_of, read_named_backbone
from tune_cl.chain._chain import Chain, Increment, Progress
from tune_cl.chain._computing import computing, device_of
from tune_cl.chain._configuration import check_run, read_run, settings_of
from tune_cl.chain._forecast import Forecast, forecast
from tune_cl.chain._keys import keyed_numerics, stage_ingredients
from tune_cl.chain._phase_data import extent, phase_data
from tune_cl.chain._planned import planned_keys
from tune_cl.chain._scoring import Correct, ReadOut, Scores, accuracy_row, correct_per_image, scores
from tune_cl.chain._warnings import chance_warning

__all__ = [
    "PRETRAINED",
    "Chain",
    "Correct",
    "Forecast",
    "Increment",
    "Progress",
    "ReadOut",
    "Scores",
    "accuracy_row",
    "backbone_of",
    "chance_warning",
    "check_run",
    "computing",
    "correct_per_image",
    "device_of",
    "extent",
    "forecast",
    "keyed_numerics",
    "phase_data",
    "planned_keys",
    "read_named_backbone",
    "read_run",
    "scores",
    "settings_of",
    "stage_ingredients",
]
