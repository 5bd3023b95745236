"""Several trackers as one, none of which can hurt the search."""

import sys
import time
from collections.abc import Callable, Sequence

from tune_cl.tracking._events import Event, Tracker


def write_to_stderr(line: str) -> None:
    """Write a line to standard error: the way to be heard that always exists."""
    print(line, file=sys.stderr, flush=True)


class Trackers:
    """Passes every event to every tracker, in order; a tracker that raises is reported once, in one line.

    Example:
        >>> console = ConsoleTracker()
        >>> trackers = Trackers([console, WandbTracker("offline")], report=console.notice)
        >>> trackers.handle(event)
        >>> trackers.close(timeout=30)
    """

    def __init__(self, trackers: Sequence[Tracker], report: Callable[[str], None] = write_to_stderr) -> None:
        self._trackers = tuple(trackers)
        self._report = report
        self._reported: set[int] = set()

    def handle(self, event: Event) -> None:
        """Pass an event on."""
        for tracker in self._trackers:
            try:
                tracker.handle(event)
            except Exception as error:
                self._complain(tracker, error)

    def notice(self, line: str) -> None:
        """Say one line to the person."""
        self._report(line)

    def close(self, timeout: float) -> None:
        """Close all trackers, the last one first, within `timeout` seconds together."""
        deadline = time.monotonic() + timeout
        for tracker in reversed(self._trackers):
            try:
                tracker.close(max(0.0, deadline - time.monotonic()))
            except Exception as error:
                self._complain(tracker, error)

    def _complain(self, tracker: Tracker, error: Exception) -> None:
        if id(tracker) in self._reported:
            return
        self._reported.add(id(tracker))
        line = f"{type(tracker).__name__} failed ({in_one_line(error)}); the search goes on, its rows are on disk"
        try:
            self._report(line)
        except Exception:  # the tracker that should have said it is the broken one
            write_to_stderr(line)


def in_one_line(error: BaseException, limit: int = 160) -> str:
    """An exception's kind and message on one line of at most `limit` characters."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return text if len(text) <= limit else text[: limit - 1] + "…"
