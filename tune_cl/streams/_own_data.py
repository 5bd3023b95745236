"""Your own images as a data set: what is asked of a folder, what is measured of it, and which networks fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from tune_cl.errors import TuneCLError, shown
from tune_cl.records import (
    Crop,
    ImageFolder,
    Record,
    StreamRecord,
    describe_validation,
    given_path,
    parse_yaml,
    read_text,
    stream_form,
)
from tune_cl.streams._cache import cache_folder
from tune_cl.streams._decoded import decode_all
from tune_cl.streams._decoding import has_colours, look_at, silence_warnings
from tune_cl.streams._folder import FolderHalf, layout_of, read_folder
from tune_cl.streams._images import RawFiles
from tune_cl.streams._names import dataset_of
from tune_cl.streams._registry import DATASETS, check_dataset_name, find_dataset

Source = str | Path | Mapping[str, Any]

_LOOKED_AT = 5_000  # images whose sizes are looked at
_IN_COLOUR = 200  # images that are decoded to see whether files that can hold colours do
_MEASURED = 2_000  # images that mean and std are of where not all are in memory
_IN_MEMORY = 2 * 2**30  # bytes of decoded images
_SMALL, _GREY_SMALL = 100, 32  # pixels of the short side
_MANY = 100_000  # images of a data set like ImageNet
_SIZES = {"small28": 28, "small32": 32, "cifar": 32, "cub": 224, "imagenet": 224}  # that scales are made for
_CROPS: dict[str, Crop] = {"cub": "random", "imagenet": "resized"}


class FolderSettings(Record):
    """What may be said of a folder of images; what is left out is measured or chosen."""

    folder: str = Field(description="of images per class; relative to the file that this stands in")
    size: int | None = Field(None, ge=8, le=1024, description="side of the square that networks see, in pixels")
    channels: int | None = Field(None, ge=1, le=3, description="1 for grey, 3 for colour")
    mirror: bool = Field(False, description="show half of the training images mirrored left to right")
    crop: Crop | None = Field(None, description="what part of an image training shows")
    validation_share: float = Field(0.2, gt=0, lt=1, description="of each class's training images")
    test_share: float | None = Field(None, gt=0, lt=1, description="of a folder without train/ and test/")
    in_memory: bool | None = Field(None, description="whether the decoded images fit into memory")


@dataclass(frozen=True)
class OwnData:
    """A folder of images, measured.

    Attributes:
        name: of the data set.
        folder: what a stream's record says of it.
        sentence: the same for a person, with what was chosen and why.
    """

    name: str
    folder: ImageFolder
    sentence: str


def own_data(
    name: str,
    source: Source,
    *,
    scale: str | None = None,
    gpu: bool = False,
    only_look: bool = False,
) -> OwnData:
    """Measure a folder of images per class.

    Args:
        name: of the data set: letters, digits and `_`.
        source: the folder; or a YAML file of settings, `folder` among them; or the settings.
        scale: network sizes that are asked for; None: what fits is chosen.
        gpu: there is one to train on.
        only_look: nothing is kept for later commands.

    Raises:
        TuneCLError: the name is taken or unfit, a setting cannot be, or the images are not in order.
    """
    where = f"data set {name}"
    check_dataset_name(name, f"data set {shown(name)}")
    if name in DATASETS:
        raise TuneCLError(f"{where}: is the name of a data set that tune_cl knows already; give yours another name")
    settings = _settings(source, where)
    folder = given_path(settings.folder, where).absolute()
    half = FolderHalf(folder, layout_of(folder), settings.test_share or 0.2, "train")
    if half.layout == "two" and settings.test_share is not None:
        raise TuneCLError(f"{where}: test_share: {folder} has train/ and test/ already; leave the setting out")
    raw = read_folder(half, remember=not only_look)
    short_side, in_colour = _look(raw)
    channels = settings.channels or (3 if in_colour else 1)
    if channels == 2:
        raise TuneCLError(f"{where}: channels: 2 is neither 1, for grey, nor 3, for colour")
    chosen = scale or _fitting(short_side, len(raw.labels), channels, gpu)
    size = settings.size or _SIZES.get(chosen) or _SIZES["small32"]
    crop = settings.crop or _CROPS.get(chosen, "shift")
    stored = round(size * 8 / 7) if crop in ("random", "resized") else size
    n_bytes = len(raw.labels) * channels * stored**2
    in_memory = n_bytes <= _IN_MEMORY if settings.in_memory is None else settings.in_memory
    pixels = _pixels(name, raw, channels, stored, in_memory, None if only_look else cache_folder(folder))
    mean, std = _mean_and_std(pixels, where)
    about = ImageFolder(
        folder=str(folder),
        layout=half.layout,
        test_share=half.test_share if half.layout == "one" else None,
        n_classes=len(raw.class_names),
        n_training=len(raw.labels),
        channels=1 if channels == 1 else 3,
        size=size,
        stored_size=stored,
        crop=crop,
        mirror=settings.mirror,
        validation_share=settings.validation_share,
        mean=mean,
        std=std,
        in_memory=in_memory,
        scale=chosen,
    )
    return OwnData(name, about, _sentence(name, about, raw, short_side, asked=scale is not None, gpu=gpu))


def with_own_data(
    record: StreamRecord,
    sources: Mapping[str, Source],
    *,
    scale: str | None = None,
    gpu: bool = False,
    only_look: bool = False,
) -> tuple[StreamRecord, str]:
    """The record of a stream with what is to be known of its data set, where that is one of some folders.

    Where the record describes a folder already, only the place is taken from the sources: its settings and what was
    measured of it belong to what was trained on it.

    Args:
        record: of the stream.
        sources: by name of the data set; see `own_data`.
        scale: as for `own_data`.
        gpu: there is one to train on, whether this machine has one or not.
        only_look: as for `own_data`.

    Returns:
        The record, and what was measured and chosen, for a person; empty where that is nothing new.

    Raises:
        TuneCLError: the data set is unknown, or as for `own_data`.
    """
    name = dataset_of(record.name)
    if name not in sources:
        if record.folder is None:
            find_dataset(name, f"stream {shown(record.name)}: ", sources)
        return record, ""
    if record.folder is not None:
        place = str(given_path(_settings(sources[name], f"data set {name}").folder, f"data set {name}").absolute())
        return record.model_copy(update={"folder": record.folder.model_copy(update={"folder": place})}), ""
    own = own_data(name, sources[name], scale=scale, gpu=gpu or torch.cuda.is_available(), only_look=only_look)
    return record.model_copy(update={"folder": own.folder}), own.sentence


def unmeasured(name: str, folder: str, scale: str) -> ImageFolder:
    """What a record says of a folder that lies on another machine, as far as a stream's name tells."""
    form = stream_form(name)
    assert form is not None
    return ImageFolder(
        folder=folder,
        layout="two",
        test_share=None,
        n_classes=max(2, form.base + form.increments),
        n_training=1,
        channels=3,
        size=32,
        stored_size=32,
        crop="shift",
        mirror=False,
        validation_share=0.2,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        in_memory=True,
        scale=scale,
    )


def _settings(source: Source, where: str) -> FolderSettings:
    if isinstance(source, Mapping):
        return _validated(source, where)
    path = given_path(source, where)
    if not path.is_file():
        return FolderSettings(folder=str(path))
    content = parse_yaml(read_text(path), str(path))
    if not isinstance(content, Mapping):
        raise TuneCLError(f"{path}: not a mapping of `key: value` lines; write `folder: DIR` and what else is to hold")
    settings = _validated(content, str(path))
    return settings.model_copy(update={"folder": str(path.parent / Path(settings.folder).expanduser())})


def _validated(content: Mapping[str, Any], where: str) -> FolderSettings:
    try:
        return FolderSettings.model_validate({**content, **_as_text(content)}, strict=True)
    except ValidationError as error:
        raise TuneCLError(f"{where}: {describe_validation(error, model=FolderSettings)}") from None


def _as_text(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"folder": str(content["folder"])} if isinstance(content.get("folder"), Path) else {}


def _fitting(short_side: int, n_images: int, channels: int, gpu: bool) -> str:
    """The scale whose networks fit such images on such a machine."""
    if short_side < _SMALL:
        if channels == 1 and short_side <= _GREY_SMALL:
            return "small28"
        return "cifar" if gpu else "small32"
    if not gpu:
        return "small32"
    return "imagenet" if n_images >= _MANY else "cub"


def _look(raw: RawFiles) -> tuple[int, bool]:
    """The median of the images' short sides, and whether any image has colours; of large data, of some of them."""
    silence_warnings()
    places = _some(len(raw.labels), _LOOKED_AT)
    looked = [look_at(raw.images.path(place)) for place in places]
    doubtful = [place for place, (_, may_have_colours) in zip(places, looked, strict=True) if may_have_colours]
    in_colour = any(has_colours(raw.images.path(doubtful[i])) for i in _some(len(doubtful), _IN_COLOUR))
    return int(np.median([side for side, _ in looked])), in_colour


def _some(n: int, most: int) -> list[int]:
    """All of n places, or `most` of them at equal distances."""
    return list(range(n)) if n <= most else [i * n // most for i in range(most)]


def _pixels(
    name: str, raw: RawFiles, channels: int, stored: int, in_memory: bool, cache: Path | None
) -> NDArray[np.uint8]:
    """Decoded training images, or some of them: uint8 (N, C, S, S)."""
    files = type(raw.images)(raw.images.folder, raw.images.paths, stored, channels)
    if in_memory and cache is not None:
        return decode_all(files, f"{name}-{raw.fingerprint()[:16]}", cache)
    return files.decode(_some(len(files), _MEASURED)).transpose(0, 3, 1, 2)


def _mean_and_std(pixels: NDArray[np.uint8], where: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, of pixels scaled to 0…1, to four decimals; from counts of each value, so that nothing is rounded."""
    values = np.arange(256) / 255
    mean, std = [], []
    for channel in range(pixels.shape[1]):
        counts = sum(np.bincount(part[channel].ravel(), minlength=256) for part in pixels) / pixels[:, channel].size
        mean.append(round(float(counts @ values), 4))
        std.append(round(float(np.sqrt(counts @ (values - counts @ values) ** 2)), 4))
    if not any(std):
        raise TuneCLError(f"{where}: all training images are of one and the same colour; there is nothing to learn")
    return tuple(mean), tuple(value or 1.0 for value in std)


def _sentence(name: str, about: ImageFolder, raw: RawFiles, short_side: int, *, asked: bool, gpu: bool) -> str:
    counts = np.bincount(raw.labels)
    each = f"{counts[0]}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    machine = "" if asked or gpu or about.scale == "small28" else ", since there is no GPU here"
    part = "" if about.layout == "two" else f"; {about.test_share:.0%} of its images are left to test on"
    return (
        f"{name}: {about.n_training} training images of {about.n_classes} classes ({each} in each), "
        f"{'grey' if about.channels == 1 else 'colour'}, about {short_side} pixels{part}. Networks see {about.size} x "
        f"{about.size} pixels{', mirrored or not' if about.mirror else ', never mirrored'}, at scale {about.scale}"
        f"{machine}" + ("." if asked else " (--scale names another; a file of settings changes the rest).")
    )
