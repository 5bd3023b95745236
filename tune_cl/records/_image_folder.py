"""A folder of images per class as a data set: where it lies, how it is read, and what was measured of it."""

from typing import Literal

from pydantic import Field

from tune_cl.records._record import Record

Crop = Literal["none", "shift", "random", "resized"]


class ImageFolder(Record):
    """What a stream's record says of a data set that is a folder: enough to read it again, on any machine.

    `layout` is 'two' where the folder has `train/CLASS/` and `test/CLASS/`, and 'one' where it has `CLASS/` alone, so
    that its images are divided into both halves.
    """

    folder: str = Field(description="absolute path")
    layout: Literal["two", "one"]
    test_share: float | None = Field(gt=0, lt=1, description="of layout 'one': share of the images to test on")
    n_classes: int = Field(ge=2)
    n_training: int = Field(ge=1, description="training images that it had when it was measured")
    channels: Literal[1, 3]
    size: int = Field(ge=1, description="side of the square that networks see, in pixels")
    stored_size: int = Field(ge=1, description="side of the square that an image is decoded to, in pixels")
    crop: Crop
    mirror: bool
    validation_share: float = Field(gt=0, lt=1)
    mean: tuple[float, ...] = Field(description="per channel, of pixels scaled to 0…1, of training images")
    std: tuple[float, ...] = Field(description="per channel, likewise")
    in_memory: bool
    scale: str = Field(description="network sizes that were chosen for it")
