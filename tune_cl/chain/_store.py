"""The stage store: content-addressed, checksummed, published by one rename.

`<stages>/ab/abcd.../stage.json` says what the stage is and what it cost; `state.pt` holds the components it changed,
read with `weights_only`. Correctness never depends on exclusion: two publishers of one key write equal content, and the
first rename wins. Exclusion saves work only: see `_lease`.
"""

import hashlib
import io
import os
import pickle
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from tune_cl.chain._lease import Lease, LeaseTimes, take_lease
from tune_cl.nets import Component
from tune_cl.records import Record, write_json

# What torch.load and the content's own shape raise where a file is not what `publish` writes.
_MALFORMED = (pickle.UnpicklingError, EOFError, RuntimeError, LookupError, AttributeError, TypeError, ValueError)


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
    checksum: str  # sha256 of state.pt


@dataclass(frozen=True)
class Stage:
    """A stage as it is stored."""

    record: StageRecord
    changed: Mapping[str, Component]
    preview: Tensor | None  # (classes, k, C, H, W) uint8


class StageStore:
    """Stages in a folder of a local or shared POSIX file system."""

    def __init__(self, path: Path, times: LeaseTimes | None = None) -> None:
        self.path = path
        self.times = times or LeaseTimes()

    def __contains__(self, key: str) -> bool:
        return (self._folder(key) / "stage.json").exists()

    def lease(self, key: str) -> Lease | None:
        """Take the lease on training a stage; None where somebody else, who seems alive, is at it."""
        return take_lease(self.path / "leases" / key, self.times)

    def load(self, key: str) -> Stage | None:
        """Read a stage; None where there is none, or where it is damaged (which is then set aside).

        Raises:
            OSError: the file system does not let it be read now; that says nothing of the stage.
        """
        folder = self._folder(key)
        if not folder.exists():
            return None
        try:
            record = StageRecord.model_validate_json((folder / "stage.json").read_bytes())
            data = (folder / "state.pt").read_bytes()
            if record.key == key and hashlib.sha256(data).hexdigest() == record.checksum:
                return _stage_of(record, data)
        except (FileNotFoundError, ValidationError, *_MALFORMED):
            pass  # damaged, as is what fails the check above
        self._set_aside(key)
        return None

    def publish(self, stage: Stage) -> Stage:
        """Store a stage under its key, unless somebody else was first; return it as stored (with its checksum)."""
        data = _bytes_of(stage)
        record = stage.record.model_copy(update={"checksum": hashlib.sha256(data).hexdigest()})
        folder = self._folder(record.key)
        draft = self.path / "drafts" / f"{record.key[:16]}-{uuid.uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            with (draft / "state.pt").open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            write_json(draft / "stage.json", record)
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.rename(folder)
            except OSError:
                if record.key not in self:
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return Stage(record, stage.changed, stage.preview)

    def _folder(self, key: str) -> Path:
        return self.path / key[:2] / key

    def _set_aside(self, key: str) -> None:
        """Move a damaged stage out of the way, for people to look at; another process may have done so already."""
        aside = self.path / "damaged" / f"{key}-{uuid.uuid4().hex[:8]}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._folder(key).rename(aside)
        except FileNotFoundError:
            return


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
