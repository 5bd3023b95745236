"""What a store holds: stages, and what killed processes and damage left behind.

Only what has the names that the store gives is seen, so that nothing else in a folder is ever touched.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tune_cl.store._pins import Pins
from tune_cl.store._stages import StageRecord

EVICTED = "evicted-"  # in front of the name of a stage on its way out, in `drafts/`

_SHARD = re.compile(r"[0-9a-f]{2}")
_KEY = re.compile(r"[0-9a-f]{64}")
_DRAFT = re.compile(rf"(?:{EVICTED})?([0-9a-f]{{16}})-[0-9a-f]{{32}}")
_DAMAGED = re.compile(r"([0-9a-f]{64})-[0-9a-f]{8}")
_CHECKPOINT = re.compile(r"([0-9a-f]{64})\.pt")
_CHECKPOINT_DRAFT = re.compile(r"\.([0-9a-f]{64})\.pt\.\w+\.tmp")
_SETTLED = 2.0  # seconds after which a change of a folder surely shows in its modification time

Kind = Literal["draft", "damaged", "checkpoint"]


@dataclass(frozen=True)
class Ages:
    """When something left behind is worth nothing, in seconds since it was last touched."""

    draft: float = 3600.0
    draft_without_lease: float = 600.0
    damaged: float = 86_400.0
    checkpoint: float = 7 * 86_400.0
    lease: float = 3600.0  # after which a lease, renewed every few seconds in life, tells nothing


@dataclass(frozen=True)
class Entry:
    """A stage in its place."""

    key: str
    bytes: int
    published: float  # seconds since 1970
    record: StageRecord | None  # None where it cannot be read now, or is damaged
    damaged: bool = False

    @property
    def parent(self) -> str | None:
        """Key of the stage that it builds on, if it is known."""
        return self.record.parent if self.record else None


@dataclass(frozen=True)
class Leftover:
    """Something in the store that is no stage."""

    kind: Kind
    path: Path
    key: str  # of the stage that it was to become, or was; of drafts the first 16 digits
    bytes: int
    touched: float  # seconds since 1970
    worthless: str | None  # why nobody needs it; None where somebody may


@dataclass(frozen=True)
class Holdings:
    """A store at one moment."""

    entries: Mapping[str, Entry]
    leftovers: tuple[Leftover, ...]
    pinned: Mapping[str, tuple[str, ...]]  # key -> for whose sake
    leased: frozenset[str]  # keys that are being trained

    @property
    def bytes(self) -> int:
        """Size of all of it."""
        return sum(entry.bytes for entry in self.entries.values()) + sum(item.bytes for item in self.leftovers)

    def ancestors(self, key: str) -> Iterator[str]:
        """The stored stages that a stage builds on, nearest first, up to the first that is not stored."""
        seen = {key}  # a record that names itself must not hang us
        parent = self.entries[key].parent
        while parent is not None and parent in self.entries and parent not in seen:
            seen.add(parent)
            yield parent
            parent = self.entries[parent].parent

    def descendants(self) -> dict[str, int]:
        """Key -> how many stored stages build on it through stored ones."""
        counts = dict.fromkeys(self.entries, 0)
        for key in self.entries:
            for ancestor in self.ancestors(key):
                counts[ancestor] += 1
        return counts


class Inventory:
    """Looks through a store, again and again: a stage is read once, since it does not change in its place.

    Args:
        stages: the store's folder.
        pins: its pins.
        ages: when something left behind is worth nothing.
    """

    def __init__(self, stages: Path, pins: Pins, ages: Ages | None = None) -> None:
        self._stages, self._pins, self._ages = stages, pins, ages or Ages()
        self._shards: dict[str, tuple[int, dict[str, Entry]]] = {}  # name -> modification time, what was in it then

    def scan(self) -> Holdings:
        """The store as it is now; what comes or goes meanwhile may be in it or not."""
        now = time.time()
        entries = self._entries(now)
        pinned, leased = self._pins.pinned(), self.leased(now)
        leftovers = [
            *self._drafts(now, leased),
            *self._checkpoints(now, entries.keys() - leased, pinned.keys() | leased),
            *self._damaged(now),
        ]
        return Holdings(entries, tuple(leftovers), pinned, leased)

    def leased(self, now: float | None = None) -> frozenset[str]:
        """Keys that somebody is training."""
        limit = (time.time() if now is None else now) - self._ages.lease
        return frozenset(
            item.name
            for item in _listed(self._stages / "leases")
            if _KEY.fullmatch(item.name) and _touched(item) > limit
        )

    def _entries(self, now: float) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for shard in _listed(self._stages):
            if _SHARD.fullmatch(shard.name) and shard.is_dir(follow_symlinks=False):
                found.update(self._shard(shard, now))
        return found

    def _shard(self, shard: os.DirEntry[str], now: float) -> dict[str, Entry]:
        """The stages in one folder; where nothing came or went since the last look, those of then."""
        changed = shard.stat().st_mtime_ns
        known_at, known = self._shards.get(shard.name, (-1, {}))
        if known_at == changed:
            return known
        entries: dict[str, Entry] = {}
        for item in _listed(Path(shard.path)):
            if _KEY.fullmatch(item.name) and item.is_dir(follow_symlinks=False):
                entry = _entry(item, known.get(item.name))
                if entry is not None:
                    entries[item.name] = entry
        unread = any(entry.record is None and not entry.damaged for entry in entries.values())
        settled = now - changed / 1e9 > _SETTLED and not unread
        self._shards[shard.name] = (changed if settled else -1, entries)
        return entries

    def _drafts(self, now: float, leased: Iterable[str]) -> Iterator[Leftover]:
        writers = {key[:16] for key in leased}
        for item in _listed(self._stages / "drafts"):
            match = _DRAFT.fullmatch(item.name)
            if match:
                size, touched = _measured(item)
                limit = self._ages.draft if match[1] in writers else self._ages.draft_without_lease
                worthless = None
                if item.name.startswith(EVICTED):
                    worthless = "evicted before"
                elif now - touched > min(limit, self._ages.draft):
                    worthless = "left behind by a process that is gone"
                yield Leftover("draft", Path(item.path), match[1], size, touched, worthless)

    def _damaged(self, now: float) -> Iterator[Leftover]:
        for item in _listed(self._stages / "damaged"):
            match = _DAMAGED.fullmatch(item.name)
            if match:
                size, touched = _measured(item)
                touched = max(touched, _moved(item))
                worthless = "damaged, and set aside long ago" if now - touched > self._ages.damaged else None
                yield Leftover("damaged", Path(item.path), match[1], size, touched, worthless)

    def _checkpoints(self, now: float, published: Set[str], needed: Set[str]) -> Iterator[Leftover]:
        for item in _listed(self._stages / "checkpoints"):
            whole, part = _CHECKPOINT.fullmatch(item.name), _CHECKPOINT_DRAFT.fullmatch(item.name)
            match = whole or part
            if match:
                size, touched = _measured(item)
                worthless = None
                if part:
                    if now - touched > self._ages.draft:
                        worthless = "left behind by a process that is gone"
                elif match[1] in published:
                    worthless = "its stage is stored"
                elif match[1] not in needed and now - touched > self._ages.checkpoint:
                    worthless = "nobody has gone on from it for a long time"
                yield Leftover("checkpoint", Path(item.path), match[1], size, touched, worthless)


def _entry(item: os.DirEntry[str], known: Entry | None) -> Entry | None:
    """Look at a stage, or take over what is known of it; None where it is gone."""
    folder = Path(item.path)
    try:
        stat = (folder / "stage.json").stat()
    except FileNotFoundError:
        return Entry(item.name, *_measured(item), None, damaged=True) if folder.exists() else None
    except OSError:
        return Entry(item.name, 0, 0.0, None)
    if known is not None and known.record is not None and known.published == stat.st_mtime:
        return known
    size = _measured(item)[0]
    try:
        record = StageRecord.model_validate_json((folder / "stage.json").read_bytes())
        whole = record.key == item.name and record.is_whole() and (folder / "state.pt").exists()
    except ValidationError:
        whole = False
    except FileNotFoundError:
        return None
    except OSError:  # says nothing of the stage
        return Entry(item.name, size, stat.st_mtime, None)
    return Entry(item.name, size, stat.st_mtime, record if whole else None, damaged=not whole)


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return list(items)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _touched(item: os.DirEntry[str]) -> float:
    try:
        return item.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return 0.0


def _moved(item: os.DirEntry[str]) -> float:
    try:
        return item.stat(follow_symlinks=False).st_ctime
    except FileNotFoundError:
        return 0.0


def _measured(item: os.DirEntry[str]) -> tuple[int, float]:
    """Bytes of a file or of a folder's files, and when one of them was last touched."""
    try:
        stat = item.stat(follow_symlinks=False)
    except FileNotFoundError:
        return 0, 0.0
    if not item.is_dir(follow_symlinks=False):
        return stat.st_size, stat.st_mtime
    total, touched = 0, stat.st_mtime
    for part in _listed(Path(item.path)):
        size, changed = _measured(part)
        total, touched = total + size, max(touched, changed)
    return total, touched
