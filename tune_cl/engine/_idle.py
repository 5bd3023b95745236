"""How long free slots wait for a base."""

import time
from collections.abc import Callable

_KEEP_EVERY = 10.0  # seconds times slots: what a crash loses at most


class IdleClock:
    """Adds up seconds times waiting slots, and keeps the sum now and then."""

    def __init__(self, keep: Callable[[float], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no slot waiting.

        Args:
            keep: adds to what is kept for good.
            clock: seconds that only go forward.
        """
        self._keep, self._clock = keep, clock
        self._slots, self._since = 0, 0.0
        self._unkept = 0.0

    def waiting(self, slots: int) -> None:
        """Take note that so many slots wait from now on; to be called now and then while any does."""
        now = self._clock()
        self._unkept += self._slots * (now - self._since)
        changed = slots != self._slots
        self._slots, self._since = slots, now
        if changed or self._unkept >= _KEEP_EVERY:
            self._flush()

    def close(self) -> None:
        """Keep what has been noted; the time since then, in which nobody asked for a trial, does not count."""
        self._slots = 0
        self._flush()

    def _flush(self) -> None:
        if self._unkept > 0:
            self._keep(self._unkept)
        self._unkept = 0.0
