"""The test images of a data set, whoever reads them."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tune_cl.errors import TuneCLError
from tune_cl.heldout._folder import read_folder_test
from tune_cl.heldout._shipped import SHIPPED
from tune_cl.streams import (
    Dataset,
    FileImages,
    ImageSource,
    LabelledImages,
    RawFiles,
    Reader,
    brought_by,
    check_as_described,
)

_FROM_PLUGINS = "TEST_READER"  # what a module that brings a data set calls the reader of its test images


@dataclass(frozen=True, eq=False)
class TestSet:
    """A data set's test images.

    Attributes:
        images: in memory, or files that are decoded when they are asked for; the labels are the data set's own, not
            stream class indices.
        class_names: by label.
        fingerprint: SHA-256 (hex) of images and labels as read; of a data set with a file per image, of the files'
            relative paths, sizes in bytes, and labels.
    """

    __test__ = False  # no class of tests, whatever pytest makes of its name

    images: ImageSource
    class_names: tuple[str, ...]
    fingerprint: str


def open_test_set(dataset: Dataset, data_root: Path | None = None, accept_modified_data: bool = False) -> TestSet:
    """Open the test images of any data set. Only `tune_cl.evaluation` may call this.

    Args:
        dataset: its description. The test images of `cub200` are those with a 0 in `train_test_split.txt`, those of
            `imagenet` lie in `imagenet/val/<wnid>`; those of a folder of your own in `test/<class>`.
        data_root: folder that holds the data sets' folders; not needed for data that ship with the package.
        accept_modified_data: admit files that differ from the published ones.

    Raises:
        TuneCLError: nothing reads its test images; files missing, damaged, or not the published ones; images or labels
            that are not as the data set's description says.
    """
    raw = _reader(dataset)(dataset, data_root, accept_modified_data)
    check_as_described(raw, dataset)
    labels = torch.from_numpy(raw.labels)
    if isinstance(raw, RawFiles):
        return TestSet(FileImages(raw.images, labels), raw.class_names, raw.fingerprint())
    images = LabelledImages(torch.from_numpy(np.array(raw.images)), labels)
    return TestSet(images, raw.class_names, raw.fingerprint())


def _reader(dataset: Dataset) -> Reader:
    if dataset.folder is not None:
        return read_folder_test
    if dataset.name in SHIPPED:
        return SHIPPED[dataset.name]
    module = brought_by(dataset.name)
    reader: Reader | None = getattr(sys.modules.get(module or ""), _FROM_PLUGINS, None)
    if reader is not None and callable(reader):
        return reader
    place = f"define {_FROM_PLUGINS} in {module}" if module else "add one to tune_cl/heldout/_shipped.py"
    raise TuneCLError(
        f"{dataset.name}: nothing reads its test images; {place}, a function of the same form as the `reader` of its "
        "Dataset"
    )
