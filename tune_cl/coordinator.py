"""The one actor of a search: who trains which stage, how far each trial has got, and whether the search is to end.

Ray starts it in a process of its own, which imports this module and nothing else of the package: neither torch nor
Ray's own libraries. It holds no handle of a worker, since to receive one means to import what the worker is made of.
"""

import asyncio
from collections.abc import Mapping
from typing import Any


class Coordinator:
    """Lives on the driver's node. If it is lost, so is what it knows: work may be done twice, progress is not shown."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}  # stage key -> holder of the lease
        self._watched: set[str] = set()
        self._progress: dict[int, dict[str, Any]] = {}  # trial -> its latest report
        self._ending = False
        self._saved: set[int] = set()

    async def take(self, key: str, holder: str, lifeline: list[Any]) -> bool:
        """Give a lease on `key` to `holder`, unless another has it.

        Args:
            key: the stage's.
            holder: a name that no other worker has, nor had.
            lifeline: what the holder got from its own call of `wait_forever`, in a list, so that Ray passes the
                reference on as it is.
        """
        if self._holders.setdefault(key, holder) != holder:
            return False
        if holder not in self._watched:
            self._watched.add(holder)
            asyncio.get_running_loop().create_task(self._free_at_death(holder, lifeline[0]))
        return True

    async def give_back(self, key: str, holder: str) -> None:
        """Free a lease, if the holder still has it."""
        if self._holders.get(key) == holder:
            del self._holders[key]

    async def leases(self) -> dict[str, str]:
        """All leases: key -> holder."""
        return dict(self._holders)

    async def wait_forever(self) -> None:
        """Never answer. The reference to the answer belongs to the caller, and is void once the caller is dead."""
        await asyncio.Event().wait()

    async def _free_at_death(self, holder: str, lifeline: Any) -> None:
        try:
            await lifeline
        except Exception:  # whatever Ray says of it: the answer will not come, since nobody waits for it any more
            self._holders = {key: other for key, other in self._holders.items() if other != holder}
        finally:
            self._watched.discard(holder)

    async def post(self, progress: Mapping[str, Any]) -> bool:
        """Take a trial's progress, in place of its last one. Returns whether the search is about to end."""
        self._progress[progress["trial"]] = dict(progress)
        return self._ending

    async def take_progress(self) -> list[dict[str, Any]]:
        """What has come in since the last call, at most one report of each trial."""
        taken, self._progress = list(self._progress.values()), {}
        return taken

    async def announce_end(self) -> None:
        """From now on, `post` answers that the search is about to end."""
        self._ending = True

    async def note_saved(self, trial: int) -> None:
        """The state of the phase that a trial is in has been saved."""
        self._saved.add(trial)

    async def saved(self) -> set[int]:
        """The trials whose phase's state has been saved since the end was announced."""
        return set(self._saved)
