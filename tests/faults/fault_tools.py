"""What a fault is made of: kills, damage to files, a small disk that fills up or cannot be written."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tripwire import log_of

from tune_cl.store import StageStore


def await_moment(wires: Path, seconds: float, wire: int = 0, alive: Callable[[], bool] = lambda: True) -> dict:
    """Wait until somebody stays at a wire; return the line of the log that says so."""
    deadline = time.monotonic() + seconds
    while True:
        at = [line for line in log_of(wires, "reached") if line["wire"] == wire]
        if at:
            return at[0]
        assert alive(), "the run ended before it reached the moment"
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        time.sleep(0.01)


def kill(pid: int) -> None:
    """End a process as the kernel does when memory is short."""
    os.kill(pid, signal.SIGKILL)


def damage(path: Path, how: str) -> None:
    """Cut off the second half of a file, or flip one bit of it: in the middle, or of a number in a record."""
    data = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
        return
    number = re.search(rb'"images_trained": \d+', data)
    data[number.end() - 1 if number else len(data) // 2] ^= 1
    path.write_bytes(data)


def published(stages: Path) -> set[str]:
    """The keys in a store."""
    return {path.parent.name for path in stages.glob("??/*/stage.json")}


def checksums(stages: Path) -> dict[str, str]:
    """Key -> checksum of the weights, of every stage in a store; each is read and checked."""
    found = {}
    for key in published(stages):
        stage = StageStore(stages).load(key)
        assert stage is not None, f"{key} is damaged"
        found[key] = stage.record.checksum
    return found


class SmallDisk:
    """A file system of a few megabytes in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue
        assert os.statvfs(self.path).f_bavail == 0

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink()

    def remount(self, mode: str) -> None:
        """Make it read-only (`ro`) or writable again (`rw`)."""
        subprocess.run(["mount", "-o", f"remount,{mode}", self.path], check=True, capture_output=True)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Mount one at `path`; skip the test where that is not permitted."""
    path.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tune_cl-faults", path], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("needs mount (a tmpfs of 4 MiB), which this machine does not have")
    if mounted.returncode:
        pytest.skip(f"needs to mount a tmpfs of 4 MiB, which is not permitted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
