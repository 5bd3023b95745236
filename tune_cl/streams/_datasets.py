"""The data sets that streams are cut from, and what is known of each before a file is opened."""

from dataclasses import dataclass
from typing import Literal

from tune_cl.streams._class_names import CIFAR10_CLASSES, CIFAR100_CLASSES

Scale = Literal["small28", "cifar"]
Source = Literal["embedded", "data_root"]


@dataclass(frozen=True)
class Preprocessing:
    """How a batch of a data set becomes network input.

    Attributes:
        mean: per channel, of pixels scaled to 0…1.
        std: per channel, of pixels scaled to 0…1.
        crop_padding: pixels of zero padding on each side before a random crop to the original size (training only).
        flip: mirror left to right with probability 1/2 (training only).
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int
    flip: bool


@dataclass(frozen=True)
class Dataset:
    """One data set.

    Attributes:
        name: the first part of a stream's name.
        n_classes: classes of the data set; a stream uses all of them.
        image_shape: channels, height, width.
        scale: which network sizes fit.
        source: shipped with the package, or read from `--data-root`.
        validation_fraction: share of each class's training images that is held back for validation. A property of
            the data set, so that every study on it is judged on the same images for one split seed.
        preprocessing: constants of normalisation and augmentation.
        class_names: by label; None where the data file holds them.
    """

    name: str
    n_classes: int
    image_shape: tuple[int, int, int]
    scale: Scale
    source: Source
    validation_fraction: float
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None = None


_KNOWN = (
    # Mean and std: the customary ones of the official training set; the seeded subset's own differ by 0.001.
    Dataset("fashion", 10, (1, 28, 28), "small28", "embedded", 0.2, Preprocessing((0.2860,), (0.3530,), 2, True)),
    # Mean and std: computed once over the 8,000 training images that ship with the package.
    Dataset("quickdraw", 100, (1, 28, 28), "small28", "embedded", 0.2, Preprocessing((0.1557,), (0.3151,), 2, True)),
    Dataset(
        "cifar10",
        10,
        (3, 32, 32),
        "cifar",
        "data_root",
        0.1,
        Preprocessing((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), 4, True),
        CIFAR10_CLASSES,
    ),
    Dataset(
        "cifar100",
        100,
        (3, 32, 32),
        "cifar",
        "data_root",
        0.1,
        Preprocessing((0.507, 0.487, 0.441), (0.267, 0.256, 0.276), 4, True),
        CIFAR100_CLASSES,
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _KNOWN}


def dataset_names() -> list[str]:
    """Names of the data sets, in alphabetical order."""
    return sorted(DATASETS)
