"""Trackers of one's own, beside the console and W&B."""

from collections.abc import Callable

from tune_cl.registry import Origin
from tune_cl.tracking._events import Tracker

_TRACKERS: dict[str, Callable[[], Tracker]] = {}  # by module and name


def register_tracker(make: Callable[[], Tracker], origin: Origin) -> None:
    """Have every search of this process followed by a tracker.

    Args:
        make: a class or function that makes one, without arguments; called once for each search.
        origin: the plug-in that brings it.
    """
    _TRACKERS[f"{origin.module}.{getattr(make, '__name__', repr(make))}"] = make


def own_trackers() -> list[Tracker]:
    """Fresh ones for a search."""
    return [make() for make in _TRACKERS.values()]
