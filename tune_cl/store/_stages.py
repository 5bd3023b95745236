"""The stage store: content-addressed, checksummed, published by one rename.

`<stages>/ab/abcd.../stage.json` says what the stage is and what it cost; `state.pt` holds the components it changed,
read with `weights_only`. Correctness never depends on exclusion: two publishers of one key write equal content, and the
first rename wins. Exclusion saves work only: see `_lease`. What a killed process had reached inside a stage is in
`checkpoints/`: see `_checkpoint`.
"""

import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from tune_cl.nets import Component
from tune_cl.records import Record, write_json
from tune_cl.store._checkpoint import PhaseCheckpoint
from tune_cl.store._leases import FileLeases, Lease, Leases, LeaseTimes
from tune_cl.store._malformed import MALFORMED

CHECKPOINT_SECONDS = 300.0  # between two checkpoints inside a phase, unless somebody asks for another pace


def checkpoint_pace(asked: Any) -> float:
    """Seconds between two checkpoints: those that an option asks for, else the usual ones."""
    return CHECKPOINT_SECONDS if asked is None else float(asked)


class StageRecord(Record):
    """`stage.json`."""

    schema_version: int = 1
    key: str
    parent: str | None
    ingredients: dict[str, Any]
    seconds: float  # wall time
    cpu_seconds: float | None = None  # CPU time of the process, all threads
    images_trained: int
    losses: dict[str, float]
    metrics: dict[str, float]
    trained_by: str | None = None  # who paid for it: see `Chain`
    checksum: str  # sha256 of state.pt
    record_checksum: str | None = None  # sha256 of the record's JSON without this field; older stages have none

    def sealed(self, checksum: str) -> "StageRecord":
        """The record with both checksums."""
        record = self.model_copy(update={"checksum": checksum, "record_checksum": None})
        return record.model_copy(update={"record_checksum": record._digest()})

    def is_whole(self) -> bool:
        """Whether the record is what was sealed."""
        return self.record_checksum in (None, self._digest())

    def _digest(self) -> str:
        return hashlib.sha256(self.model_dump_json(exclude={"record_checksum"}).encode()).hexdigest()


@dataclass(frozen=True)
class Stage:
    """A stage as it is stored."""

    record: StageRecord
    changed: Mapping[str, Component]
    preview: Tensor | None  # (classes, k, C, H, W) uint8


class StageStore:
    """Stages in a folder of a local or shared POSIX file system.

    Args:
        path: the folder; it is made when something is stored.
        times: the pace of leases between processes on this file system.
        leases: who hands out leases, in place of those.
        checkpoint_every: seconds between two checkpoints inside a phase; infinity for none.
        patience: seconds for which a trained stage waits for space on a full disk before it is given up.
    """

    def __init__(
        self,
        path: Path,
        times: LeaseTimes | None = None,
        leases: Leases | None = None,
        checkpoint_every: float = CHECKPOINT_SECONDS,
        patience: float = 0.0,
    ) -> None:
        self.path, self.patience = path, patience
        self._leases = leases or FileLeases(path / "leases", times)
        self._checkpoint_every = checkpoint_every

    @property
    def times(self) -> LeaseTimes:
        """The pace of leases."""
        return self._leases.times

    def __contains__(self, key: str) -> bool:
        return (self._folder(key) / "stage.json").exists()

    def lease(self, key: str) -> Lease | None:
        """Take the lease on training a stage; None where somebody else, who seems alive, is at it."""
        return self._leases.take(key)

    def checkpoint(self, key: str, owner: str | None = None, *, only_own: bool = False) -> PhaseCheckpoint:
        """Where a stage in training leaves its state, and the clock of its cost; starts now.

        `owner` is written into it; with `only_own` another owner's is not gone on from.
        """
        path = self.path / "checkpoints" / f"{key}.pt"
        return PhaseCheckpoint(path, key, self._checkpoint_every, owner, only_own)

    def load(self, key: str) -> Stage | None:
        """Read a stage; None where there is none, or where it is damaged (which is then set aside).

        Raises:
            OSError: the file system does not let it be read now; that says nothing of the stage.
        """
        folder = self._folder(key)
        try:
            place = folder.stat().st_ino
        except FileNotFoundError:
            return None
        try:
            record = StageRecord.model_validate_json((folder / "stage.json").read_bytes())
            data = (folder / "state.pt").read_bytes()
            if record.key == key and record.is_whole() and hashlib.sha256(data).hexdigest() == record.checksum:
                return _stage_of(record, data)
        except (FileNotFoundError, ValidationError, *MALFORMED):
            pass  # damaged, as is what fails the check above
        self._set_aside(key, place)
        return None

    def publish(self, stage: Stage, *, replace: bool = False) -> Stage:
        """Store a stage under its key, unless somebody else was first; return it as stored (with its checksum).

        `replace`: what is there already goes.
        """
        data = _bytes_of(stage)
        record = stage.record.sealed(hashlib.sha256(data).hexdigest())
        draft, old = (self.path / "drafts" / f"{record.key[:16]}-{uuid.uuid4().hex}" for _ in range(2))
        draft.mkdir(parents=True)
        try:
            with (draft / "state.pt").open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            write_json(draft / "stage.json", record)
            if replace:
                with suppress(FileNotFoundError):
                    self._folder(record.key).rename(old)
            self._install(draft, record.key)
        finally:
            for folder in (draft, old):
                shutil.rmtree(folder, ignore_errors=True)
        return Stage(record, stage.changed, stage.preview)

    def _install(self, draft: Path, key: str) -> None:
        """Give a finished draft its place, unless there is a stage already."""
        folder = self._folder(key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.rename(folder)
        except OSError:
            if key not in self:
                raise
        _flush_folder(folder.parent)

    def _folder(self, key: str) -> Path:
        return self.path / key[:2] / key

    def _set_aside(self, key: str, place: int) -> None:
        """Move a damaged stage out of the way, for people to look at.

        Another process may have done so already, or evicted it, and published a sound one since: `place` is the inode
        of what was read.
        """
        aside = self.path / "damaged" / f"{key}-{uuid.uuid4().hex[:8]}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self._folder(key).stat().st_ino == place:
                self._folder(key).rename(aside)


def _flush_folder(folder: Path) -> None:
    """Make a rename outlast a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems do not sync folders
        return
    finally:
        os.close(handle)


def _bytes_of(stage: Stage) -> bytes:
    content = {
        "changed": {
            name: {"kind": part.kind, "settings": dict(part.settings), "tensors": dict(part.tensors)}
            for name, part in stage.changed.items()
        },
        "preview": stage.preview,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _stage_of(record: StageRecord, data: bytes) -> Stage:
    content = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    changed = {
        name: Component(part["kind"], part["settings"], part["tensors"]) for name, part in content["changed"].items()
    }
    return Stage(record, changed, content["preview"])
