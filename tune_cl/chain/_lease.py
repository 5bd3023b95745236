"""Single flight between processes on one file system: who trains a stage holds a lease on its key.

A lease is a file `<stages>/leases/<key>`, created with O_EXCL, that says who holds it (JSON: host, pid, time) and whose
modification time its holder renews. A lease saves work and nothing depends on it: where one is taken for dead although
it is not (clocks that differ, a step of over a minute), two processes train the same stage and publish equal content.
"""

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LeaseTimes:
    """The pace of leases, in seconds."""

    beat: float = 2.0  # between two renewals by the holder
    poll: float = 0.5  # between two looks of one who waits
    stale: float = 60.0  # without a renewal after which a holder counts as dead


@dataclass
class Lease:
    """The right to train one stage; use it as a context manager, and call `beat` now and then."""

    path: Path
    token: str  # the file's content while this lease holds it
    beat_seconds: float
    _last: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Say that the holder lives; cheap enough for every training step."""
        now = time.monotonic()
        if now - self._last < self.beat_seconds:
            return
        self._last = now
        if self._is_mine():
            with suppress(FileNotFoundError):  # taken over just now
                os.utime(self.path)

    def release(self) -> None:
        """Let others have it, unless it was taken over."""
        if self._is_mine():
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_mine(self) -> bool:
        return _read(self.path) == self.token


def take_lease(path: Path, times: LeaseTimes) -> Lease | None:
    """Take the lease at a path; None where somebody else, who seems alive, holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_if_stale(path, times.stale)
    token = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "time": time.time()})
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return None
    with os.fdopen(handle, "w") as file:
        file.write(token)
    return Lease(path, token, times.beat)


def _remove_if_stale(path: Path, stale: float) -> None:
    """Take away the lease of a dead holder, unless it changed hands since it was judged."""
    token = _read(path)
    if token is not None and _is_stale(path, token, stale) and _read(path) == token:
        path.unlink(missing_ok=True)


def _is_stale(path: Path, token: str, stale: float) -> bool:
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    return age > stale or _holder_is_dead(token)


def _holder_is_dead(token: str) -> bool:
    """Whether the holder was a process of this machine that is gone; a file still being written tells nothing."""
    try:
        holder: Any = json.loads(token)
        host, pid = holder["host"], int(holder["pid"])
    except (ValueError, TypeError, KeyError):
        return False
    return host == socket.gethostname() and not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
