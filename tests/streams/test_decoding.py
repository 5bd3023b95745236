"""From a file to a square of pixels, against torchvision's transforms on the same decoder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from tune_cl.errors import TuneCLError
from tune_cl.streams._files import decode_square


def noise(size: tuple[int, int]) -> np.ndarray:
    width, height = size
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (64, 64), (31, 200), (65, 64), (100, 33), (33, 32)])
def test_short_side_is_resized_and_the_centre_cut_out(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(noise(size)).save(path)
    expected = v2.Compose([v2.Resize(64), v2.CenterCrop(64)])(Image.open(path))
    assert np.array_equal(decode_square(path, 64), np.asarray(expected))


def test_grey_palette_and_cmyk_images_become_rgb(tmp_path: Path) -> None:
    grey = Image.fromarray(noise((40, 40))).convert("L")
    for mode, suffix in (("L", "png"), ("P", "png"), ("CMYK", "jpg"), ("RGBA", "png")):
        path = tmp_path / f"image_{mode}.{suffix}"
        grey.convert(mode).save(path)
        assert decode_square(path, 32).shape == (32, 32, 3)
    assert np.ptp(decode_square(tmp_path / "image_L.png", 32).astype(int), axis=2).max() == 0


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    with pytest.raises(TuneCLError, match=r"image\.jpg: no such file"):
        decode_square(path, 8)
    path.mkdir()
    with pytest.raises(TuneCLError, match=r"image\.jpg: cannot be decoded as an image \(.*directory"):
        decode_square(path, 8)
