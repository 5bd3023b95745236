"""Reading test files: those that ship with the package, and CIFAR's from `--data-root`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.streams import DATASETS, CifarFile, CifarVersion, dataset_names, read_archive, read_cifar

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


def read_test_set(
    dataset: str, data_root: Path | None = None, accept_modified_data: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """Read a data set's test images. Only `tune_cl.evaluation` may call this.

    Args:
        dataset: one of `tune_cl.streams.dataset_names()`.
        data_root: folder that holds the CIFAR folders; not needed for data that ship with the package.
        accept_modified_data: admit CIFAR files that differ from the published ones.

    Returns:
        Images uint8 (N, C, H, W); the data set's own labels int64 (N,), not stream class indices; class names by label.

    Raises:
        TuneCLError: unknown data set; files missing, damaged, or not the published ones.
    """
    if dataset not in DATASETS:
        known = ", ".join(dataset_names())
        raise TuneCLError(f"unknown data set {dataset!r}{near_matches(dataset, DATASETS)} (data sets: {known})")
    if DATASETS[dataset].source == "embedded":
        raw = read_archive(Path(__file__).parent / "data" / f"{dataset}_test.npz")
    else:
        raw = read_cifar(_CIFAR_TEST[dataset], data_root, accept_modified_data)
    return raw.images, raw.labels, raw.class_names
