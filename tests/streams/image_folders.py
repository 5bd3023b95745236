"""Writers of folders of images per class; independent of the readers."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def letter(character: str, rng: np.random.Generator, side: int = 28, colour: bool = False) -> Image.Image:
    """A letter, somewhere, on a ground that is nearly dark; no two are equal."""
    ground = rng.integers(0, 60, (side + 6, side, 3 if colour else 1), dtype=np.uint8)
    image = Image.fromarray(ground if colour else ground[..., 0])
    place = tuple(map(int, rng.integers(0, max(side - 18, 1), 2)))
    ImageDraw.Draw(image).text(place, character, fill=(250, 240, 90) if colour else 255, font_size=20)
    return image


def write_class(folder: Path, n: int, rng: np.random.Generator, side: int = 28, colour: bool = False) -> None:
    """So many images of the letter that the folder is called after: PNG, in colour every other one JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        suffix = "jpg" if colour and i % 2 else "png"
        letter(folder.name[0], rng, side, colour).save(folder / f"{i:03d}.{suffix}")


def write_folder(
    root: Path, classes: str = "ABEK", training: int = 12, test: int = 6, side: int = 28, colour: bool = False
) -> Path:
    """`train/` and `test/`, uneven: each class has two training images more than the one before."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(classes):
        write_class(root / "train" / name, training + 2 * i, rng, side, colour)
        write_class(root / "test" / name, test, rng, side, colour)
    return root


def write_undivided(root: Path, classes: str = "ABEK", n: int = 40, colour: bool = False) -> Path:
    """Folders of classes alone."""
    rng = np.random.default_rng(0)
    for name in classes:
        write_class(root / name, n, rng, colour=colour)
    return root
