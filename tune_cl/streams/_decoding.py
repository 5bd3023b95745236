"""From an image file to a square of pixels: the one place that decides what each kind of file means.

What is decoded, and how:

- JPEG, PNG, GIF, BMP, TIFF, WebP and PPM, whatever the file's name says; of several images in a file, the first.
- Colours as they are stored. Transparency and the orientation in EXIF are left out of account, as torchvision does.
- Grey, palette and CMYK images become RGB. 16 bits per channel become 8: 65,535 is 255.
- Anything else (32 bits per pixel, floating point, 16-bit grey outside PNG) is refused: its range is unknown.
"""

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tune_cl.errors import TuneCLError, readable

# Not all that Pillow knows: for EPS it would run Ghostscript.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
_EIGHT_BITS = ("1", "L", "P", "RGB", "LA", "PA", "RGBA", "La", "RGBa", "RGBX", "CMYK", "YCbCr")
_GREY = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_KINDS = {"I": "32-bit integers", "F": "floating-point numbers", "LAB": "CIELAB colours"}
_SILENT = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_LONGEST = 64  # a longer image, in units of its short side, is cut to about that before it is scaled


def decode_square(path: Path, size: int, channels: int = 3) -> NDArray[np.uint8]:
    """Decode one image as RGB or grey, resize its short side (bilinear, antialiased), cut out the central square.

    Returns:
        uint8 (size, size, channels).

    Raises:
        TuneCLError: the file is missing, no whole image, or of a kind whose pixels cannot be brought to 8 bits.
    """
    image = _without_far_ends(_rgb(path))
    if channels == 1:
        image = image.convert("L")
    width, height = image.size
    short = min(width, height)
    image = image.resize(
        (max(size, size * width // short), max(size, size * height // short)), Image.Resampling.BILINEAR
    )
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size))).reshape(size, size, channels)


def look_at(path: Path) -> tuple[int, bool]:
    """The short side of an image in pixels, and whether its file can hold colours; no pixel is decoded.

    Raises:
        TuneCLError: the file is missing, or does not begin like an image that is decoded.
    """
    try:
        with Image.open(path, formats=_FORMATS) as opened:
            return min(opened.size), opened.mode not in _GREY
    except MemoryError:
        raise
    except Exception as error:
        raise _undecodable(path, error) from None


def has_colours(path: Path) -> bool:
    """Whether any pixel of an image is other than grey.

    Raises:
        TuneCLError: as for `decode_square`.
    """
    pixels = np.asarray(_without_far_ends(_rgb(path)))
    return bool((pixels != pixels[..., :1]).any())


def silence_warnings() -> None:
    """Have this process not show what Pillow warns of.

    Its warnings are about what is not used here (damaged EXIF, transparency) or about large images, name no file, and
    would come again in every pass. What keeps an image from being decoded is an error, and is raised.
    """
    # Not `catch_warnings`: it is for one thread, and would have all other warnings shown again after each batch.
    if _SILENT not in warnings.filters:
        warnings.filterwarnings("ignore", module=_SILENT[3].pattern)


def _rgb(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=_FORMATS) as opened:
            if 0 in opened.size:
                raise ValueError("it has no pixels")
            if opened.mode in _EIGHT_BITS:
                return opened.convert("RGB")
            if opened.mode.startswith("I;16") and opened.format == "PNG":
                return _from_16_bits(opened)
            kind, mode = opened.format, opened.mode
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can fail anywhere in Pillow, with any exception
        raise _undecodable(path, error) from None
    raise _refused(
        path,
        f"a {kind} file of {_KINDS.get(mode, f'pixels of the kind {mode}')}, whose black and white are unknown; save "
        "it with 8 bits per channel (a grey PNG may have 16)",
    )


def _undecodable(path: Path, error: Exception) -> TuneCLError:
    if isinstance(error, FileNotFoundError):
        return _refused(path, "no such file; put the original there again")
    reason = " ".join(str(error).split()) or type(error).__name__
    return _refused(path, f"cannot be decoded as an image ({reason}); put the original there again")


def _refused(path: Path, why: str) -> TuneCLError:
    return TuneCLError(f"{readable(path)}: {why}")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, 0…65535, to the nearest of 0…255."""
    grey = (np.asarray(image).astype(np.uint32) + 128) // 257
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def _without_far_ends(image: Image.Image) -> Image.Image:
    """Cut an extremely long image around its centre: scaled as a whole it would grow with the square of its ratio."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    # As much at either end, and whole short sides: so the rest is scaled to the pixels that the whole would have there.
    spare = (long - _LONGEST * short) // (2 * short) * short
    if spare <= 0:
        return image
    return image.crop((spare, 0, width - spare, height) if width > height else (0, spare, width, height - spare))
