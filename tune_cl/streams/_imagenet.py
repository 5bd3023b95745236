"""ImageNet (ILSVRC 2012) as one folder per class, and ImageNet-Subset, 100 of its classes.

No checksum is published for single files: the numbers of classes and images are checked, and an image's pixels when it
is decoded.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tune_cl.errors import TuneCLError, readable
from tune_cl.streams._datasets import Dataset
from tune_cl.streams._files import ImageFiles, data_folder, image_size
from tune_cl.streams._images import RawFiles
from tune_cl.streams._orders import class_order

_WNID = re.compile(r"n[0-9]{8}")
_SUFFIX = b".JPEG"
_READERS = 16  # folders that are listed at a time: on a network file system each look takes its time


@dataclass(frozen=True)
class ImageNetHalf:
    """One half of ImageNet: a folder below `imagenet` (or `imagenet100`), and what was published of it.

    Attributes:
        folder: 'train', say.
        images: in all 1000 classes.
        least: images in the smallest class.
        most: images in the largest class.
    """

    folder: str
    images: int
    least: int
    most: int


_TRAINING = ImageNetHalf("train", 1_281_167, 732, 1300)


def read_imagenet_training(dataset: Dataset, data_root: Path | None, accept_modified_data: bool = False) -> RawFiles:
    """List the training images of 'imagenet' or 'imagenet100'; nothing beside the folder `train` is looked at.

    Raises:
        TuneCLError: as for `read_imagenet`.
    """
    return read_imagenet(dataset, _TRAINING, data_root, accept_modified_data)


def read_imagenet(
    dataset: Dataset, half: ImageNetHalf, data_root: Path | None, accept_modified_data: bool = False
) -> RawFiles:
    """List one half of 'imagenet' or 'imagenet100', class by class in the order of the wnids, then by file name.

    The classes of 'imagenet100' are the first 100 of NumPy's shuffle of all 1000 with seed 1993, sorted by wnid
    (ImageNet-Subset). They are found among the 1000 folders of `imagenet`, or are all folders of `imagenet100`.

    Args:
        dataset: 'imagenet' or 'imagenet100'.
        half: which half.
        data_root: folder that holds `imagenet/<half>/<wnid>/*.JPEG` (or `imagenet100/…`).
        accept_modified_data: admit other numbers of images; the number of classes must be right.

    Returns:
        The files, with paths `<wnid>/<file>`; labels are places in the sorted wnids, which are the class names.

    Raises:
        TuneCLError: no data root or folder, not the right number of classes or images; something is named like an
            image and is empty, a folder, or a link to nothing.
    """
    folders = [f"{name}/{half.folder}" for name in dict.fromkeys([dataset.name, "imagenet"])]
    hint = f"{folders[0]}/<wnid>/*.JPEG, from image-net.org"
    folder = data_folder(dataset.name, data_root, *folders, hint=hint)
    wnids = _classes(folder, dataset)
    with ThreadPoolExecutor(_READERS) as readers:
        listed = list(readers.map(lambda wnid: _list_class(folder, wnid), wnids))
    if not accept_modified_data:
        _check_counts(folder, dataset.name, half, dict(zip(wnids, map(len, listed), strict=True)))
    for wnid, files in zip(wnids, listed, strict=True):
        if not files:
            raise TuneCLError(f"{folder / wnid}: holds no image, whose name would end in .JPEG, in capitals")
    counts = [len(files) for files in listed]
    return RawFiles(
        images=ImageFiles(
            str(folder.absolute()),
            np.array([name for files in listed for name, _ in files], dtype=np.bytes_),
            dataset.stored_size,
        ),
        labels=np.repeat(np.arange(len(wnids), dtype=np.int64), counts),
        class_names=tuple(wnids),
        sizes=np.array([size for files in listed for _, size in files], dtype=np.int64),
    )


def imagenet_subset() -> tuple[int, ...]:
    """Places of ImageNet-Subset's 100 classes in the sorted list of all 1000 wnids, ascending."""
    return tuple(sorted(class_order("numpy-1993", 1000, seed=0)[:100]))


def _classes(folder: Path, dataset: Dataset) -> list[str]:
    try:
        wnids = sorted(entry.name for entry in os.scandir(folder) if _WNID.fullmatch(entry.name) and entry.is_dir())
    except OSError as error:
        raise TuneCLError(f"{readable(error.filename or folder)}: cannot be read ({error.strerror})") from None
    _check_each_once(folder, wnids)
    expected = 100 if folder.parent.name == "imagenet100" else 1000
    if len(wnids) != expected:
        raise TuneCLError(
            f"{folder}: holds {len(wnids)} class folders (n and eight digits) where {dataset.name} needs {expected}, "
            "since a class's label is its place among them"
        )
    return wnids if expected == dataset.n_classes else [wnids[place] for place in imagenet_subset()]


def _check_each_once(folder: Path, wnids: list[str]) -> None:
    """No folder goes by two names: its images would have two labels."""
    names: dict[str, str] = {}
    for wnid in wnids:
        lies = os.path.realpath(folder / wnid) if (folder / wnid).is_symlink() else str(folder.resolve() / wnid)
        if lies in names:
            raise TuneCLError(f"{folder}: {names[lies]} and {wnid} are one folder; give each class its own images")
        names[lies] = wnid


def _list_class(folder: Path, wnid: str) -> list[tuple[bytes, int]]:
    """Path relative to the folder, and size in bytes, of each image of a class, by file name; hidden files are none.

    Raises:
        TuneCLError: the folder cannot be read, or something in it is named like an image and cannot be one.
    """
    try:
        with os.scandir(os.fsencode(folder / wnid)) as entries:
            found = sorted((e.name, image_size(e.path, e.stat)) for e in entries if _is_named_like_an_image(e.name))
    except OSError as error:
        raise TuneCLError(f"{folder / wnid}: cannot be read ({error.strerror})") from None
    return [(wnid.encode() + b"/" + name, size) for name, size in found]


def _is_named_like_an_image(name: bytes) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(b".")  # hidden: `._x.JPEG` is macOS's, of x.JPEG


def _check_counts(folder: Path, dataset: str, half: ImageNetHalf, counts: dict[str, int]) -> None:
    remedy = "put the originals there, or use these with --accept-modified-data"
    for wnid, count in counts.items():
        if not half.least <= count <= half.most:
            raise TuneCLError(
                f"{folder / wnid}: holds {count} files *.JPEG where published classes have {half.least} to "
                f"{half.most}; {remedy}"
            )
    if dataset == "imagenet" and sum(counts.values()) != half.images:
        raise TuneCLError(
            f"{folder}: holds {sum(counts.values())} images where the published half holds {half.images}; {remedy}"
        )
