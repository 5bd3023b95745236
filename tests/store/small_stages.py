"""Stages that are published without training: real files with true keys and chosen costs, sizes and ages."""

import os
from pathlib import Path

import torch

from tune_cl.nets import Component
from tune_cl.store import Stage, StageRecord, StageStore, stage_key

HOUR = 3600.0


def publish(
    stages: Path, name: str, parent: str | None = None, *, seconds: float = 1.0, kilobytes: int = 1, made: float = 1e9
) -> str:
    """Publish a stage that took `seconds`, has about that size, and was published at `made`; return its key."""
    ingredients = {"parent": parent, "hyperparameters": {"name": name}}
    key = stage_key(ingredients)
    record = StageRecord(
        key=key,
        parent=parent,
        ingredients=ingredients,
        seconds=seconds,
        images_trained=10,
        losses={"ce": 0.1},
        metrics={},
        checksum="",
    )
    tensors = {"weight": torch.zeros(256 * kilobytes)}
    StageStore(stages).publish(Stage(record, {"classifier": Component("classifier", {}, tensors)}, None))
    os.utime(stages / key[:2] / key / "stage.json", (made, made))
    return key


def keys_in(stages: Path) -> set[str]:
    """The stages that are there, seen without the code under test."""
    return {path.parent.name for path in stages.glob("??/*/stage.json")}


def size_of(stages: Path, key: str) -> int:
    return sum(file.stat().st_size for file in (stages / key[:2] / key).iterdir())


def size_of_all(stages: Path) -> int:
    """Bytes of everything but pins and leases."""
    files = (path for path in stages.rglob("*") if path.is_file())
    return sum(f.stat().st_size for f in files if f.relative_to(stages).parts[0] not in ("pins", "leases"))


def age(path: Path, seconds: float) -> None:
    """Make a file or a folder with its files look untouched for a while."""
    for part in [*path.glob("*"), path]:
        then = part.stat().st_mtime - seconds
        os.utime(part, (then, then))
