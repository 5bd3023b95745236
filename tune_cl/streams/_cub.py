"""CUB-200-2011 in its original layout: lists that name each image, its class and its half.

No checksum is published for single files. The lists are checked against each other and against the published counts,
and every image of the half that is read must be there; its pixels are checked when it is decoded.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tune_cl.errors import TuneCLError, shown
from tune_cl.streams._datasets import Dataset
from tune_cl.streams._files import ImageFiles, data_folder, image_size
from tune_cl.streams._images import RawFiles

_FOLDER = "CUB_200_2011"
_IMAGES = 11_788
_CLASSES = 200
_ID = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class _List:
    """A list file: lines `<id> <text>`."""

    path: Path
    texts: dict[str, str]  # by id, in the order of the lines
    lines: dict[str, int]  # by id

    def at(self, identifier: str) -> str:
        """Where an id stands, for messages."""
        return f"{self.path}, line {self.lines[identifier]}"


def read_cub_training(dataset: Dataset, data_root: Path | None, accept_modified_data: bool = False) -> RawFiles:
    """Read the lists of CUB-200-2011; of the images, look at those that `train_test_split.txt` says to train on.

    Raises:
        TuneCLError: as for `read_cub`.
    """
    return read_cub(dataset, data_root, half="1", published=5_994, accept_modified_data=accept_modified_data)


def read_cub(
    dataset: Dataset, data_root: Path | None, half: str, published: int, accept_modified_data: bool = False
) -> RawFiles:
    """Read one half of CUB-200-2011, in the order of `images.txt`; no image of the other half is looked at.

    Args:
        dataset: how large its images are stored.
        data_root: folder that holds `CUB_200_2011`.
        half: what `train_test_split.txt` says of its images: '1' training, '0' test.
        published: images of that half in the published lists.
        accept_modified_data: admit lists of another length.

    Returns:
        The files, with paths relative to `images`; labels are class ids less 1.

    Raises:
        TuneCLError: no data root or folder; a list or an image is missing; a list is malformed, not the original, or
            contradicts itself or another one.
    """
    folder = data_folder(dataset.name, data_root, _FOLDER, hint=dataset.origin)
    paths = _read_list(folder / "images.txt")
    classes = _read_list(folder / "classes.txt")
    halves = _read_list(folder / "train_test_split.txt", of=paths)
    labels = _read_list(folder / "image_class_labels.txt", of=paths)
    _check_classes(classes)
    _check_each_once(paths, "the image")
    _check_halves(halves)
    _check_labels(labels, classes, paths)
    chosen = [i for i in paths.texts if halves.texts[i] == half]
    if not accept_modified_data:
        _check_count(paths.path, len(paths.texts), _IMAGES, "images")
        _check_count(halves.path, len(chosen), published, f"images with a {half}")
    images = folder / "images"
    return RawFiles(
        images=ImageFiles(
            str(images.absolute()),
            np.array([paths.texts[i].encode() for i in chosen], dtype=np.bytes_),
            dataset.stored_size,
        ),
        labels=np.array([int(labels.texts[i]) - 1 for i in chosen], dtype=np.int64),
        class_names=tuple(classes.texts.values()),
        sizes=np.array([image_size(images / paths.texts[i]) for i in chosen], dtype=np.int64),
    )


def _read_list(path: Path, of: _List | None = None) -> _List:
    """Read lines `<id> <text>`; the ids must be those of `of`, where it is given."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise TuneCLError(f"{path}: no such file; put the original there again") from None
    except OSError as error:
        raise TuneCLError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise TuneCLError(f"{path}: not a text file; put the original there again") from None
    found = _List(path, {}, {})
    for number, line in enumerate(lines, 1):
        identifier, _, text = line.strip().partition(" ")
        if not _ID.fullmatch(identifier) or not text or identifier in found.texts:
            raise TuneCLError(f"{path}, line {number}: {shown(line)} is not '<id> <text>' with an id of its own")
        found.texts[identifier], found.lines[identifier] = text, number
    if of is not None and found.texts.keys() != of.texts.keys():
        stray = sorted(found.texts.keys() ^ of.texts.keys(), key=int)[0]
        raise TuneCLError(f"{path}: does not name the same images as images.txt beside it (id {stray}, for one)")
    return found


def _check_classes(classes: _List) -> None:
    if list(classes.texts) != [str(i + 1) for i in range(_CLASSES)]:
        raise TuneCLError(f"{classes.path}: must name the {_CLASSES} classes 1 to {_CLASSES}, in that order")
    _check_each_once(classes, "the class")
    for i, name in classes.texts.items():
        if not _is_plain(name):
            raise TuneCLError(f"{classes.at(i)}: {shown(name)} is no name of a folder; put the original there again")


def _check_each_once(listed: _List, what: str) -> None:
    first: dict[str, str] = {}
    for i, text in listed.texts.items():
        if text in first:
            raise TuneCLError(
                f"{listed.at(i)}: {what} {shown(text)} has the id {i}, and in line {listed.lines[first[text]]} the id "
                f"{first[text]}; put the original there again"
            )
        first[text] = i


def _check_halves(halves: _List) -> None:
    for i, which in halves.texts.items():
        if which not in ("0", "1"):
            raise TuneCLError(
                f"{halves.at(i)}: image {i} is in the half {shown(which)}, but there are 0, to test on, and 1, to "
                "train on"
            )


def _check_labels(labels: _List, classes: _List, paths: _List) -> None:
    """Each image has a class, and lies in the folder of that class."""
    for i, label in labels.texts.items():
        if label not in classes.texts:
            raise TuneCLError(
                f"{labels.at(i)}: image {i} has the class {shown(label)}, but they go from 1 to {_CLASSES}"
            )
        folder, _, file = paths.texts[i].partition("/")
        if not _is_plain(file):
            raise TuneCLError(
                f"{paths.at(i)}: {shown(paths.texts[i])} is not '<class>/<file>'; put the original there again"
            )
        if folder != classes.texts[label]:
            raise TuneCLError(
                f"{labels.at(i)}: image {i} has the class {label}, {shown(classes.texts[label])}, but line "
                f"{paths.lines[i]} of images.txt has it in the folder {shown(folder)}; put the originals there again"
            )


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and name.isprintable()


def _check_count(path: Path, found: int, published: int, what: str) -> None:
    if found != published:
        raise TuneCLError(
            f"{path}: lists {found} {what} where the published one lists {published}; put the original there, or use "
            f"this one with --accept-modified-data"
        )
