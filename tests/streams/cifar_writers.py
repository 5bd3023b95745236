"""Writers of CIFAR files in their original formats, byte by byte; independent of the code that reads them."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]  # (N, 3, 32, 32), (N,)


def random_batch(n: int, n_classes: int, seed: int = 0) -> Batch:
    """Noise images; labels 0…n_classes-1 in turn."""
    images = np.random.default_rng(seed).integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    return images, np.arange(n) % n_classes


def binary10(batch: Batch) -> bytes:
    return b"".join(bytes([label]) + image.tobytes() for image, label in zip(*batch, strict=True))


def binary100(batch: Batch) -> bytes:
    return b"".join(bytes([label // 5, label]) + image.tobytes() for image, label in zip(*batch, strict=True))


def python2_pickle(batch: Batch, label_key: bytes) -> bytes:
    """What Python 2's cPickle writes with protocol 2 for {'data': array, label_key: list, 'batch_label': str}."""
    images, labels = batch
    raw = images.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"  # the empty array,
        + b"(K\x01"  # state: version 1,
        + _int(len(images))
        + _int(3072)
        + b"\x86"  # shape,
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"  # dtype,
        + b"\x89"  # not Fortran order,
        + (b"T" + struct.pack("<i", len(raw)) + raw)
        + b"tb"
    )
    items = _string(b"data") + array + _string(label_key) + b"](" + b"".join(map(_int, labels)) + b"e"
    return b"\x80\x02}(" + items + _string(b"batch_label") + _string(b"training batch 1 of 5") + b"u."


def write_binary(root: Path, dataset: str, batches: list[Batch]) -> Path:
    """Write the binary version's training files (five for CIFAR-10) and return their folder."""
    if dataset == "cifar10":
        files = {f"data_batch_{i}.bin": binary10(batch) for i, batch in enumerate(batches, 1)}
        return _write(root / "cifar-10-batches-bin", files)
    return _write(root / "cifar-100-binary", {"train.bin": binary100(batches[0])})


def write_python(root: Path, dataset: str, batches: list[Batch]) -> Path:
    """Write the python version's training files (five for CIFAR-10) and return their folder."""
    if dataset == "cifar10":
        files = {f"data_batch_{i}": python2_pickle(batch, b"labels") for i, batch in enumerate(batches, 1)}
        return _write(root / "cifar-10-batches-py", files)
    return _write(root / "cifar-100-python", {"train": python2_pickle(batches[0], b"fine_labels")})


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def _int(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _string(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value
