"""Replay sources: a generator's images, exemplars, or the real past for the oracle."""

from tune_cl.replay._exemplars import class_mean, herd, nearest_mean
from tune_cl.replay._sources import GeneratorReplay, OracleReplay, Replayed, ReplaySource

__all__ = ["GeneratorReplay", "OracleReplay", "ReplaySource", "Replayed", "class_mean", "herd", "nearest_mean"]
