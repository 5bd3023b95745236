"""Affine resampling of image batches: bilinear, mirrored at the border, deterministic where that is asked for."""

import torch
from torch import Tensor
from torch.nn import functional

from tune_cl.nets._constants import constant


def resample(images: Tensor, source: Tensor) -> Tensor:
    """Give each output pixel the value at its source position, bilinearly; beyond the border the image is mirrored.

    torch's own kernel has no deterministic gradient on CUDA; where deterministic algorithms are demanded there, gathers
    (which have one) take its place, at about one and a half times the cost on a CPU.

    Args:
        images: (B, C, H, W) float; gradients flow through.
        source: (B, 2, 3), affine maps from output to source positions, (x, y) in pixels right of and below the centre.

    Returns:
        (B, C, H, W).
    """
    height, width = images.shape[2:]
    if images.is_cuda and torch.are_deterministic_algorithms_enabled():
        return sample_by_gathers(images, source)
    # torch's coordinates run from -1 to 1 along each side: (x, y) = (u width, v height) / 2.
    units = constant((width, height, 2), images.device, images.dtype)
    grid = functional.affine_grid(source * units / units[:2].unsqueeze(1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def sample_by_gathers(images: Tensor, source: Tensor) -> Tensor:
    """Do what `resample` does by four gathers of neighbouring pixels."""
    batch, channels, height, width = images.shape
    x = torch.arange(width, dtype=images.dtype, device=images.device) - (width - 1) / 2
    y = torch.arange(height, dtype=images.dtype, device=images.device) - (height - 1) / 2
    a, b, c = source.view(batch, 2, 3, 1, 1).unbind(2)
    positions = a * x + b * y.unsqueeze(1) + c  # (B, 2, H, W)
    left, right, x_weight = _neighbours(positions[:, 0], width)
    above, below, y_weight = _neighbours(positions[:, 1], height)
    pixels = images.flatten(2)

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        places = (rows * width + columns).view(batch, 1, -1).expand(-1, channels, -1)
        return pixels.gather(2, places).view_as(images)

    x_weight, y_weight = x_weight.unsqueeze(1), y_weight.unsqueeze(1)
    upper = torch.lerp(at(above, left), at(above, right), x_weight)
    lower = torch.lerp(at(below, left), at(below, right), x_weight)
    return torch.lerp(upper, lower, y_weight)


def _neighbours(position: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Indices before and after a position (in pixels from the centre, mirrored into range), and the second's weight."""
    wrapped = torch.remainder(position + size / 2, 2 * size)
    index = (size - 0.5 - (size - wrapped).abs()).clamp(0, size - 1)
    before = index.floor()
    weight = index - before
    before = before.long()
    return before, (before + 1).clamp(max=size - 1), weight
