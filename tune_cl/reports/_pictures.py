"""Replayed images beside real ones, as a page embeds them."""

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from pydantic import Field

from tune_cl.records import ClassesRecord, Record, SearchFolder
from tune_cl.reports._models import TrialData

GAP = 2  # pixels between two images of a grid
COLUMNS = 8  # replayed images of a class
_LARGEST = 64  # pixels of an image's edge
_CLASSES = 12  # of an increment that are shown, from the first to the last


class ClassPictures(Record):
    """Images of one class, each row as a `data:` address of a PNG or JPEG."""

    name: str
    real: str | None
    replayed: str
    width: int = Field(description="of a row of images in pixels")
    height: int


class ReplayPictures(Record):
    """What a trial replays after an increment."""

    trial: int
    increment: int
    classes: list[ClassPictures]
    left_out: int = Field(description="classes that were replayed and are not shown")


def pictures(folder: SearchFolder, known: ClassesRecord | None, trials: Sequence[TrialData]) -> list[ReplayPictures]:
    """The replayed images of some trials, beside real ones of the same classes."""
    real = dict(_real_rows(folder, known))
    shown = {trial.trial: trial for trial in trials}.values()
    found = (_replayed(folder, known, real, trial.trial, t) for trial in shown for t in range(len(trial.by_increment)))
    return [grid for grid in found if grid is not None]


def _replayed(
    folder: SearchFolder, known: ClassesRecord | None, real: dict[int, Image.Image], trial: int, t: int
) -> ReplayPictures | None:
    grid = _opened(folder.trial(trial).replay_grid(t))
    if grid is None:
        return None
    edge = (grid.width + GAP) // COLUMNS - GAP
    rows = list(_rows(grid, edge))
    seen = sum(known.increments[: t + 1]) if known is not None else len(rows)
    labels = _spread(seen, len(rows))  # which classes a generator's preview is of, where they are many
    chosen = _spread(len(rows), min(_CLASSES, len(rows)))
    return ReplayPictures(
        trial=trial,
        increment=t,
        classes=[_class(known, labels[i], rows[i], real.get(labels[i])) for i in chosen],
        left_out=seen - len(chosen),
    )


def _class(known: ClassesRecord | None, label: int, row: Image.Image, real: Image.Image | None) -> ClassPictures:
    name = known.names[label] if known is not None and label < len(known.names) else f"class {label}"
    row = _small(row)
    address = None if real is None else _address(_small(real))
    return ClassPictures(name=name, real=address, replayed=_address(row), width=row.width, height=row.height)


def _real_rows(folder: SearchFolder, known: ClassesRecord | None) -> Iterator[tuple[int, Image.Image]]:
    grid = _opened(folder.real_images)
    if grid is not None and known is not None and known.pictured:
        edge = (grid.height + GAP) // len(known.pictured) - GAP
        yield from zip(known.pictured, _rows(grid, edge), strict=False)


def _opened(path: Path) -> Image.Image | None:
    """An image; None where there is none, or it is being written."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (FileNotFoundError, UnidentifiedImageError, OSError):
        return None


def _rows(grid: Image.Image, edge: int) -> Iterator[Image.Image]:
    for y in range(0, grid.height - edge + 1, edge + GAP):
        yield grid.crop((0, y, grid.width, y + edge))


def _small(row: Image.Image) -> Image.Image:
    if row.height <= _LARGEST:
        return row
    return row.resize((round(row.width * _LARGEST / row.height), _LARGEST), Image.Resampling.LANCZOS)


def _address(image: Image.Image) -> str:
    buffer = io.BytesIO()
    photograph = image.mode == "RGB" and image.height > 32
    image.save(buffer, *(("JPEG",) if photograph else ("PNG",)), optimize=True)
    kind = "jpeg" if photograph else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _spread(many: int, few: int) -> list[int]:
    """A few places out of many, from the first to the last."""
    return [round(i * (many - 1) / max(1, few - 1)) for i in range(few)]
