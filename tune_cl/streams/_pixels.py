"""From uint8 images to what networks see, on the device: normalisation, and the range of valid pixels after it."""

import torch
from torch import Tensor

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

    def clamp(self, images: Tensor) -> Tensor:
        """Cut normalised images to the range of valid pixels."""
        return torch.minimum(torch.maximum(images, self.black), self.white)

    def to_bytes(self, images: Tensor) -> Tensor:
        """Normalised float images -> uint8, clamped and rounded."""
        return ((images * self._std + self._mean).clamp(0, 1) * 255).round().to(torch.uint8)
