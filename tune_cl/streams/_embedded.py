"""The data sets that ship with the package: one `.npz` archive per data set and half."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from tune_cl.errors import TuneCLError
from tune_cl.streams._datasets import Dataset
from tune_cl.streams._images import RawImages


def read_archive(path: Path) -> RawImages:
    """Read `images (N, H, W)` uint8, `labels (N,)` of whole numbers and `class_names` of text, all grey images.

    Raises:
        TuneCLError: the file is missing or damaged, or its labels are no whole numbers.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            images, labels = archive["images"], archive["labels"]
            class_names = tuple(str(name) for name in archive["class_names"])
    except FileNotFoundError:
        raise TuneCLError(f"{path}: the package's data file is missing; install tune_cl again") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise TuneCLError(f"{path}: the package's data file is damaged ({error}); install tune_cl again") from None
    if labels.dtype.kind not in "iu":
        raise TuneCLError(f"{path}: its labels are {labels.dtype}, but labels are whole numbers, int64 say")
    return RawImages(images[:, None], labels.astype(np.int64, copy=False), class_names)


def read_embedded_training(
    dataset: Dataset, data_root: Path | None = None, accept_modified_data: bool = False
) -> RawImages:
    """Read the training images of an embedded data set; where other data lie is no matter.

    Raises:
        TuneCLError: as for `read_archive`.
    """
    return read_archive(Path(__file__).parent / "data" / f"{dataset.name}_train.npz")
