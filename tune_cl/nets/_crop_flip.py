"""Random crops of a padded image and mirror images, drawn per sample on the batch's device."""

import torch
from torch import Tensor


def crop_and_flip(
    images: Tensor, padding: int, flip: bool, generator: torch.Generator, fill: Tensor | float = 0.0
) -> Tensor:
    """Shift each image by its own whole offset within `padding`, and mirror each with probability one half.

    By indices, without interpolation: exact for uint8, and deterministic on CUDA in both directions, because no two
    output pixels read the same source pixel.

    Args:
        images: (B, C, H, W) uint8 or float, differentiable.
        padding: largest offset in pixels, in each direction; offsets are uniform over 2 * padding + 1 values.
        flip: whether to mirror left and right.
        generator: source of all draws, on the images' device. The draws do not depend on `flip`.
        fill: value of what is uncovered, in the space of `images`: one number or (C,). A black pixel is 0 in bytes and
            (0 - mean) / std where images are normalised.

    Returns:
        (B, C, H, W), dtype and device of `images`; `images` itself if there is nothing to do.
    """
    if padding == 0 and not flip:
        return images
    batch, channels, height, width = images.shape
    device = images.device
    offsets = torch.randint(0, 2 * padding + 1, (2, batch, 1), generator=generator, device=device)
    mirrored = torch.rand((batch, 1), generator=generator, device=device) < 0.5
    columns = torch.arange(width, device=device).expand(batch, width)
    if flip:
        columns = torch.where(mirrored, width - 1 - columns, columns)
    rows = torch.arange(height, device=device) + offsets[0]
    places = (rows * (width + 2 * padding)).unsqueeze(2) + (columns + offsets[1]).unsqueeze(1)  # (B, H, W)
    canvas = _pad(images, padding, fill).flatten(2)
    return canvas.gather(2, places.view(batch, 1, -1).expand(-1, channels, -1)).view_as(images)


def _pad(images: Tensor, padding: int, fill: Tensor | float) -> Tensor:
    batch, channels, height, width = images.shape
    colour = torch.as_tensor(fill, dtype=images.dtype, device=images.device).reshape(-1, 1, 1)
    canvas = colour.expand(batch, channels, height + 2 * padding, width + 2 * padding).clone(
        memory_format=torch.contiguous_format
    )
    canvas[:, :, padding : padding + height, padding : padding + width] = images
    return canvas
