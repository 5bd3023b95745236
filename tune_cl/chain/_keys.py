"""Stage keys: what a stage depends on, hashed. Two stages with one key have equal content."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from tune_cl.methods import Phase, Settings, keyed
from tune_cl.nets import network_source


@dataclass(frozen=True)
class Numerics:
    """What decides the last bits of a result beside configuration and seed."""

    device: str  # 'cpu' or 'cuda'
    dtype: str
    threads: int
    memory_format: str
    compiled: bool
    torch: str  # major.minor

    @classmethod
    def of(cls, device: str, threads: int) -> "Numerics":
        """The numerics of this process: float32, channels last in memory, eager."""
        return cls(device, "float32", threads, "channels_last", False, ".".join(torch.__version__.split(".")[:2]))


def stage_ingredients(
    parent: str | None,
    stream: Mapping[str, Any],
    train_seed: int,
    phase: Phase,
    hyperparameters: Settings,
    numerics: Numerics,
) -> dict[str, Any]:
    """All that a stage may depend on, as plain JSON data.

    Args:
        parent: key of the stage before it in the chain, None for the first.
        stream: the stream as seen so far (`Stream.identity`).
        train_seed: seed of everything random inside a chain.
        phase: its kind and declared version, and the hash of its source where it comes from outside the package.
        hyperparameters: the subtree that the phase is called with. A network from outside the package that it names
            is there with the hash of its source.
        numerics: device, dtype, threads and library version.
    """
    source = {} if phase.source is None else {"source": phase.source}
    network = network_source(getattr(hyperparameters, "network", None))
    if network is not None:
        source["network"] = network
    return {
        "schema_version": 2,
        "parent": parent,
        "stream": dict(stream),
        "train_seed": train_seed,
        "phase": {"name": phase.name, "kind": phase.kind, "version": phase.version, **source},
        "hyperparameters": keyed(hyperparameters),
        "numerics": asdict(numerics),
    }
