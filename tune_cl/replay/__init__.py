"""Replay sources: a generator's images, or the real past for the oracle."""

from tune_cl.replay._sources import GeneratorReplay, OracleReplay, Replayed, ReplaySource

__all__ = ["GeneratorReplay", "OracleReplay", "ReplaySource", "Replayed"]
