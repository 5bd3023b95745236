"""The stage store: content-addressed, checksummed, published by one rename.

`<stages>/ab/abcd.../stage.json` says what the stage is and what it cost; `state.pt` holds the components it changed,
read with `weights_only`. Correctness never depends on exclusion: two publishers of one key write equal content, and the
first rename wins.
"""

import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tune_cl.errors import TuneCLError
from tune_cl.nets import Component
from tune_cl.records import Record, read_record, write_json


class StageRecord(Record):
    """`stage.json`."""

    schema_version: int = 1
    key: str
    parent: str | None
    ingredients: dict[str, Any]
    seconds: float
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

    def __init__(self, path: Path) -> None:
        self.path = path

    def __contains__(self, key: str) -> bool:
        return (self._folder(key) / "stage.json").exists()

    def load(self, key: str) -> Stage | None:
        """Read a stage; None where there is none, or where it is damaged (which is then set aside)."""
        folder = self._folder(key)
        try:
            record = read_record(folder / "stage.json", StageRecord)
            data = (folder / "state.pt").read_bytes()
        except (TuneCLError, OSError):
            if folder.exists():
                self._set_aside(key)
            return None
        if hashlib.sha256(data).hexdigest() != record.checksum or record.key != key:
            self._set_aside(key)
            return None
        return _stage_of(record, data)

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
