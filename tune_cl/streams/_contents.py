"""What files hold, as SHA-256 of each, remembered between commands as long as a file has not been touched."""

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_cl.errors import TuneCLError, readable
from tune_cl.streams._cache import keep

_READERS = 16  # files that are read at a time: on a network file system each takes its time
_YOUNG = 2_000_000_000  # ns: a file that changed so shortly before may change again within one tick of its clock

Index = dict[bytes, tuple[tuple[int, ...], bytes]]  # path -> (size, times of change, inode) and digest


def content_hashes(folder: Path, paths: Sequence[bytes], remembered: Path | None) -> NDArray[np.uint8]:
    """Hash files, but for those that are as they were when an earlier call hashed them.

    A file is taken for unchanged if its size, its inode and the times of its last modification and last status change
    are the same to the nanosecond. A program can set the former time, and none the latter.

    Args:
        folder: that all lie under.
        paths: relative to it.
        remembered: file of the hashes of earlier calls; None: all are hashed, and nothing is written.

    Returns:
        uint8 (N, 32), SHA-256 of each file.

    Raises:
        TuneCLError: a file cannot be read.
    """
    known = _read_index(remembered) if remembered is not None else {}
    began = time.time_ns()

    def hashed(path: bytes) -> tuple[tuple[int, ...], bytes]:
        file = os.path.join(os.fsencode(folder), path)
        try:
            before = _state(file)
            if path in known and known[path][0] == before:
                return known[path]
            with open(file, "rb") as content:
                return before, hashlib.file_digest(content, "sha256").digest()
        except OSError as error:
            raise TuneCLError(f"{readable(file)}: cannot be read ({error.strerror})") from None

    with ThreadPoolExecutor(_READERS) as readers:
        found = dict(zip(paths, readers.map(hashed, paths), strict=True))
    if remembered is not None and found != known:
        with suppress(OSError):  # a folder that is read-only or full
            _write_index(remembered, {path: entry for path, entry in found.items() if _settled(entry[0], began)})
    return np.frombuffer(b"".join(digest for _, digest in found.values()), dtype=np.uint8).reshape(-1, 32)


def _state(file: bytes) -> tuple[int, ...]:
    status = os.stat(file)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _settled(state: tuple[int, ...], began: int) -> bool:
    return max(state[1], state[2]) + _YOUNG < began


def _read_index(path: Path) -> Index:
    """What an earlier call remembered; nothing where that is damaged or another thing."""
    try:
        with np.load(path, allow_pickle=False) as index:
            states, digests = index["states"].tolist(), index["digests"]
            paths = index["paths"].tolist()
        return {name: (tuple(s), d.tobytes()) for name, s, d in zip(paths, states, digests, strict=True)}
    except Exception:  # a damaged archive can fail anywhere in NumPy
        return {}


def _write_index(path: Path, index: Index) -> None:
    arrays = {
        "paths": np.array(list(index), dtype=np.bytes_),
        "states": np.array([state for state, _ in index.values()], dtype=np.int64).reshape(-1, 4),
        "digests": np.frombuffer(b"".join(digest for _, digest in index.values()), np.uint8).reshape(-1, 32),
    }
    keep(path, lambda file: np.savez(file, allow_pickle=False, **arrays))
