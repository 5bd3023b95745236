"""Decoded data: what every reader returns, and what a phase is given."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images of one increment, with labels that are stream class indices.

    Attributes:
        images: uint8 (N, C, H, W), pixels 0…255.
        labels: int64 (N,).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class RawImages:
    """A decoded file or set of files.

    Attributes:
        images: uint8 (N, C, H, W), contiguous.
        labels: int64 (N,), the data set's own labels.
        class_names: by label.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    def fingerprint(self) -> str:
        """SHA-256 over shape, pixels and labels as read, in hex; equal for equal data in whatever file format."""
        digest = hashlib.sha256(f"uint8 {self.images.shape} int64".encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()
