"""Leases in a cluster: one Ray actor hands them out, and frees them when Ray reports their holder dead."""

import asyncio
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from tune_cl.store import FileLeases, Lease, LeaseTimes

_ANSWER = 30.0  # seconds to wait for the office; then the file alone decides
_TIMES = LeaseTimes(poll=0.2)


class _Office:
    """Who trains what, by key; lives on the driver's node. If it is lost, so are its books: work may be done twice."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}  # key -> holder
        self._watched: set[str] = set()

    async def take(self, key: str, holder: str, actor: list[Any]) -> bool:
        """Give a lease on `key` to `holder`, unless another has it.

        Args:
            key: the stage's.
            holder: a name that no other worker has, nor had.
            actor: handle of the holder's actor, in a list, so that Ray passes the handle on as it is.
        """
        if self._holders.setdefault(key, holder) != holder:
            return False
        if holder not in self._watched:
            self._watched.add(holder)
            asyncio.get_running_loop().create_task(self._watch(holder, actor[0]))
        return True

    async def give_back(self, key: str, holder: str) -> None:
        """Free a lease, if the holder still has it."""
        if self._holders.get(key) == holder:
            del self._holders[key]

    async def held(self) -> dict[str, str]:
        """All leases: key -> holder."""
        return dict(self._holders)

    async def _watch(self, holder: str, actor: Any) -> None:
        """Wait for the holder's death while it holds something.

        A call of the actor waits behind what the actor is doing now and fails once Ray knows that the actor is dead.
        """
        try:
            while holder in self._holders.values():
                await actor.pulse.remote()
                await asyncio.sleep(1.0)  # it was between two increments
        except ray.exceptions.RayError:
            self._holders = {key: other for key, other in self._holders.items() if other != holder}
        finally:
            self._watched.discard(holder)


def start_office() -> Any:
    """Start the office on this process's node; it takes no CPU of its own."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=True
    )
    options = {"num_cpus": 0, "max_restarts": -1, "max_concurrency": 1000, "scheduling_strategy": here}
    return ray.remote(**options)(_Office).remote()


@dataclass
class _RayLease:
    """A lease on a key, from the office and on the file system."""

    file: Lease
    office: Any
    key: str
    holder: str

    def beat(self) -> None:
        """Renew the file; the office needs no sign of life."""
        self.file.beat()

    def __enter__(self) -> "_RayLease":
        return self

    def __exit__(self, *reason: object) -> None:
        self.file.__exit__(*reason)
        self.office.give_back.remote(self.key, self.holder)


class RayLeases:
    """A worker's way to leases: the office excludes the cluster's workers, the file everybody else on the file system.

    Args:
        office: what `start_office` gave.
        path: folder of the lease files.
        cluster: a name that the workers of this office share, and nobody else has.
        times: the pace of the lease files.
    """

    def __init__(self, office: Any, path: Path, cluster: str, times: LeaseTimes = _TIMES) -> None:
        self.times = times
        self._office = office
        self._files = FileLeases(path, times, cluster)
        self._holder = uuid.uuid4().hex
        self._actor = ray.get_runtime_context().current_actor

    def take(self, key: str) -> Lease | None:
        """Take the lease on a stage; None where somebody else, who seems alive, holds it."""
        try:
            if not ray.get(self._office.take.remote(key, self._holder, [self._actor]), timeout=_ANSWER):
                return None
        except ray.exceptions.RayError:  # the office is being started again elsewhere: a lease only saves work
            return FileLeases(self._files.path, self.times).take(key)
        try:
            file = self._files.take(key)
        except OSError:
            self._office.give_back.remote(key, self._holder)
            raise
        if file is None:
            self._office.give_back.remote(key, self._holder)
            return None
        return _RayLease(file, self._office, key, self._holder)
