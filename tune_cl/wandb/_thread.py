"""The thread that calls W&B, and what it makes of a server that does not answer."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from tune_cl.records import SearchFolder
from tune_cl.wandb._mode import ResolvedMode
from tune_cl.wandb._sdk import abandon_service

T = TypeVar("T")


class WandbThread(Generic[T]):
    """Hands items to a thread, which alone calls W&B: nobody waits for W&B, and it is complained of in one line.

    Args:
        mode: how runs are opened; online becomes offline when the server does not answer.
        report: where lines for a person go.
        write: takes the items, in the thread.

    Attributes:
        mode: as it is now.
        unfinished: W&B's service holds something that the server did not take in time.
        told: the one line is said.
    """

    def __init__(self, mode: ResolvedMode, report: Callable[[str], None], write: Callable[[Iterator[T]], None]) -> None:
        self.mode = mode
        self.unfinished = self.told = False
        self._report = report
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=write, args=[iter(self._items.get, None)], name="wandb", daemon=True)
        self._abandoned = threading.Event()

    def put(self, item: T) -> None:
        """Note an item for the thread; none where W&B is off."""
        if self.mode.mode == "disabled":
            return
        if self._thread.ident is None:
            self._thread.start()
        self._items.put(item)

    def close(self, timeout: float) -> list[T] | None:
        """Wait at most `timeout` seconds until everything is written; then the thread shall write and say nothing more.

        Returns:
            None where everything is written in time, else the items that it had not come to.
        """
        if self._thread.ident is None:
            return None
        self._items.put(None)
        self._thread.join(timeout)
        left = self._abandon() if self._thread.is_alive() else None
        if left is not None or self.unfinished:
            abandon_service()
        return left

    @property
    def abandoned(self) -> bool:
        """Whether time is up."""
        return self._abandoned.is_set()

    def go_offline(self, why: str, folder: SearchFolder, runs: Path | None = None) -> None:
        """Have all later runs kept offline, in a new service, since the old one holds the ids; say so.

        Args:
            why: what became of the server's answer.
            folder: the search's.
            runs: where the runs lie, see `ResolvedMode.describe`.
        """
        self.mode = ResolvedMode("offline", f"no answer from the server ({why})")
        self.tell(self.mode.describe(folder, runs))
        abandon_service()

    def tell(self, line: str) -> None:
        """Say a line, unless one was said or time is up."""
        if not self.told and not self.abandoned:
            self.told = True
            self._report(line)

    def _abandon(self) -> list[T]:
        left = []
        with suppress(queue.Empty):
            while True:
                left.append(self._items.get_nowait())
        self._abandoned.set()
        return [item for item in left if item is not None]
