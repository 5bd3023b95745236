"""Reads back what W&B wrote: the records of an offline run's `.wandb` file.

wandb 0.31 ships no Python reader, but the format is LevelDB's log (`doc/log_format.md` of LevelDB) with a header of its
own, and the payloads are its published protobuf classes: a 7-byte file header `:W&B`, 0xBEE1 (little-endian), version;
blocks of 32 KiB, the first one counted from the start of the file; chunks of checksum (4), length (2), type (1), data.
"""

import json
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK = 32 * 1024
_CHUNK_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_records(path: Path) -> Iterator[wandb_internal_pb2.Record]:
    """Yield the protobuf records of one `.wandb` file; a bad header or checksum is an assertion error."""
    data = path.read_bytes()
    magic, number, version = struct.unpack_from("<4sHB", data)
    assert (magic, number, version) == (b":W&B", 0xBEE1, 0), f"{path}: not a W&B file"
    pending = b""
    for kind, chunk in _chunks(data):
        pending = chunk if kind in (_FULL, _FIRST) else pending + chunk
        if kind in (_FULL, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(pending)
            yield record


def _chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 7
    while place + _CHUNK_HEADER.size <= len(data):
        if _BLOCK - place % _BLOCK < _CHUNK_HEADER.size:  # a block's tail too short for a header is padding
            place += _BLOCK - place % _BLOCK
            continue
        checksum, length, kind = _CHUNK_HEADER.unpack_from(data, place)
        if kind == 0:  # zeroes up to the end of the block
            place += _BLOCK - place % _BLOCK
            continue
        start = place + _CHUNK_HEADER.size
        chunk = data[start : start + length]
        assert zlib.crc32(bytes([kind]) + chunk) == checksum, f"checksum at byte {place}"
        yield kind, chunk
        place = start + length


class OfflineRun:
    """All directories of one run id, read together as `wandb sync` would send them."""

    def __init__(self, files: list[Path]) -> None:
        self.files = sorted(files)
        self.records = [record for file in self.files for record in read_records(file)]

    def rows(self) -> list[dict[str, Any]]:
        """The history: one dictionary per logged row."""
        return [
            {(item.key or "/".join(item.nested_key)): json.loads(item.value_json) for item in record.history.item}
            for record in self.records
            if record.WhichOneof("record_type") == "history"
        ]

    def starts(self) -> list[wandb_internal_pb2.RunRecord]:
        """One run record per session: id, name, group, tags, configuration."""
        return [record.run for record in self.records if record.WhichOneof("record_type") == "run"]

    def config(self) -> dict[str, Any]:
        """The configuration of the last session."""
        return {item.key: json.loads(item.value_json) for item in self.starts()[-1].config.update}

    def summary(self) -> dict[str, Any]:
        """The summary as its updates leave it."""
        return {
            (item.key or "/".join(item.nested_key)): json.loads(item.value_json)
            for record in self.records
            if record.WhichOneof("record_type") == "summary"
            for item in record.summary.update
        }

    def exit_codes(self) -> list[int]:
        """One exit code per session that was finished."""
        return [record.exit.exit_code for record in self.records if record.WhichOneof("record_type") == "exit"]

    def metrics(self) -> dict[str, str]:
        """Name (or pattern) of each declared metric -> its axis."""
        return {
            (record.metric.name or record.metric.glob_name): record.metric.step_metric
            for record in self.records
            if record.WhichOneof("record_type") == "metric"
        }


def offline_runs(folder: Path) -> dict[str, OfflineRun]:
    """All offline runs below a folder, by run id."""
    files: dict[str, list[Path]] = {}
    for file in folder.rglob("run-*.wandb"):
        files.setdefault(file.stem.removeprefix("run-"), []).append(file)
    return {run: OfflineRun(found) for run, found in files.items()}


def same_value(logged: Any, expected: float | None) -> bool:
    """Equality in which an undefined metric (None on disk) is W&B's not-a-number."""
    return (
        math.isnan(float(logged)) if expected is None else math.isclose(logged, expected, rel_tol=1e-12, abs_tol=1e-12)
    )
