"""Stage keys: what a stage depends on, hashed. Two stages with one key have equal content."""

from collections.abc import Mapping
from typing import Any

import torch

from tune_cl.methods import Phase, Settings, keyed
from tune_cl.nets import network_source
from tune_cl.options import Numerics


def keyed_numerics(numerics: Numerics) -> dict[str, Any]:
    """What decides the last digits of a result beside configuration and seed, as stage keys have it.

    Args:
        numerics: as resolved.
    """
    return {
        "device": numerics.device,
        "dtype": numerics.precision,
        "threads": numerics.threads,
        "memory_format": numerics.memory_format,
        "compiled": False,
        "torch": ".".join(torch.__version__.split(".")[:2]),
        **({"deterministic": True} if numerics.deterministic else {}),
    }


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
        train_seed: seed of everything random in this stage.
        phase: its kind and declared version, and the hash of its source where it comes from outside the package.
        hyperparameters: the subtree that the phase is called with. A network from outside the package that it names
            is there with the hash of its source.
        numerics: as resolved; the version of PyTorch comes with them.
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
        "numerics": keyed_numerics(numerics),
    }
