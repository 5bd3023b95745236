"""Reads back which increments a W&B run holds on this disk, and copies a run without those that the server has.

W&B keeps what a run logged in `run-<id>.wandb`. It writes in intervals, so after a crash of the driver only the file
says what is really there. The format is LevelDB's log (LevelDB, doc/log_format.md) under a 7-byte header; its
payloads are W&B's published protobuf classes. wandb 0.31 ships no reader for Python.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_BLOCK = 32 * 1024
_FILE_HEADER = struct.Struct("<4sHB")  # ":W&B", 0xBEE1, version
_CHUNK_HEADER = struct.Struct("<IHB")  # CRC-32 of type and data, length of the data, type
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def logged_increments(folder: Path, run_id: str) -> set[int]:
    """The increments that all sessions of a run have written in W&B's folder (offline or online)."""
    found: set[int] = set()
    for file in folder.glob(f"*run-*/run-{run_id}.wandb"):
        for record in read_records(file):
            if record.WhichOneof("record_type") == "history":
                found.update(int(json.loads(i.value_json)) for i in record.history.item if _key(i) == "increment")
    return found


def read_records(path: Path) -> Iterator[Any]:
    """Yield the `wandb_internal_pb2.Record`s of a `.wandb` file, up to the first torn or damaged chunk.

    Raises:
        ValueError: the file does not begin like a W&B file of version 0.
    """
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    if data[: _FILE_HEADER.size] != _FILE_HEADER.pack(b":W&B", 0xBEE1, 0):
        raise ValueError(f"{path}: not a W&B file that this version can read")
    parts: list[bytes] = []
    for kind, chunk in _chunks(data):
        parts = [chunk] if kind in (_FULL, _FIRST) else [*parts, chunk]
        if kind in (_FULL, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(b"".join(parts))
            yield record


def write_records(path: Path, records: Iterable[Any]) -> None:
    """Write records as a `.wandb` file, as W&B itself would."""
    data = bytearray(_FILE_HEADER.pack(b":W&B", 0xBEE1, 0))
    for record in records:
        _add_payload(data, record.SerializeToString())
    path.write_bytes(data)


def _add_payload(data: bytearray, payload: bytes) -> None:
    """Append a record, cut where a block ends; a block's last bytes stay empty where no header fits."""
    first = True
    while first or payload:
        room = _BLOCK - len(data) % _BLOCK
        if room < _CHUNK_HEADER.size:
            data += bytes(room)
            continue
        part, payload = payload[: room - _CHUNK_HEADER.size], payload[room - _CHUNK_HEADER.size :]
        kind = (_FULL if first else _LAST) if not payload else (_FIRST if first else _MIDDLE)
        data += _CHUNK_HEADER.pack(zlib.crc32(bytes([kind]) + part), len(part), kind) + part
        first = False


def _chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = _FILE_HEADER.size  # blocks are counted from the start of the file
    while place + _CHUNK_HEADER.size <= len(data):
        left_in_block = _BLOCK - place % _BLOCK
        checksum, length, kind = _CHUNK_HEADER.unpack_from(data, place)
        if left_in_block < _CHUNK_HEADER.size or kind == 0:  # padding up to the next block
            place += left_in_block
            continue
        start = place + _CHUNK_HEADER.size
        chunk = data[start : start + length]
        if len(chunk) < length or zlib.crc32(bytes([kind]) + chunk) != checksum:
            return
        yield kind, chunk
        place = start + length


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)
