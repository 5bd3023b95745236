"""From uint8 images to what networks see, on the device: normalisation, valid pixels, the central crop, sizes."""

import torch
from torch import Tensor
from torch.nn import functional

from tune_cl.streams._datasets import Preprocessing


class Pixels:
    """Normalised pixel space of a data set on a device."""

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        self.preprocessing = preprocessing
        self._mean = torch.tensor(preprocessing.mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(preprocessing.std, device=device).view(1, -1, 1, 1)
        self.black = (0 - self._mean) / self._std  # (1, C, 1, 1)
        self.white = (1 - self._mean) / self._std  # (1, C, 1, 1)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> float32, per channel (x / 255 - mean) / std."""
        return (images.float() / 255 - self._mean) / self._std

    def see(self, images: Tensor) -> Tensor:
        """uint8 images as stored (B, C, S, S) -> what networks see of them in evaluation: normalised central square."""
        return self.normalise(self.centre(images))

    def centre(self, images: Tensor) -> Tensor:
        """The central square of the seen size, of images as stored in any pixel space; all of it where that is all."""
        size = self.preprocessing.seen_size
        if size is None or size == images.shape[-1]:
            return images
        top, left = (images.shape[-2] - size) // 2, (images.shape[-1] - size) // 2
        return images[..., top : top + size, left : left + size]

    def clamp(self, images: Tensor) -> Tensor:
        """Cut normalised images to the range of valid pixels."""
        return torch.minimum(torch.maximum(images, self.black), self.white)

    def to_bytes(self, images: Tensor) -> Tensor:
        """Normalised float images -> uint8, clamped and rounded."""
        return ((images * self._std + self._mean).clamp(0, 1) * 255).round().to(torch.uint8)


def resize(images: Tensor, size: int) -> Tensor:
    """Bring square images (B, C, S, S) float to another size, bilinearly; antialiased where they shrink."""
    side = images.shape[-1]
    if side == size:
        return images
    return functional.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=size < side)
