"""A folder of images per class: which files it holds, which of them are to train on, and the data set that they make.

A folder has `train/CLASS/*` and `test/CLASS/*`, or `CLASS/*` alone. In the latter case each image is to train or to
test on by its contents alone, so that more images, or fewer, move none from one half to the other, and copies of one
image in a class are in the same half.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tune_cl.errors import TuneCLError, readable
from tune_cl.records import ImageFolder
from tune_cl.streams._cache import cache_folder
from tune_cl.streams._contents import content_hashes
from tune_cl.streams._datasets import Dataset, Preprocessing
from tune_cl.streams._files import ImageFiles, image_size
from tune_cl.streams._images import RawFiles

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
_ENDINGS = tuple(map(str.encode, SUFFIXES))
_HALVES = {"train", "test", "val", "valid", "validation"}
Half = Literal["train", "test"]
Layout = Literal["two", "one"]


@dataclass(frozen=True)
class FolderHalf:
    """Which files are one half of a folder, and how they are decoded."""

    folder: Path
    layout: Layout
    test_share: float | None
    half: Half
    size: int = 1
    channels: int = 3


def folder_dataset(name: str, about: ImageFolder) -> Dataset:
    """The data set that a recorded folder of images is."""
    cropped = about.stored_size != about.size
    preprocessing = Preprocessing(
        mean=about.mean,
        std=about.std,
        crop_padding=about.size // 8 if about.crop == "shift" else 0,
        flip=about.mirror,
        stored_size=about.stored_size if cropped else None,
        seen_size=about.size if cropped else None,
        crop="random" if about.crop == "random" else "resized" if about.crop == "resized" else "pad",
    )
    return Dataset(
        name,
        n_classes=about.n_classes,
        image_shape=(about.channels, about.size, about.size),
        scale=about.scale,
        source="folder",
        validation_fraction=about.validation_share,
        preprocessing=preprocessing,
        resident=about.in_memory,
        reader=read_folder_training,
        folder=about,
    )


def read_folder_training(
    dataset: Dataset, data_root: Path | None = None, accept_modified_data: bool = False
) -> RawFiles:
    """List and hash the training images of a folder; of `test/` nothing is looked at.

    Raises:
        TuneCLError: as for `read_folder`.
    """
    which = half_of(dataset, "train")
    if not os.path.isdir(which.folder):
        raise TuneCLError(
            f"data set {dataset.name}: there is no folder {readable(which.folder)} on {socket.gethostname()}; name the "
            f"one that its images are in now: --data-set {dataset.name}=DIR (on a cluster, one that all nodes see)"
        )
    return read_folder(which)


def half_of(dataset: Dataset, half: Half) -> FolderHalf:
    """One half of a data set that is a folder."""
    about = dataset.folder
    assert about is not None
    folder = Path(about.folder)
    return FolderHalf(folder, about.layout, about.test_share, half, dataset.stored_size, about.channels)


def layout_of(folder: Path) -> Layout:
    """'two' where a folder has halves, 'one' where it has classes.

    A folder `train` with images in it, beside other classes, is a class that is called so.

    Raises:
        TuneCLError: there is no such folder.
    """
    found = _folders(folder)
    halved = "train" in found and (set(found) <= _HALVES or _folders(folder / "train"))
    return "two" if halved else "one"


def read_folder(which: FolderHalf, remember: bool = False) -> RawFiles:
    """List one half's images by class and file name, and hash them.

    In a folder that is divided, the other half's files are hashed as well, to be told from this one's; no image is
    decoded.

    Args:
        which: the half.
        remember: keep hashes for later commands, also where nothing is kept of this folder yet.

    Raises:
        TuneCLError: a folder is missing or cannot be read; there are fewer than two classes, or one has too few images;
            something is named like an image and cannot be one.
    """
    root = which.folder if which.layout == "one" else which.folder / which.half
    class_names = _classes(root)
    listed = [list(_images(root, name)) for name in class_names]
    paths = [path for of_class in listed for path, _ in of_class]
    remembered = f"contents-{which.half}.npz" if which.layout == "two" else "contents.npz"
    cache = cache_folder(which.folder)
    contents = content_hashes(root, paths, cache / remembered if remember or cache.exists() else None)
    labels = np.repeat(np.arange(len(class_names)), [len(of_class) for of_class in listed])
    chosen = np.ones(len(paths), dtype=bool)
    if which.test_share is not None and which.layout == "one":
        test = _divide(root, class_names, labels, contents, which.test_share)
        chosen = test if which.half == "test" else ~test
    if which.half == "train":
        _check_training(root, class_names, labels[chosen])
    return RawFiles(
        images=ImageFiles(str(root.absolute()), np.array(paths, dtype=np.bytes_)[chosen], which.size, which.channels),
        labels=labels[chosen],
        class_names=class_names,
        sizes=np.array([size for of_class in listed for _, size in of_class], dtype=np.int64)[chosen],
        contents=contents[chosen],
    )


def _classes(root: Path) -> tuple[str, ...]:
    found = tuple(_folders(root))
    if not found:
        raise TuneCLError(
            f"{readable(root)}: holds no folder of images per class; put images into {root.name}/CLASS/ for each class"
        )
    if len(found) == 1:
        raise TuneCLError(
            f"{readable(root / found[0])}: is the only class; a stream needs at least 2, in a folder each"
        )
    return found


def _folders(root: Path) -> list[str]:
    """Names of the folders in a folder that are not hidden, sorted."""
    try:
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except FileNotFoundError:
        raise TuneCLError(f"{readable(root)}: no such folder; name one with images in a folder per class") from None
    except OSError as error:
        raise TuneCLError(f"{readable(root)}: cannot be read ({error.strerror})") from None
    for name in names:
        if not name.isprintable():
            raise TuneCLError(f"{readable(root / name)}: a class needs a name that can be printed; rename the folder")
    return names


def _images(root: Path, class_name: str) -> Iterator[tuple[bytes, int]]:
    """Path relative to the root, and size in bytes, of each image of a class, by file name; other files are none."""
    folder = root / class_name
    try:
        with os.scandir(os.fsencode(folder)) as entries:
            visible = sorted((entry for entry in entries if not entry.name.startswith(b".")), key=lambda e: e.name)
    except OSError as error:
        raise TuneCLError(f"{readable(folder)}: cannot be read ({error.strerror})") from None
    found = [(e.name, image_size(e.path, e.stat)) for e in visible if e.name.lower().endswith(_ENDINGS)]
    if not found:
        others = f" (it has {readable(visible[0].name)}, for one)" if visible else ""
        raise TuneCLError(
            f"{readable(folder)}: an empty class: no file in it ends in {', '.join(SUFFIXES)}{others}; put its images "
            "there, or move the folder away"
        )
    yield from ((os.fsencode(class_name) + b"/" + name, size) for name, size in found)


def _divide(
    root: Path, class_names: tuple[str, ...], labels: NDArray[np.int64], contents: NDArray[np.uint8], share: float
) -> NDArray[np.bool_]:
    """Which images are to test on: (N,) bool. Those whose hash, as a number from 0 to 1, is below the share.

    Each class has at least one, and leaves two to train and to validate on: where chance does not have it so, the
    images with the smallest hashes are to test on.
    """
    test = np.zeros(len(labels), dtype=bool)
    for label, name in enumerate(class_names):
        places = np.flatnonzero(labels == label)
        digests = [contents[place].tobytes() for place in places]
        n_distinct = len(set(digests))
        if n_distinct < 3:
            raise TuneCLError(
                f"{readable(root / name)}: holds {n_distinct} different image{'s' if n_distinct > 1 else ''}; a class "
                "needs at least 3, one each to train, to validate and to test on"
            )
        ranked = sorted(set(digests))
        below = sum(int.from_bytes(digest[:8]) < share * 2**64 for digest in ranked)
        of_test = set(ranked[: min(max(below, 1), n_distinct - 2)])
        test[places] = [digest in of_test for digest in digests]
    return test


def _check_training(root: Path, class_names: tuple[str, ...], labels: NDArray[np.int64]) -> None:
    for name, count in zip(class_names, np.bincount(labels, minlength=len(class_names)), strict=True):
        if count < 2:
            raise TuneCLError(
                f"{readable(root / name)}: holds a single image; a class needs one to train on and one to validate on"
            )
