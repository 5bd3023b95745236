"""Pins: which stages may not be evicted, and for whose sake.

A pin is a file `<stages>/pins/<name>.json` with the keys that somebody needs. A *live* pin belongs to a running
process, which renews the file's modification time; it ends with its process: at once where the process was one of this
machine, after a while without renewal where it is elsewhere. A *winner* pin belongs to a search and lasts as long as
the search's folder does. Pins save work and nothing depends on them: a stage that was evicted although somebody needed
it is trained again.
"""

import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from tune_cl.records import Record, SearchFolder, write_json
from tune_cl.store._process import process_has_exited, this_process


class PinRecord(Record):
    """`pins/<name>.json`."""

    schema_version: int = 1
    kind: Literal["live", "winner"]
    keys: list[str]
    host: str
    holder: dict[str, Any]  # the process that wrote it
    search: str | None = None  # absolute path of the search's folder, for winners
    results: int | None = None  # inode of the folder that the search lies in: does another machine see the same one?

    def in_words(self) -> str:
        """Who needs these stages."""
        if self.kind == "winner":
            return f"winner and default of {self.search}"
        return f"process {self.holder.get('pid')} on {self.host}"


@dataclass(frozen=True)
class PinTimes:
    """The pace of live pins, in seconds."""

    beat: float = 20.0  # between two renewals by the holder
    stale: float = 120.0  # without a renewal after which a holder elsewhere counts as dead
    forget: float = 3600.0  # without a renewal after which the file of a holder elsewhere is removed


class LivePin:
    """Stages that this process needs as long as it runs and has not let go; a context manager.

    A thread renews the file. A store that cannot be written is no obstacle: then nothing is pinned.
    """

    def __init__(self, path: Path, keys: Iterable[str], times: PinTimes) -> None:
        self.path, self._times = path, times
        self._keys: list[str] = []
        self._over, self._lock = threading.Event(), threading.Lock()
        self.keep(keys)
        self._thread = threading.Thread(target=self._renew, name="pin", daemon=True)
        self._thread.start()

    def keep(self, keys: Iterable[str]) -> None:
        """Pin these from now on, in place of those before."""
        wanted = sorted(set(keys))
        with self._lock:
            if wanted != self._keys or not self.path.exists():
                self._keys = wanted
                self._write()

    def release(self) -> None:
        """Let go of all of them."""
        self._over.set()
        self._thread.join()
        with suppress(OSError):  # it ends with this process
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> "LivePin":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _renew(self) -> None:
        while not self._over.wait(self._times.beat):
            with self._lock, suppress(OSError):
                try:
                    os.utime(self.path)
                except FileNotFoundError:  # somebody took this process for dead
                    self._write()

    def _write(self) -> None:
        record = PinRecord(kind="live", keys=self._keys, host=socket.gethostname(), holder=this_process())
        with suppress(OSError):
            write_json(self.path, record)


class Pins:
    """The pins of a store.

    Args:
        stages: the store's folder.
        times: the pace of live pins.

    Example:
        >>> with Pins(stages).hold(key for _, _, key in chain.planned_keys()):
        ...     chain.advance()
    """

    def __init__(self, stages: Path, times: PinTimes | None = None) -> None:
        self.path, self.times = stages / "pins", times or PinTimes()
        self._known: dict[str, tuple[tuple[int, int, int], PinRecord | None]] = {}

    def hold(self, keys: Iterable[str]) -> LivePin:
        """Pin stages as long as this process needs them."""
        return LivePin(self.path / f"live-{uuid.uuid4().hex}.json", keys, self.times)

    def pin_winner(self, search: Path, keys: Iterable[str]) -> None:
        """Pin the stages of a search's winner, in place of those of its winner before.

        Raises:
            OSError: the store cannot be written.
        """
        search = search.resolve()
        record = PinRecord(
            kind="winner",
            keys=sorted(set(keys)),
            host=socket.gethostname(),
            holder=this_process(),
            search=str(search),
            results=_inode(search.parent),
        )
        place = hashlib.sha256(f"{search} in {record.results}".encode()).hexdigest()
        path = self.path / f"winner-{place[:24]}.json"
        before = dict(self._records())
        if path not in before or before[path].keys != record.keys:
            write_json(path, record)
        for other, old in before.items():
            if other != path and old.search == record.search and old.host == record.host:
                other.unlink(missing_ok=True)

    def standing(self) -> list[PinRecord]:
        """The pins that hold now."""
        return [record for path, record in self._records() if self._stands(path, record)]

    def pinned(self) -> dict[str, tuple[str, ...]]:
        """Key -> for whose sake it is pinned, in words."""
        by: dict[str, list[str]] = {}
        for record in self.standing():
            for key in record.keys:
                by.setdefault(key, []).append(record.in_words())
        return {key: tuple(words) for key, words in by.items()}

    def sweep(self) -> None:
        """Remove the files of pins that hold no more."""
        for path, record in list(self._records()):
            with suppress(OSError):
                if not self._stands(path, record) and (record.kind == "winner" or self._is_forgotten(path, record)):
                    path.unlink(missing_ok=True)

    def _records(self) -> Iterator[tuple[Path, PinRecord]]:
        """The pins that can be read; each is parsed once as long as its file does not change."""
        try:
            names = [entry for entry in os.scandir(self.path) if entry.name.endswith(".json") and entry.name[0] != "."]
        except OSError:  # there is no such folder, mostly
            return
        self._known = {entry.name: self._known[entry.name] for entry in names if entry.name in self._known}
        for entry in names:
            try:
                stat = entry.stat()
                sign = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                if self._known.get(entry.name, (None,))[0] != sign:
                    self._known[entry.name] = (sign, _parsed(Path(entry.path)))
            except OSError:  # gone just now
                continue
            record = self._known[entry.name][1]
            if record is not None:
                yield Path(entry.path), record

    def _stands(self, path: Path, record: PinRecord) -> bool:
        if record.kind == "winner":
            return _search_stands(record)
        if _is_of_this_machine(record):
            return not process_has_exited(record.holder)
        return _age(path) <= self.times.stale

    def _is_forgotten(self, path: Path, record: PinRecord) -> bool:
        return _is_of_this_machine(record) or _age(path) > self.times.forget


def _parsed(path: Path) -> PinRecord | None:
    try:
        return PinRecord.model_validate_json(path.read_bytes())
    except ValidationError:  # none of ours
        return None


def _is_of_this_machine(record: PinRecord) -> bool:
    return bool(record.holder.get("machine") == this_process()["machine"])


def _search_stands(record: PinRecord) -> bool:
    """Whether a search is still there; one that lies on another machine, out of sight from here, is taken to be."""
    search = Path(record.search or "")
    in_sight = record.host == socket.gethostname() or _inode(search.parent) == record.results
    try:
        return SearchFolder(search).search.exists() if in_sight else True
    except OSError:  # no permission to look
        return True


def _inode(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
