"""Writers of CUB-200-2011 and ImageNet in their original layouts, with few small images; independent of the readers.

Every image is nearly of one colour, which says whose it is: `colour(class, number)`.
"""

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_cl.streams import DATASETS


def colour(label: int, number: int) -> tuple[int, int, int]:
    """A colour per class and image, far enough from all others to survive JPEG."""
    return 20 + 10 * (label % 20), 20 + 10 * (label // 20 % 20), 20 + 40 * (label // 400) + 8 * number


def jpeg(label: int, number: int, size: tuple[int, int] = (48, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour(label, number)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def write_cub(root: Path, training: int = 3, test: int = 1) -> Path:
    """Write all lists, and per class so many training and test images; returns the folder. Classes take turns."""
    folder = root / "CUB_200_2011"
    classes = [f"{c + 1:03d}.Bird_{c}" for c in range(200)]
    rows = []
    for number in range(training + test):
        for c, name in enumerate(classes):
            path = f"{name}/Bird_{c}_{number:04d}.jpg"
            (folder / "images" / name).mkdir(parents=True, exist_ok=True)
            (folder / "images" / path).write_bytes(jpeg(c, number))
            rows.append((path, c + 1, int(number < training)))
    lists = {
        "images.txt": [f"{i} {path}" for i, (path, _, _) in enumerate(rows, 1)],
        "image_class_labels.txt": [f"{i} {c}" for i, (_, c, _) in enumerate(rows, 1)],
        "train_test_split.txt": [f"{i} {half}" for i, (_, _, half) in enumerate(rows, 1)],
        "classes.txt": [f"{c} {name}" for c, name in enumerate(classes, 1)],
    }
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def wnid(c: int) -> str:
    """The c-th wnid, in sorted order but not in steps of one."""
    return f"n{1_000_000 + 13 * c:08d}"


def write_imagenet(root: Path, half: str = "train", per_class: int = 2, classes: int = 1000) -> Path:
    """Write `imagenet/<half>/<wnid>/*.JPEG`; returns the folder. File names are numbered as in the original."""
    folder = root / "imagenet" / half
    for c in range(classes):
        (folder / wnid(c)).mkdir(parents=True)
        for number in range(per_class):
            (folder / wnid(c) / f"{wnid(c)}_{number * 37}.JPEG").write_bytes(jpeg(c, number, (20, 16)))
    return folder


def shrink(monkeypatch: pytest.MonkeyPatch, stored: int = 16, seen: int = 12) -> None:
    """Have the data sets of images in files stored and seen at a size that is quick to work with."""
    for name in ("cub200", "imagenet", "imagenet100"):
        dataset = DATASETS[name]
        preprocessing = replace(dataset.preprocessing, stored_size=stored, seen_size=seen)
        small = replace(dataset, image_shape=(3, seen, seen), preprocessing=preprocessing)
        monkeypatch.setitem(DATASETS._members, name, small)


def _link_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("gone"))


# Kind -> what makes it at a path, and how it is told from an image without being opened.
NO_IMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "a folder where an image should be"),
    "empty": (Path.touch, "an empty file where an image should be"),
    "link": (_link_to_nothing, "a link to a file that is not there"),
    "pipe": (os.mkfifo, "no plain file where an image should be"),
}


def told(image: np.ndarray) -> tuple[int, int, int]:
    """The colour of a decoded image (3, S, S), rounded as the writers choose them."""
    red, green, blue = image.reshape(3, -1).astype(float).mean(1)
    return round((red - 20) / 10) * 10 + 20, round((green - 20) / 10) * 10 + 20, round((blue - 20) / 8) * 8 + 20
