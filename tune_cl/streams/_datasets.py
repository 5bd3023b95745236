"""What is known of a data set before one of its images is opened, and who reads its training images."""

from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from tune_cl.records import ImageFolder
from tune_cl.streams._images import RawFiles, RawImages

Reader = Callable[["Dataset", Path | None, bool], RawImages | RawFiles]
Source = Literal["embedded", "data_root", "folder"]


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
        name: the first part of a stream's name: letters, digits and `_`.
        n_classes: classes of the data set; a stream uses all of them.
        image_shape: channels, height, width, as networks see it.
        scale: which network sizes of a space fit: one of the shipped ones, or a name that your own space has.
        source: shipped with the package, read from `--data-root`, or from a folder of its own (`--data-set`).
        validation_fraction: share of each class's training images that is held back for validation. A property of
            the data set, so that every study on it is judged on the same images for one split seed.
        preprocessing: constants of normalisation and augmentation.
        class_names: by label; None where the data files hold them.
        resident: whether the decoded images fit into memory; else they are decoded each time they are asked for.
        origin: where `--download` does not fetch it: what is put into `--data-root`, and where that is from.
        scale_without_gpu: which network sizes fit on a machine that has no GPU; None: the same.
        class_orders: published class orders that list its labels, such as `podnet`.
        reader: reads the training images, and no test image: called with this object, the data root (None where none
            is named) and whether files that differ from the published ones are admitted. A stream that travels to
            another process leaves it behind.
        fetch: downloads the files into a data root, for `--download`; None where nothing does.
        folder: of a folder of images per class, what is recorded of it.

    Example:
        >>> def read(dataset, data_root, accept_modified_data):
        ...     images = np.load(data_root / "spirals.npy")  # uint8 (N, 1, 16, 16)
        ...     return RawImages(images, np.load(data_root / "labels.npy"), ("left", "right"))
        >>> DATASET = Dataset("spirals", 2, (1, 16, 16), "small28", "data_root", 0.2, Preprocessing(...), reader=read)
    """

    name: str
    n_classes: int
    image_shape: tuple[int, int, int]
    scale: str
    source: Source
    validation_fraction: float
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None = None
    resident: bool = True
    origin: str = ""
    scale_without_gpu: str | None = None
    class_orders: tuple[str, ...] = ()
    reader: Reader | None = None
    fetch: Callable[["Dataset", Path], None] | None = None
    folder: ImageFolder | None = None

    def __post_init__(self) -> None:
        if self.preprocessing.seen_size not in (None, self.image_shape[1]):
            raise ValueError(
                f"{self.name}: networks see {self.image_shape[1]} or {self.preprocessing.seen_size} pixels?"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Without the functions, whose module another process need not be able to import."""
        return {**self.__dict__, "reader": None, "fetch": None}

    @property
    def stored_size(self) -> int:
        """Side of an image as it is stored, in pixels."""
        return self.preprocessing.stored_size or self.image_shape[1]

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of an image as it is stored."""
        size = self.preprocessing.stored_size
        return self.image_shape if size is None else (self.image_shape[0], size, size)
