"""The data sets that streams are cut from, and what is known of each before a file is opened."""

from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any, Literal

from tune_cl.streams._class_names import CIFAR10_CLASSES, CIFAR100_CLASSES

Scale = Literal["small28", "small32", "cifar", "cub", "imagenet"]
Source = Literal["embedded", "data_root"]


@dataclass(frozen=True)
class Preprocessing:
    """How a batch of a data set becomes network input.

    Attributes:
        mean: per channel, of pixels scaled to 0…1.
        std: per channel, of pixels scaled to 0…1.
        crop_padding: pixels of zero padding on each side before a random crop to the original size (training only,
            and only where `crop` is 'pad').
        flip: mirror left to right with probability 1/2 (training only).
        stored_size: side in pixels of the square that an image is decoded to; None: images come as networks see them.
        seen_size: side in pixels of the square that networks see; None: as stored. In evaluation, the central one.
        crop: which part of an image training shows: 'pad' shifts it within its padding, 'random' takes a random square
            of the seen size, 'resized' a random part of 8 to 100 % of its area at aspect 3/4 to 4/3.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int
    flip: bool
    stored_size: int | None = None
    seen_size: int | None = None
    crop: Literal["pad", "random", "resized"] = "pad"

    def identity(self) -> dict[str, Any]:
        """What a stage may depend on, as plain JSON values.

        Fields that came after stages had been trained are left out at their default, which does what was done before.
        """
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        later = {field.name: field.default for field in fields(self) if field.default is not MISSING}
        return {name: value for name, value in values.items() if name not in later or value != later[name]}


@dataclass(frozen=True)
class Dataset:
    """One data set.

    Attributes:
        name: the first part of a stream's name.
        n_classes: classes of the data set; a stream uses all of them.
        image_shape: channels, height, width, as networks see it.
        scale: which network sizes fit.
        scale_without_gpu: which do on a machine that has no GPU; None: the same.
        source: shipped with the package, or read from `--data-root`.
        validation_fraction: share of each class's training images that is held back for validation. A property of
            the data set, so that every study on it is judged on the same images for one split seed.
        preprocessing: constants of normalisation and augmentation.
        class_names: by label; None where the data files hold them.
        resident: whether the decoded images fit into memory; else they are decoded each time they are asked for.
        origin: where `--download` does not fetch it: what is put into `--data-root`, and where that is from.
    """

    name: str
    n_classes: int
    image_shape: tuple[int, int, int]
    scale: Scale
    source: Source
    validation_fraction: float
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None = None
    resident: bool = True
    origin: str = ""
    scale_without_gpu: Scale | None = None

    def __post_init__(self) -> None:
        if self.preprocessing.seen_size not in (None, self.image_shape[1]):
            raise ValueError(
                f"{self.name}: networks see {self.image_shape[1]} or {self.preprocessing.seen_size} pixels?"
            )

    @property
    def stored_size(self) -> int:
        """Side of an image as it is stored, in pixels."""
        return self.preprocessing.stored_size or self.image_shape[1]

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of an image as it is stored."""
        size = self.preprocessing.stored_size
        return self.image_shape if size is None else (self.image_shape[0], size, size)


_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CROP_224 = Preprocessing(_IMAGENET_MEAN, _IMAGENET_STD, 0, True, stored_size=256, seen_size=224, crop="random")
_RESIZED_224 = Preprocessing(_IMAGENET_MEAN, _IMAGENET_STD, 0, True, stored_size=256, seen_size=224, crop="resized")
_CUB_ORIGIN = "the folder CUB_200_2011 of CUB_200_2011.tgz, from data.caltech.edu"
_IMAGENET = Dataset(
    "imagenet",
    1000,
    (3, 224, 224),
    "imagenet",
    "data_root",
    0.04,
    _RESIZED_224,
    resident=False,
    origin="imagenet/train/<wnid>/*.JPEG, from image-net.org",
)

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
        scale_without_gpu="small32",
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
        scale_without_gpu="small32",
    ),
    # 29 or 30 training images of a class: 3 are held back.
    Dataset("cub200", 200, (3, 224, 224), "cub", "data_root", 0.1, _CROP_224, origin=_CUB_ORIGIN),
    # 732 to 1300 training images of a class: about as many are held back as the official validation set has, 50 each.
    _IMAGENET,
    replace(_IMAGENET, name="imagenet100", n_classes=100),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _KNOWN}


def dataset_names() -> list[str]:
    """Names of the data sets, in alphabetical order."""
    return sorted(DATASETS)
