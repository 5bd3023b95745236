"""Trackers of one's own, beside the console and W&B."""

import re
from collections.abc import Callable

from tune_cl.registry import Origin, Registry
from tune_cl.tracking._events import Tracker

TRACKERS: Registry[Callable[[], Tracker]] = Registry("tracker", form=re.compile(".+"))  # by module and name


def register_tracker(make: Callable[[], Tracker], origin: Origin) -> None:
    """Have every search of this process followed by a tracker.

    Args:
        make: a class or function that makes one, without arguments; called once for each search.
        origin: the plug-in that brings it.
    """
    TRACKERS.add(f"{origin.module}.{getattr(make, '__name__', repr(make))}", make, origin)


def own_trackers() -> list[Tracker]:
    """Fresh ones for a search."""
    return [make() for make in TRACKERS]
