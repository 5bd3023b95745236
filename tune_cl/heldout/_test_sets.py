"""Reading test files: those that ship with the package, and those of other data sets from `--data-root`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.streams import (
    DATASETS,
    CifarFile,
    CifarVersion,
    FileImages,
    ImageNetHalf,
    ImageSource,
    LabelledImages,
    RawFiles,
    RawImages,
    check_as_described,
    dataset_names,
    read_archive,
    read_cifar,
    read_cub,
    read_imagenet,
)

_CIFAR_TEST: dict[str, tuple[CifarVersion, CifarVersion]] = {
    "cifar10": (
        CifarVersion(
            "cifar10",
            "cifar-10-batches-py",
            (CifarFile("test_batch", 10_000, "40351d587109b95175f43aff81a1287e"),),
        ),
        CifarVersion("cifar10", "cifar-10-batches-bin", (CifarFile("test_batch.bin", 10_000),)),
    ),
    "cifar100": (
        CifarVersion("cifar100", "cifar-100-python", (CifarFile("test", 10_000, "f0ef6b0ae62326f3e7ffdfab6717acfc"),)),
        CifarVersion("cifar100", "cifar-100-binary", (CifarFile("test.bin", 10_000),)),
    ),
}


_CUB_TEST = 5_794
_IMAGENET_TEST = ImageNetHalf("val", 50_000, 50, 50)


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


def open_test_set(dataset: str, data_root: Path | None = None, accept_modified_data: bool = False) -> TestSet:
    """Open the test images of any data set. Only `tune_cl.evaluation` may call this.

    Args:
        dataset: one of `tune_cl.streams.dataset_names()`.
        data_root: folder that holds the data sets' folders; not needed for data that ship with the package. CUB-200's
            test images are those with a 0 in `train_test_split.txt`, ImageNet's lie in `imagenet/val/<wnid>`.
        accept_modified_data: admit files that differ from the published ones.

    Raises:
        TuneCLError: unknown data set; files missing, damaged, or not the published ones; images or labels that are not
            as the data set's description says.
    """
    raw = _read(dataset, data_root, accept_modified_data)
    check_as_described(raw, DATASETS[dataset])
    labels = torch.from_numpy(raw.labels)
    if isinstance(raw, RawFiles):
        return TestSet(FileImages(raw.images, labels), raw.class_names, raw.fingerprint())
    images = LabelledImages(torch.from_numpy(np.array(raw.images)), labels)
    return TestSet(images, raw.class_names, raw.fingerprint())


def _read(dataset: str, data_root: Path | None, accept_modified_data: bool) -> RawImages | RawFiles:
    if dataset not in DATASETS:
        known = ", ".join(dataset_names())
        raise TuneCLError(f"unknown data set {dataset!r}{near_matches(dataset, DATASETS)} (data sets: {known})")
    if DATASETS[dataset].source == "embedded":
        return read_archive(Path(__file__).parent / "data" / f"{dataset}_test.npz")
    if dataset == "cub200":
        return read_cub(data_root, half="0", published=_CUB_TEST, accept_modified_data=accept_modified_data)
    if dataset in ("imagenet", "imagenet100"):
        return read_imagenet(dataset, _IMAGENET_TEST, data_root, accept_modified_data)
    if dataset in _CIFAR_TEST:
        return read_cifar(_CIFAR_TEST[dataset], data_root, accept_modified_data)
    raise TuneCLError(
        f"{dataset}: there is no reader of its test files; have `_read` in tune_cl/heldout/_test_sets.py call one"
    )
