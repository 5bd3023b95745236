"""CUB-200-2011 in its original layout: lists that name each image, its class and its half.

No checksum is published for single files. The lists are checked against the published counts, and every image of the
half that is read must be there; its pixels are checked when it is decoded.
"""

from pathlib import Path

import numpy as np

from tune_cl.errors import TuneCLError
from tune_cl.streams._datasets import DATASETS
from tune_cl.streams._files import ImageFiles, data_folder, file_size
from tune_cl.streams._images import RawFiles

_FOLDER = "CUB_200_2011"
_IMAGES = 11_788
_CLASSES = 200


def read_cub_training(data_root: Path | None, accept_modified_data: bool = False) -> RawFiles:
    """Read the lists of CUB-200-2011; of the images, look at those that `train_test_split.txt` says to train on.

    Raises:
        TuneCLError: as for `read_cub`.
    """
    return read_cub(data_root, half="1", published=5_994, accept_modified_data=accept_modified_data)


def read_cub(data_root: Path | None, half: str, published: int, accept_modified_data: bool = False) -> RawFiles:
    """Read one half of CUB-200-2011, in the order of `images.txt`; no image of the other half is looked at.

    Args:
        data_root: folder that holds `CUB_200_2011`.
        half: what `train_test_split.txt` says of its images: '1' training, '0' test.
        published: images of that half in the published lists.
        accept_modified_data: admit lists of another length.

    Returns:
        The files, with paths relative to `images`; labels are class ids less 1.

    Raises:
        TuneCLError: no data root or folder; a list or an image is missing; a list is malformed or not the original.
    """
    folder = data_folder("cub200", data_root, _FOLDER, hint=DATASETS["cub200"].origin)
    paths = _read_list(folder / "images.txt")
    classes = _read_list(folder / "classes.txt")
    halves = _read_list(folder / "train_test_split.txt", of=paths)
    labels = {i: _label(folder, i, text) for i, text in _read_list(folder / "image_class_labels.txt", of=paths).items()}
    if list(classes) != [str(i + 1) for i in range(_CLASSES)]:
        raise TuneCLError(f"{folder / 'classes.txt'}: must name the {_CLASSES} classes 1 to {_CLASSES}, in that order")
    for i, which in halves.items():
        if which not in ("0", "1"):
            raise TuneCLError(
                f"{folder / 'train_test_split.txt'}: image {i} is in the half {which!r}, but there are 0, to test on, "
                "and 1, to train on"
            )
    chosen = [i for i in paths if halves[i] == half]
    if not accept_modified_data:
        _check_count(folder / "images.txt", len(paths), _IMAGES, "images")
        _check_count(folder / "train_test_split.txt", len(chosen), published, f"images with a {half}")
    images = folder / "images"
    return RawFiles(
        images=ImageFiles(
            str(images.absolute()),
            np.array([paths[i].encode() for i in chosen], dtype=np.bytes_),
            DATASETS["cub200"].stored_size,
        ),
        labels=np.array([labels[i] for i in chosen], dtype=np.int64),
        class_names=tuple(classes.values()),
        sizes=np.array([file_size(images / paths[i]) for i in chosen], dtype=np.int64),
    )


def _read_list(path: Path, of: dict[str, str] | None = None) -> dict[str, str]:
    """Read lines `<id> <text>`; the ids must be those of `of`, where it is given."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise TuneCLError(f"{path}: no such file; put the original there again") from None
    except OSError as error:
        raise TuneCLError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise TuneCLError(f"{path}: not a text file; put the original there again") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        identifier, _, text = line.strip().partition(" ")
        if not _is_number(identifier) or not text or identifier in found:
            raise TuneCLError(f"{path}, line {number}: {line!r} is not '<id> <text>' with an id of its own")
        found[identifier] = text
    if of is not None and found.keys() != of.keys():
        stray = sorted(found.keys() ^ of.keys(), key=int)[0]
        raise TuneCLError(f"{path}: does not name the same images as images.txt beside it (id {stray}, for one)")
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _label(folder: Path, identifier: str, text: str) -> int:
    if not _is_number(text) or not 1 <= int(text) <= _CLASSES:
        raise TuneCLError(
            f"{folder / 'image_class_labels.txt'}: image {identifier} has the class {text!r}, but they go from 1 to "
            f"{_CLASSES}"
        )
    return int(text) - 1


def _check_count(path: Path, found: int, published: int, what: str) -> None:
    if found != published:
        raise TuneCLError(
            f"{path}: lists {found} {what} where the published one lists {published}; put the original there, or use "
            f"this one with --accept-modified-data"
        )
