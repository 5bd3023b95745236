"""Replay sources: a generator's images or features, exemplars, or the real past for the oracle."""

from tune_cl.replay._exemplars import class_mean, herd, nearest_mean
from tune_cl.replay._sources import FeatureReplay, GeneratorReplay, OracleReplay, Replayed, ReplaySource

__all__ = [
    "FeatureReplay",
    "GeneratorReplay",
    "OracleReplay",
    "ReplaySource",
    "Replayed",
    "class_mean",
    "herd",
    "nearest_mean",
]
