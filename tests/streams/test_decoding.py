"""From a file to a square of pixels, against torchvision's transforms on the same decoder."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from tune_cl.errors import TuneCLError
from tune_cl.streams._decoding import decode_square


def noise(size: tuple[int, int]) -> np.ndarray:
    width, height = size
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (64, 64), (31, 200), (65, 64), (100, 33), (33, 32)])
def test_short_side_is_resized_and_the_centre_cut_out(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(noise(size)).save(path)
    expected = v2.Compose([v2.Resize(64), v2.CenterCrop(64)])(Image.open(path))
    assert np.array_equal(decode_square(path, 64), np.asarray(expected))


@pytest.mark.parametrize("size", [(1, 6000), (6000, 1), (3, 1001), (7, 500), (500, 7), (9, 2000)])
def test_an_extremely_long_image_shows_the_same_centre_in_little_memory(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "long.png"
    Image.fromarray(noise(size)).save(path)
    whole = v2.Compose([v2.Resize(64), v2.CenterCrop(64)])(Image.open(path))
    difference = np.abs(decode_square(path, 64).astype(int) - np.asarray(whole).astype(int))
    assert difference.mean() < 0.5, difference.mean()  # equal but for rounding; of other noise it is about 80


def test_the_memory_for_a_long_image_does_not_grow_with_its_ratio(tmp_path: Path) -> None:
    path = tmp_path / "long.jpg"
    Image.fromarray(noise((20_000, 1))).save(path, quality=95)
    script = (
        "import resource, sys; from pathlib import Path; from tune_cl.streams._decoding import decode_square\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "decode_square(Path(sys.argv[1]), 256)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100_000  # KiB; scaled as a whole it would be 5 GB


def grey_levels(dtype: str) -> np.ndarray:
    """(64, 64), columns 0…63: level column * 1000 + 7 of 65,535."""
    return np.tile(np.arange(64) * 1000 + 7, (64, 1)).astype(dtype)


def test_16_bits_per_channel_become_8_and_keep_their_levels(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(grey_levels("uint16")).save(path)
    with Image.open(path) as image:
        assert image.mode.startswith("I;16")
    decoded = decode_square(path, 64)
    assert np.array_equal(decoded[0, :, 0], np.round(grey_levels("uint16")[0] / 65535 * 255))
    assert np.ptp(decoded.astype(int), axis=2).max() == 0
    path.write_bytes(png_of_16_bits_in_colour(grey_levels(">u2")))
    assert np.abs(decode_square(path, 64)[0, :, 1] - grey_levels("uint16")[0] / 257).max() < 1


def png_of_16_bits_in_colour(levels: np.ndarray) -> bytes:
    """A PNG (colour type 2, 16 bits), written by the specification: Pillow reads such files, but writes none."""
    height, width = levels.shape
    rows = np.repeat(levels[..., None], 3, axis=2).reshape(height, -1)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "dtype", "words"),
    [
        ("image.tif", "int32", "a TIFF file of 32-bit integers"),
        ("image.tif", "float32", "a TIFF file of floating-point numbers"),
        ("image.tif", "uint16", "a TIFF file of pixels of the kind I;16"),
        ("image.pgm", "uint16", "a PPM file of 32-bit integers"),
    ],
)
def test_pixels_of_an_unknown_range_are_refused(tmp_path: Path, name: str, dtype: str, words: str) -> None:
    Image.fromarray(grey_levels(dtype)).save(tmp_path / name)
    path = tmp_path / "image.JPEG"  # what is in a file decides, not its name
    (tmp_path / name).rename(path)
    with pytest.raises(TuneCLError, match=rf"image\.JPEG: {words}, whose black and white are unknown; save it with 8"):
        decode_square(path, 32)


def test_transparency_and_orientation_are_left_out_of_account(tmp_path: Path) -> None:
    colours = noise((40, 40))
    alpha = noise((40, 40))[..., :1]
    Image.fromarray(np.concatenate([colours, alpha], axis=2)).save(tmp_path / "clear.png")
    assert np.array_equal(decode_square(tmp_path / "clear.png", 40), colours)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(colours).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(decode_square(tmp_path / "turned.png", 40), colours)


def test_postscript_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "image.JPEG"
    Image.fromarray(noise((40, 40))).save(path, "EPS")
    with pytest.raises(TuneCLError, match=r"image\.JPEG: cannot be decoded as an image \(cannot identify"):
        decode_square(path, 32)


def test_warnings_about_what_is_not_used_are_not_shown(tmp_path: Path) -> None:
    """In a process of its own, by all that reads files: in threads, here, and ahead of time."""
    path = tmp_path / "image.jpg"
    Image.fromarray(noise((40, 40))).save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\0" + b"\x12\x01\x03\0")
    with pytest.warns(UserWarning, match="EXIF"):
        Image.open(path).close()
    script = """
import sys; from pathlib import Path
import numpy as np, torch
from tune_cl.streams import FileImages, ImageFiles, in_turn
from tune_cl.streams._decoded import decode_all
folder = Path(sys.argv[1])
files = ImageFiles(str(folder), np.array([b"image.jpg"] * 6), 16)
decode_all(files, "these", folder)
images = FileImages(files, torch.arange(6))
for workers in (0, 1):
    print(sum(len(batch) for batch, _ in in_turn(images, 2, torch.device("cpu"), workers)))
"""
    done = subprocess.run([sys.executable, "-W", "always", "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.split() == ["6", "6"] and "EXIF" not in done.stderr and "PIL" not in done.stderr, done.stderr


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
