"""CIFAR-10 and CIFAR-100 in their original file formats, python or binary version.

Published checksums exist for the inner files of the python version and are held here. For the binary version only
the archive's checksum is published, so its files are checked by size, label range and class counts; where both
versions lie under the data root, the python one is read.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from tune_cl.errors import TuneCLError, shown
from tune_cl.streams._datasets import Dataset
from tune_cl.streams._images import RawImages
from tune_cl.streams._unpickler import load_plain_pickle

_PIXELS = 3 * 32 * 32

Decoded = tuple[NDArray[np.uint8], NDArray[np.int64]]  # (N, 3072), (N,)


@dataclass(frozen=True)
class CifarFile:
    """One original file.

    Attributes:
        name: within its folder.
        images: number of images in the published file.
        md5: published checksum in hex; None where none is published.
    """

    name: str
    images: int
    md5: str | None = None


@dataclass(frozen=True)
class CifarVersion:
    """One version of one half of a CIFAR data set: a folder under the data root and the files in it."""

    dataset: str
    folder: str
    files: tuple[CifarFile, ...]


_TRAINING: dict[str, tuple[CifarVersion, CifarVersion]] = {
    "cifar10": (
        CifarVersion(
            "cifar10",
            "cifar-10-batches-py",
            (
                CifarFile("data_batch_1", 10_000, "c99cafc152244af753f735de768cd75f"),
                CifarFile("data_batch_2", 10_000, "d4bba439e000b95fd0a9bffe97cbabec"),
                CifarFile("data_batch_3", 10_000, "54ebc095f3ab1f0389bbae665268c751"),
                CifarFile("data_batch_4", 10_000, "634d18415352ddfa80567beed471001a"),
                CifarFile("data_batch_5", 10_000, "482c414d41f54cd18b22e5b47cb7c3cb"),
            ),
        ),
        CifarVersion(
            "cifar10",
            "cifar-10-batches-bin",
            tuple(CifarFile(f"data_batch_{i}.bin", 10_000) for i in range(1, 6)),
        ),
    ),
    "cifar100": (
        CifarVersion("cifar100", "cifar-100-python", (CifarFile("train", 50_000, "16019d7e3df5f24257cddd939b257f8d"),)),
        CifarVersion("cifar100", "cifar-100-binary", (CifarFile("train.bin", 50_000),)),
    ),
}


def cifar_training_version(dataset: str) -> CifarVersion:
    """The python version's training files of 'cifar10' or 'cifar100': the one that a download brings."""
    return _TRAINING[dataset][0]


def read_cifar_training(dataset: Dataset, data_root: Path | None, accept_modified_data: bool = False) -> RawImages:
    """Read the training files of CIFAR-10 or CIFAR-100 and no other file.

    Raises:
        TuneCLError: as for `read_cifar`.
    """
    return read_cifar(dataset, _TRAINING[dataset.name], data_root, accept_modified_data)


def read_cifar(
    dataset: Dataset, versions: tuple[CifarVersion, ...], data_root: Path | None, accept_modified_data: bool = False
) -> RawImages:
    """Read the first of the given versions whose folder lies under `data_root`.

    Args:
        dataset: whose class names the labels have.
        versions: alternatives, in order of preference.
        data_root: folder that holds the original folder, such as `cifar-100-python`.
        accept_modified_data: admit files with another checksum, another number of images or unequal classes.

    Returns:
        Images (N, 3, 32, 32), in the order of the files; fine labels for CIFAR-100.

    Raises:
        TuneCLError: no data root, no such folder or file; a file that is damaged or not the published one.
    """
    version = _find_version(versions, data_root)
    assert data_root is not None  # _find_version has checked it
    class_names = dataset.class_names or ()
    parts = []
    for file in version.files:
        path = data_root / version.folder / file.name
        parts.append(_read_file(path, file, version, accept_modified_data))
        _check_labels(path, parts[-1][1], len(class_names))
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if not accept_modified_data:
        _check_equal_classes(labels, len(class_names), data_root / version.folder)
    return RawImages(images.reshape(-1, 3, 32, 32), labels, class_names)


def _find_version(versions: tuple[CifarVersion, ...], data_root: Path | None) -> CifarVersion:
    dataset = versions[0].dataset
    if data_root is None:
        raise TuneCLError(f"{dataset} does not ship with tune_cl: give its folder with --data-root, or add --download")
    if not os.path.isdir(data_root):  # unlike Path.is_dir, False where a parent may not be entered
        raise TuneCLError(f"--data-root {data_root}: no such folder; name the one that holds {dataset}, or --download")
    for version in versions:
        if os.path.isdir(data_root / version.folder):
            return version
    folders = " nor ".join(version.folder for version in versions)
    raise TuneCLError(
        f"--data-root {data_root}: holds neither {folders}; name the folder above it, or add --download to fetch it"
    )


def _read_file(path: Path, file: CifarFile, version: CifarVersion, accept_modified_data: bool) -> Decoded:
    content = _read_bytes(path)
    if not accept_modified_data:
        _check_md5(path, content, file)
    images, labels = _decoder(version)(path, content)
    if not accept_modified_data and len(labels) != file.images:
        raise TuneCLError(
            f"{path}: holds {len(labels)} images where the published file holds {file.images}; put the original there, "
            f"fetch it with --download, or use this one with --accept-modified-data"
        )
    return images, labels


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise TuneCLError(
            f"{path}: no such file; complete the folder under --data-root, or add --download to fetch it"
        ) from None
    except OSError as error:
        raise TuneCLError(f"{path}: cannot be read ({error.strerror})") from None


def _check_md5(path: Path, content: bytes, file: CifarFile) -> None:
    if file.md5 is None:
        return
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != file.md5:
        raise TuneCLError(
            f"{path}: not the published file (MD5 {found}, published {file.md5}), so it is truncated or modified; put "
            f"the original there, fetch it with --download, or use this one with --accept-modified-data"
        )


def _decoder(version: CifarVersion) -> Callable[[Path, bytes], Decoded]:
    if version.files[0].name.endswith(".bin"):
        return _decode_binary10 if version.dataset == "cifar10" else _decode_binary100
    return _decode_python10 if version.dataset == "cifar10" else _decode_python100


def _decode_binary10(path: Path, content: bytes) -> Decoded:
    return _decode_binary(path, content, label_bytes=1)


def _decode_binary100(path: Path, content: bytes) -> Decoded:
    return _decode_binary(path, content, label_bytes=2)  # coarse, then fine


def _decode_binary(path: Path, content: bytes, label_bytes: int) -> Decoded:
    record = label_bytes + _PIXELS
    if not content or len(content) % record:
        raise TuneCLError(
            f"{path}: {len(content)} bytes are no whole number of {record}-byte images, so the file is truncated or "
            f"of another format; put the original there or add --download"
        )
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, record)
    return rows[:, label_bytes:], rows[:, label_bytes - 1].astype(np.int64)


def _decode_python10(path: Path, content: bytes) -> Decoded:
    return _decode_python(path, content, key=b"labels")


def _decode_python100(path: Path, content: bytes) -> Decoded:
    return _decode_python(path, content, key=b"fine_labels")


def _decode_python(path: Path, content: bytes, key: bytes) -> Decoded:
    try:
        batch = load_plain_pickle(content)
    except TuneCLError as error:
        raise TuneCLError(f"{path}: {error}; put the original there or add --download") from None
    # A pickle written again by Python 3 has text keys.
    batch = {k.encode() if isinstance(k, str) else k: v for k, v in batch.items()} if isinstance(batch, dict) else {}
    images, labels = batch.get(b"data"), batch.get(key)
    if not _is_pixel_array(images) or not _is_label_list(labels) or len(images) != len(labels):
        raise TuneCLError(
            f"{path}: not a CIFAR batch, which holds 'data' (uint8, N x {_PIXELS}) and {key.decode()!r} (N integers); "
            f"put the original there or add --download"
        )
    beyond = next((label for label in labels if not 0 <= label < 2**31), None)
    if beyond is not None:  # NumPy could not hold it
        raise TuneCLError(f"{path}: holds the label {shown(beyond)}; put the original there or add --download")
    return images, np.asarray(labels, dtype=np.int64)


def _is_pixel_array(value: object) -> TypeGuard[NDArray[np.uint8]]:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 2 and value.shape[1] == _PIXELS


def _is_label_list(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and bool(value) and all(type(label) is int for label in value)


def _check_labels(path: Path, labels: NDArray[np.int64], n_classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= n_classes)]
    if len(wrong):
        raise TuneCLError(
            f"{path}: holds the label {wrong[0]}, but labels go from 0 to {n_classes - 1}; is it another format?"
        )


def _check_equal_classes(labels: NDArray[np.int64], n_classes: int, folder: Path) -> None:
    counts = np.bincount(labels, minlength=n_classes)
    if counts.min() != counts.max():
        raise TuneCLError(
            f"{folder}: not the published images, whose classes are equally large (here {counts.min()} to "
            f"{counts.max()}); put the originals there, or use these with --accept-modified-data"
        )
