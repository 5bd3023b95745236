"""Workers that race through one store; run by `race.py` in Ray's workers."""

import os
import random
import time
from pathlib import Path
from typing import Any

import ray
import torch
from tiny_chains import run_config, tiny_stream

from tune_cl.chain import Chain, Progress
from tune_cl.engine._leases import RayLeases
from tune_cl.records import RunConfig
from tune_cl.store import StageStore

HORIZON = 3
CONFIGURATIONS = 33  # a base in common and 3 increments each: 100 stages


def configurations() -> list[RunConfig]:
    """Chains that have their base task in common, and nothing else."""
    rates = [0.01 * (1 + number / 100) for number in range(CONFIGURATIONS)]
    return [
        run_config("finetune", {"increment.classifier.learning_rate": rate}, horizon=HORIZON, train_seed=7)
        for rate in rates
    ]


def planned_keys(stages: Path) -> set[str]:
    """The keys of all their stages."""
    chains = [Chain(run, tiny_stream(), StageStore(stages)) for run in configurations()]
    return {key for chain in chains for _, _, key in chain.planned_keys()}


class Racer:
    """As `ChainTrainable` does it: busy inside one call while it holds leases.

    Args:
        coordinator: hands out leases.
        stages: the store.
        cluster: name of the cluster, for the lease files.
        number: which worker this is. Two workers each have the same order of chains, and so want the same stages at
            the same time.
        pause: seconds that each step takes besides.
    """

    def __init__(self, coordinator: Any, stages: Path, cluster: str, number: int, pause: float) -> None:
        torch.set_num_threads(1)
        self._store = StageStore(
            stages, leases=RayLeases(coordinator, stages / "leases", cluster), checkpoint_every=0.0
        )
        self._number, self._pause = number, pause

    def pid(self) -> int:
        """The process's number."""
        return os.getpid()

    def node(self) -> str:
        """The node's name."""
        name: str = ray.get_runtime_context().get_node_id()
        return name

    def run_all(self) -> dict[str, float]:
        """Run every chain to its horizon; return what it took."""
        order = configurations()
        random.Random(self._number // 2).shuffle(order)
        began, idle, trained = time.monotonic(), 0.0, 0
        for run in order:
            chain = Chain(run, tiny_stream(), self._store, self._slowly)
            while not chain.done:
                for use in chain.advance().row.stages:
                    idle += use.idle_seconds
                    trained += use.origin == "trained"
        return {"seconds": time.monotonic() - began, "idle_seconds": idle, "trained": trained}

    def _slowly(self, progress: Progress) -> None:
        if not progress.waiting:
            time.sleep(self._pause)
