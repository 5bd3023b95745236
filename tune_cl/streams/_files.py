"""One file per image: which files there are, found without opening them."""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_cl.errors import TuneCLError, readable
from tune_cl.streams._decoding import decode_square, silence_warnings


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files that are decoded when they are asked for.

    Plain data: pickled with protocol 5 the paths travel out of band.

    Attributes:
        folder: absolute path of the folder that all lie under.
        paths: bytes (N,), relative to the folder, as the file system writes them.
        size: side of the square that an image is decoded to, in pixels.
        channels: 3 for RGB, 1 for grey.
    """

    folder: str
    paths: NDArray[np.bytes_]
    size: int
    channels: int = 3

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, place: int) -> Path:
        """The file at a place."""
        return Path(self.folder, os.fsdecode(self.paths[place]))

    def decode(self, places: Sequence[int]) -> NDArray[np.uint8]:
        """Decode the files at some places: uint8 (len(places), size, size, channels).

        Raises:
            TuneCLError: a file is missing, damaged, or of a kind that is not decoded.
        """
        silence_warnings()
        decoded = np.empty((len(places), self.size, self.size, self.channels), dtype=np.uint8)
        for row, place in zip(decoded, places, strict=True):
            row[:] = decode_square(self.path(place), self.size, self.channels)
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
        if len({(part.folder, part.size, part.channels) for part in parts}) != 1:
            raise ValueError("files of different folders or sizes cannot be joined")
        return replace(parts[0], paths=np.concatenate([part.paths for part in parts]))


def image_size(path: Path | str | bytes, look: Callable[[], os.stat_result] | None = None) -> int:
    """Size in bytes of what is to be an image file. It is looked at, not opened: what is no image at all is found here.

    Args:
        path: the file.
        look: gives its status, where somebody has it already.

    Raises:
        TuneCLError: it is missing, a folder or another thing that is no file, or empty, or may not be looked at.
    """
    try:
        status = os.stat(path) if look is None else look()
    except FileNotFoundError:
        what = "a link to a file that is not there" if os.path.islink(path) else "no such file"
        raise TuneCLError(f"{readable(path)}: {what}; put the original there again") from None
    except OSError as error:
        raise TuneCLError(f"{readable(path)}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "no plain file"
        raise TuneCLError(f"{readable(path)}: {what} where an image should be; move it away")
    if not status.st_size:
        raise TuneCLError(f"{readable(path)}: an empty file where an image should be; put the original there again")
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
