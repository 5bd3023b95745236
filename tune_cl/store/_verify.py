"""Looking through a store for damage: every byte is read."""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tune_cl.store._inventory import Inventory
from tune_cl.store._key import stage_key
from tune_cl.store._pins import Pins
from tune_cl.store._stages import StageRecord, StageStore


@dataclass(frozen=True)
class Fault:
    """A stage that is not sound."""

    key: str
    what: str
    set_aside: bool  # moved to `damaged/`


@dataclass(frozen=True)
class Verified:
    """What a look through a store found."""

    checked: int
    bytes: int
    faults: tuple[Fault, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify(stages: Path, on_entry: Callable[[int, int], None] = lambda done, of: None) -> Verified:
    """Read every stage, and set aside those that are damaged; they are trained again where they are needed.

    Args:
        stages: the store's folder.
        on_entry: called with the number of stages read so far, and of all.

    Raises:
        OSError: the store cannot be read.
    """
    store, faults, checked, size = StageStore(stages), [], 0, 0
    entries = Inventory(stages, Pins(stages)).scan().entries
    for n, (key, entry) in enumerate(sorted(entries.items()), 1):
        folder = stages / key[:2] / key
        try:
            what = fault_of(folder, key)
            if what is not None and folder.exists():  # else evicted just now
                faults.append(Fault(key, what, _set_aside(stages, key)))
            elif what is None and _was_set_aside(store, key):
                faults.append(Fault(key, "state.pt does not hold what a stage holds", True))
        except OSError as error:
            faults.append(Fault(key, f"cannot be read now ({error.strerror})", False))
        checked, size = checked + 1, size + entry.bytes
        on_entry(n, len(entries))
    return Verified(checked, size, tuple(faults))


def fault_of(folder: Path, key: str) -> str | None:
    """What is wrong with the files of a stage; None where they fit their checksums and their key.

    Raises:
        OSError: they cannot be read now, which says nothing of the stage.
    """
    try:
        record = StageRecord.model_validate_json((folder / "stage.json").read_bytes())
        with (folder / "state.pt").open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except ValidationError:
        return "stage.json is not the record of a stage"
    if record.key != key:
        return f"stage.json is that of {record.key[:12]}…"
    if checksum != record.checksum:
        return "state.pt does not fit its checksum"
    if not record.is_whole():
        return "stage.json does not fit its checksum"
    if stage_key(record.ingredients) != key or record.ingredients.get("parent") != record.parent:
        return "its key is not that of its ingredients"
    return None


def _was_set_aside(store: StageStore, key: str) -> bool:
    """Let the store read a stage's tensors; it sets aside what it cannot use."""
    pattern = f"{key}-*"
    before = set((store.path / "damaged").glob(pattern))
    return store.load(key) is None and set((store.path / "damaged").glob(pattern)) != before


def _set_aside(stages: Path, key: str) -> bool:
    aside = stages / "damaged" / f"{key}-{uuid.uuid4().hex[:8]}"
    try:
        aside.parent.mkdir(exist_ok=True)
        (stages / key[:2] / key).rename(aside)
    except OSError:
        return False
    return True
