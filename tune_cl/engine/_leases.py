"""Leases in a cluster: the coordinator hands them out, and frees them once their holder is dead."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from tune_cl.coordinator import Coordinator
from tune_cl.store import FileLeases, Lease, LeaseTimes

_ANSWER = 30.0  # seconds to wait for the coordinator; then the file alone decides
_TIMES = LeaseTimes(poll=0.2)


def start_coordinator() -> Any:
    """Start the actor on this process's node; it takes no CPU of its own."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=True
    )
    options = {"num_cpus": 0, "max_restarts": -1, "max_concurrency": 10_000, "scheduling_strategy": here}
    return ray.remote(**options)(Coordinator).remote()


@dataclass
class _RayLease:
    """A lease on a key, from the coordinator and on the file system."""

    file: Lease
    coordinator: Any
    key: str
    holder: str

    def beat(self) -> None:
        """Renew the file; the coordinator needs no sign of life."""
        self.file.beat()

    def __enter__(self) -> "_RayLease":
        return self

    def __exit__(self, *reason: object) -> None:
        self.file.__exit__(*reason)
        self.coordinator.give_back.remote(self.key, self.holder)


class RayLeases:
    """A worker's way to leases: the coordinator excludes the cluster's workers, the file all others on the file system.

    Args:
        coordinator: what `start_coordinator` gave.
        path: folder of the lease files.
        cluster: a name that the workers of this coordinator share, and no others have.
        times: the pace of the lease files.
    """

    def __init__(self, coordinator: Any, path: Path, cluster: str, times: LeaseTimes = _TIMES) -> None:
        self.times = times
        self._coordinator = coordinator
        self._files = FileLeases(path, times, cluster)
        self._holder = uuid.uuid4().hex
        self._lifeline = coordinator.wait_forever.remote()

    def take(self, key: str) -> Lease | None:
        """Take the lease on a stage; None where somebody else, who seems alive, holds it."""
        if ray.wait([self._lifeline], timeout=0)[0]:  # it was started again, and knows nothing of this worker
            self._lifeline = self._coordinator.wait_forever.remote()
        try:
            if not ray.get(self._coordinator.take.remote(key, self._holder, [self._lifeline]), timeout=_ANSWER):
                return None
        except ray.exceptions.RayError:  # it is being started again elsewhere: a lease only saves work
            return FileLeases(self._files.path, self.times).take(key)
        try:
            file = self._files.take(key)
        except OSError:
            self._coordinator.give_back.remote(key, self._holder)
            raise
        if file is None:
            self._coordinator.give_back.remote(key, self._holder)
            return None
        return _RayLease(file, self._coordinator, key, self._holder)
