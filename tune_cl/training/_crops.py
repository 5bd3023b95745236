"""Random crops of images that are stored larger than networks see them, drawn per sample on the batch's device."""

import math

import torch
from torch import Tensor
from torch.nn import functional

_AREA = (0.08, 1.0)  # of the image; as for ImageNet in Szegedy et al. 2015 and in most code since
_ASPECT = (3 / 4, 4 / 3)
_TRIES = 10


def random_crop_and_flip(images: Tensor, size: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Cut a square out of each image at its own whole offset, and mirror each with probability one half.

    By indices, without interpolation: exact for uint8, deterministic on CUDA.

    Args:
        images: (B, C, S, S) uint8 or float.
        size: side of the squares, at most S; all offsets are equally likely.
        flip: whether to mirror left and right.
        generator: source of all draws, on the images' device. The draws do not depend on `flip`.

    Returns:
        (B, C, size, size), dtype and device of `images`.
    """
    batch, channels, height, width = images.shape
    device = images.device
    top = torch.randint(0, height - size + 1, (batch, 1), generator=generator, device=device)
    left = torch.randint(0, width - size + 1, (batch, 1), generator=generator, device=device)
    mirrored = torch.rand((batch, 1), generator=generator, device=device) < 0.5
    columns = torch.arange(size, device=device).expand(batch, size)
    if flip:
        columns = torch.where(mirrored, size - 1 - columns, columns)
    rows = torch.arange(size, device=device) + top
    places = (rows * width).unsqueeze(2) + (columns + left).unsqueeze(1)  # (B, size, size)
    cut = images.flatten(2).gather(2, places.view(batch, 1, -1).expand(-1, channels, -1))
    return cut.view(batch, channels, size, size)


def resized_crop_and_flip(images: Tensor, size: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Bring a random part of each image to a square, bilinearly, and mirror each with probability one half.

    A part has 8 to 100 % of the image's area (uniform) and an aspect of 3/4 to 4/3 (log-uniform); what does not fit is
    drawn again, up to ten times, and then the whole image is taken. Its place is uniform, in fractions of a pixel.
    There is no antialiasing: from 256 to 224 pixels a part shrinks by an eighth at most. Not to be differentiated: the
    gradient of torch's kernel is not deterministic on CUDA.

    Args:
        images: (B, C, S, S) float.
        size: side of the result.
        flip: whether to mirror left and right.
        generator: source of all draws, on the images' device. The draws do not depend on `flip`.

    Returns:
        (B, C, size, size).
    """
    batch, channels = images.shape[:2]
    width, height = _parts(batch, generator)
    place = torch.rand((2, batch), generator=generator, device=images.device)
    mirrored = torch.rand(batch, generator=generator, device=images.device) < 0.5
    # torch's coordinates run from -1 to 1 along each side.
    x, y = (1 - width) * (2 * place[0] - 1), (1 - height) * (2 * place[1] - 1)
    across = torch.where(mirrored, -width, width) if flip else width
    zero = torch.zeros_like(width)
    source = torch.stack([torch.stack([across, zero, x], 1), torch.stack([zero, height, y], 1)], 1).to(images.dtype)
    grid = functional.affine_grid(source, [batch, channels, size, size], align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _parts(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Width and height (B,) of each sample's part, as shares of the image's side."""
    draws = torch.rand((2, _TRIES, batch), generator=generator, device=generator.device)
    area = _AREA[0] + (_AREA[1] - _AREA[0]) * draws[0]
    low, high = math.log(_ASPECT[0]), math.log(_ASPECT[1])
    aspect = torch.exp(low + (high - low) * draws[1])
    width, height = (area * aspect).sqrt(), (area / aspect).sqrt()
    fits = (width <= 1) & (height <= 1)
    first = fits.long().argmax(0, keepdim=True)  # the first that fits; 0 where none does
    found = fits.any(0)
    one = torch.ones(batch, device=generator.device)
    return (
        torch.where(found, width.gather(0, first)[0], one),
        torch.where(found, height.gather(0, first)[0], one),
    )
