"""Single flight: who trains a stage holds a lease on its key.

Between processes on one file system a lease is a file `<stages>/leases/<key>`, created with O_EXCL, that says who holds
it and whose modification time its holder renews. A lease saves work and nothing depends on it: where one is taken for
dead although it is not (clocks that differ, a step of over a minute), two processes train the same stage and publish
equal content.
"""

import json
import os
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tune_cl.store._process import process_has_exited, this_process


@dataclass(frozen=True)
class LeaseTimes:
    """The pace of leases, in seconds."""

    beat: float = 2.0  # between two renewals by the holder
    poll: float = 0.5  # between two looks of one who waits
    stale: float = 60.0  # without a renewal after which a holder counts as dead


class Lease(Protocol):
    """The right to train one stage; a context manager that gives it back."""

    def beat(self) -> None:
        """Say that the holder lives; cheap enough for every training step."""

    def __enter__(self) -> "Lease": ...

    def __exit__(self, *_: object) -> None: ...


class Leases(Protocol):
    """Hands out leases."""

    times: LeaseTimes

    def take(self, key: str) -> Lease | None:
        """Take the lease on a stage; None where somebody else, who seems alive, holds it."""


@dataclass
class FileLease:
    """A lease that is a file."""

    path: Path
    token: str  # the file's content while this lease holds it
    beat_seconds: float
    _last: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Renew the file, if the last renewal is long enough ago."""
        now = time.monotonic()
        if now - self._last < self.beat_seconds:
            return
        self._last = now
        with suppress(OSError):  # taken over just now, or a file system that hiccups: the lease is not worth a phase
            if self._is_mine():
                os.utime(self.path)

    def release(self) -> None:
        """Let others have it, unless it was taken over."""
        with suppress(OSError):  # it goes stale instead
            if self._is_mine():
                self.path.unlink(missing_ok=True)

    def __enter__(self) -> "FileLease":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_mine(self) -> bool:
        return _read(self.path) == self.token


class FileLeases:
    """Leases between processes on one file system.

    Args:
        path: folder of the lease files.
        times: their pace.
        cluster: name of a cluster whose members have another way to exclude each other. Whoever comes with the same
            name knows that no other member trains this stage, so that a file left by one is no obstacle.
    """

    def __init__(self, path: Path, times: LeaseTimes | None = None, cluster: str | None = None) -> None:
        self.path, self.times, self._cluster = path, times or LeaseTimes(), cluster

    def take(self, key: str) -> FileLease | None:
        """Take the lease on a stage; None where somebody else, who seems alive, holds it.

        Raises:
            OSError: the folder cannot be written.
        """
        path = self.path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        self._remove_if_stale(path)
        token = json.dumps({**this_process(), "cluster": self._cluster, "time": time.time(), "token": uuid.uuid4().hex})
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return None
        try:
            with os.fdopen(handle, "w") as file:
                file.write(token)
        except OSError:  # a full disk
            path.unlink(missing_ok=True)
            raise
        return FileLease(path, token, self.times.beat)

    def _remove_if_stale(self, path: Path) -> None:
        """Take away the lease of a dead holder, unless it changed hands since it was judged."""
        token = _read(path)
        if token is not None and self._is_stale(path, token) and _read(path) == token:
            path.unlink(missing_ok=True)

    def _is_stale(self, path: Path, token: str) -> bool:
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            return False
        return age > self.times.stale or process_has_exited(token) or self._is_of_my_cluster(token)

    def _is_of_my_cluster(self, token: str) -> bool:
        try:
            return self._cluster is not None and json.loads(token)["cluster"] == self._cluster
        except (ValueError, TypeError, KeyError):
            return False


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
