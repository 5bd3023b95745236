"""Who holds something in the store: a process, named so that others can tell when it is gone."""

import json
import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _machine() -> str:
    """This machine and process namespace: a process id means something only within them."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # not Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return "/".join(parts)


def this_process() -> dict[str, Any]:
    """Machine, process id and start time of this process, as plain JSON data."""
    return {"machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def process_has_exited(holder: str | dict[str, Any]) -> bool:
    """Whether a holder was a process of this machine that is no more; what is unreadable or elsewhere tells nothing.

    Args:
        holder: what `this_process` gave, or its JSON text (as read from a file that may be half written).
    """
    try:
        told: Any = json.loads(holder) if isinstance(holder, str) else holder
        machine, pid, started = told["machine"], int(told["pid"]), told["started"]
    except (ValueError, TypeError, KeyError):
        return False
    if machine != _machine():
        return False
    return not _is_running(pid) or _started(pid) != started  # the number may have been given to another


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> int | None:
    """Start of a process in clock ticks since boot; None where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
