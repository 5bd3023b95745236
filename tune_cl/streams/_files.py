"""One file per image: which files, and how each becomes a square of pixels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tune_cl.errors import TuneCLError


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files that are decoded when they are asked for.

    Plain data: pickled with protocol 5 the paths travel out of band.

    Attributes:
        folder: absolute path of the folder that all lie under.
        paths: bytes (N,), relative to the folder, as the file system writes them.
        size: side of the square that an image is decoded to, in pixels.
    """

    folder: str
    paths: NDArray[np.bytes_]
    size: int

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, place: int) -> Path:
        """The file at a place."""
        return Path(self.folder, os.fsdecode(self.paths[place]))

    def decode(self, places: Sequence[int]) -> NDArray[np.uint8]:
        """Decode the files at some places: uint8 (len(places), size, size, 3).

        Raises:
            TuneCLError: a file is missing or damaged.
        """
        decoded = np.empty((len(places), self.size, self.size, 3), dtype=np.uint8)
        for row, place in zip(decoded, places, strict=True):
            row[:] = decode_square(self.path(place), self.size)
        return decoded

    def subset(self, places: NDArray[np.int64]) -> "ImageFiles":
        """The files at some places, in that order."""
        return replace(self, paths=self.paths[places])

    @staticmethod
    def join(parts: Sequence["ImageFiles"]) -> "ImageFiles":
        """Concatenate files of one folder.

        Raises:
            ValueError: they lie under different folders, or are decoded to different sizes.
        """
        if len({(part.folder, part.size) for part in parts}) != 1:
            raise ValueError("files of different folders or sizes cannot be joined")
        return replace(parts[0], paths=np.concatenate([part.paths for part in parts]))


def decode_square(path: Path, size: int) -> NDArray[np.uint8]:
    """Decode one image as RGB, resize its short side (bilinear, antialiased), cut out the central square.

    Returns:
        uint8 (size, size, 3).

    Raises:
        TuneCLError: the file is missing, or no whole image.
    """
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except FileNotFoundError:
        raise TuneCLError(f"{path}: no such file; put the original there again") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TuneCLError(f"{path}: cannot be decoded as an image ({reason}); put the original there again") from None
    width, height = image.size
    short = min(width, height)
    image = image.resize(
        (max(size, size * width // short), max(size, size * height // short)), Image.Resampling.BILINEAR
    )
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def file_size(path: Path) -> int:
    """Size of a file in bytes.

    Raises:
        TuneCLError: it is not there, is no file, or may not be looked at.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise TuneCLError(f"{path}: no such file; put the original there again") from None
    except OSError as error:
        raise TuneCLError(f"{path}: cannot be read ({error.strerror})") from None
    return status.st_size


def data_folder(dataset: str, data_root: Path | None, *folders: str, hint: str) -> Path:
    """The first of the given folders that lies under the data root.

    Raises:
        TuneCLError: no data root, or none of the folders is there; `hint` says where the data come from.
    """
    if data_root is None:
        raise TuneCLError(f"{dataset} does not ship with tune_cl: name its folder with --data-root DIR ({hint})")
    if not os.path.isdir(data_root):
        raise TuneCLError(f"--data-root {data_root}: no such folder; name the one that holds {' or '.join(folders)}")
    for folder in folders:
        if os.path.isdir(data_root / folder):
            return data_root / folder
    raise TuneCLError(f"--data-root {data_root}: holds no folder {' nor '.join(folders)} ({hint})")
