"""Upkeep of a store: holding it within a size, and clearing what was left behind.

A stage is worth the seconds that it took to train, times one more than the stored stages that build on it, per byte.
The least valuable goes first. What a pin or a lease protects never goes. Any number of processes may do this at once:
a stage leaves by one rename, so that a reader finds it whole or not at all, and who comes second finds it gone.
"""

import heapq
import shutil
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tune_cl.store._inventory import EVICTED, Ages, Entry, Holdings, Inventory, Leftover
from tune_cl.store._pins import Pins, PinTimes
from tune_cl.text import bytes_text

_ORDER = ("draft", "checkpoint", "damaged")  # of what is worth nothing


@dataclass(frozen=True)
class Evicted:
    """Something that was removed, or would be."""

    kind: Literal["stage", "draft", "damaged", "checkpoint"]
    key: str  # of drafts the first 16 digits
    bytes: int
    why: str
    seconds: float | None = None  # of training that it would cost to have a stage back


@dataclass(frozen=True)
class Pruned:
    """What was removed, and what is left."""

    evicted: tuple[Evicted, ...]
    before: int  # bytes
    after: int
    budget: int | None = None

    @property
    def complaint(self) -> str | None:
        """Why the store is still larger than its budget, in a sentence; None where it is not."""
        if self.budget is None or self.after <= self.budget:
            return None
        return (
            f"what is needed of the stages takes {bytes_text(self.after)}, and the budget is "
            f"{bytes_text(self.budget)}: what running chains and the winners of searches need stays"
        )


class Upkeep:
    """Keeps a store in order; one that lives long is faster, since it remembers the stages that it has read.

    Args:
        stages: the store's folder.
        ages: when something left behind is worth nothing.
        pin_times: the pace of live pins.

    Example:
        >>> Upkeep(Path("results/stages")).enforce(50 * 2**30).complaint
    """

    def __init__(self, stages: Path, ages: Ages | None = None, pin_times: PinTimes | None = None) -> None:
        self.path = stages
        self.pins = Pins(stages, pin_times)
        self.inventory = Inventory(stages, self.pins, ages)

    def enforce(self, budget: int, keep: Collection[str] = (), *, dry_run: bool = False) -> Pruned:
        """Remove what is worth least until the store is no larger than its budget.

        First what is worth nothing; then stages that nobody has pinned; then checkpoints that nobody has pinned, the
        oldest first. Where all that is not enough, the result has a complaint.

        Args:
            budget: bytes.
            keep: stages that stay besides the pinned ones.
            dry_run: remove nothing, and say what would go.

        Raises:
            OSError: the store cannot be read.
        """
        holdings = self.inventory.scan()
        keys = frozenset(keep)
        removal = _Removal(self, holdings, keys, dry_run)
        for item in _worthless(holdings):
            if removal.total <= budget:
                break
            removal.drop(item, item.worthless or "")
        removal.evict_until(budget)
        for item in _unpinned_checkpoints(holdings, keys):
            if removal.total <= budget:
                break
            removal.drop(item, "nobody trains its stage now")
        return self._ended(removal, budget)

    def clear(self, *, dry_run: bool = False) -> Pruned:
        """Remove what is worth nothing, and all that was set aside as damaged, whatever the store's size.

        Raises:
            OSError: the store cannot be read.
        """
        holdings = self.inventory.scan()
        removal = _Removal(self, holdings, frozenset(), dry_run)
        for item in _worthless(holdings, damaged_of_any_age=True):
            removal.drop(item, item.worthless or "damaged, and set aside")
        return self._ended(removal, None)

    def _ended(self, removal: "_Removal", budget: int | None) -> Pruned:
        if not removal.dry_run:
            self.pins.sweep()
        return Pruned(tuple(removal.evicted), removal.holdings.bytes, removal.total, budget)


@dataclass
class _Removal:
    """One pass over a store: removes, and counts what is left."""

    upkeep: Upkeep
    holdings: Holdings
    keep: frozenset[str]
    dry_run: bool
    evicted: list[Evicted] = field(default_factory=list)
    total: int = 0

    def __post_init__(self) -> None:
        self.total = self.holdings.bytes

    def drop(self, item: Leftover, why: str) -> None:
        """Remove something that is no stage, unless that is not allowed or another process was first."""
        if not self.dry_run:
            if not item.path.exists():
                self.total -= item.bytes
                return
            _delete(item.path)
            if item.path.exists():
                return
        self.total -= item.bytes
        self.evicted.append(Evicted(item.kind, item.key, item.bytes, why))

    def evict_until(self, budget: int) -> None:
        """Evict the least valuable stages; a stage loses value with those that build on it."""
        entries, counts, gone = self.holdings.entries, self.holdings.descendants(), set[str]()
        heap = [(_value(entry, counts), entry.published, key) for key, entry in entries.items() if self._may_go(entry)]
        heapq.heapify(heap)
        while heap and self.total > budget:
            value, published, key = heapq.heappop(heap)
            if key in gone:
                continue
            entry = entries[key]
            now = _value(entry, counts)
            if now < value:  # it has lost descendants since it was put there
                heapq.heappush(heap, (now, published, key))
                continue
            if not self._evict(entry):
                continue
            gone.add(key)
            for ancestor in self.holdings.ancestors(key):
                if ancestor in gone:
                    break
                counts[ancestor] -= 1 + counts[key]
                if self._may_go(entries[ancestor]):
                    heapq.heappush(heap, (_value(entries[ancestor], counts), entries[ancestor].published, ancestor))

    def _may_go(self, entry: Entry) -> bool:
        readable = entry.record is not None or entry.damaged
        return readable and entry.key not in self.keep | self.holdings.leased and entry.key not in self.holdings.pinned

    def _evict(self, entry: Entry) -> bool:
        """Take a stage out of its place by one rename, then delete it; False where it stays."""
        upkeep, key = self.upkeep, entry.key
        if not self.dry_run:
            if key in upkeep.pins.pinned() or key in upkeep.inventory.leased():  # wanted since the scan
                return False
            away = upkeep.path / "drafts" / f"{EVICTED}{key[:16]}-{uuid.uuid4().hex}"
            try:
                away.parent.mkdir(exist_ok=True)
                (upkeep.path / key[:2] / key).rename(away)
            except FileNotFoundError:  # another process was first
                self.total -= entry.bytes
                return True
            except OSError:  # not ours to remove
                return False
            _delete(away)
        self.total -= entry.bytes
        seconds = entry.record.seconds if entry.record else None
        self.evicted.append(Evicted("stage", key, entry.bytes, "worth least" if entry.record else "damaged", seconds))
        return True


def _value(entry: Entry, descendants: dict[str, int]) -> float:
    """Seconds of training saved per byte; nothing where a stage is damaged."""
    if entry.record is None:
        return 0.0
    return entry.record.seconds * (1 + descendants[entry.key]) / max(1, entry.bytes)


def _worthless(holdings: Holdings, damaged_of_any_age: bool = False) -> list[Leftover]:
    items = [item for item in holdings.leftovers if item.worthless or (damaged_of_any_age and item.kind == "damaged")]
    return sorted(items, key=lambda item: (_ORDER.index(item.kind), item.touched))


def _unpinned_checkpoints(holdings: Holdings, keep: frozenset[str]) -> list[Leftover]:
    needed = keep | holdings.leased | holdings.pinned.keys()
    items = [
        item
        for item in holdings.leftovers
        if item.kind == "checkpoint" and not item.worthless and item.key not in needed
    ]
    return sorted(items, key=lambda item: item.touched)


def _delete(path: Path) -> None:
    """Remove a file or a folder as far as that is allowed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
