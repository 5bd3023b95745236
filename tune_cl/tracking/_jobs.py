"""A thread that does what others must not wait for."""

import queue
import threading
from collections.abc import Callable


class JobThread(threading.Thread):
    """Does jobs in order, one after another; started by the first one.

    Args:
        name: of the thread.
        do: does a job, and sees to what it raises.
        last: what is done after all jobs.
    """

    def __init__(self, name: str, do: Callable[[Callable[[], None]], None], last: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._do, self._last = do, last
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def put(self, job: Callable[[], None]) -> None:
        """Have a job done, without waiting for it."""
        if self.ident is None:
            self.start()
        self._jobs.put(job)

    def close(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until everything is done; returns whether it is."""
        if self.ident is None:
            return True
        self._jobs.put(None)
        self.join(timeout)
        return not self.is_alive()

    def run(self) -> None:
        """What the thread does."""
        for job in iter(self._jobs.get, None):
            self._do(job)
        self._last()
