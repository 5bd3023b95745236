"""What every reader returns, and what a phase is given: images in memory, or images that are decoded when asked for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tune_cl.streams._files import ImageFiles


class ImageSource(Protocol):
    """Images with labels that are stream class indices, wherever the images lie.

    `labels` is int64 (N,) on the CPU; images are uint8, square where they come from files, pixels 0…255.
    """

    @property
    def labels(self) -> Tensor:
        """int64 (N,), on the CPU."""
        ...

    def __len__(self) -> int: ...

    def gather(self, index: Tensor) -> Tensor:
        """Images uint8 (B, C, H, W) at the places of `index` (B,) int64, on whatever device they lie.

        Raises:
            TuneCLError: an image file is missing or damaged.
        """
        ...

    def subset(self, index: Tensor) -> "ImageSource":
        """The source of the images at the places of `index` (M,) int64, in that order."""
        ...


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images in memory.

    Attributes:
        images: uint8 (N, C, H, W), pixels 0…255.
        labels: int64 (N,), stream class indices.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def gather(self, index: Tensor) -> Tensor:
        """Images uint8 (B, C, H, W) at the places of `index` (B,), on the images' device."""
        return self.images[index.to(self.images.device)]

    def subset(self, index: Tensor) -> "LabelledImages":
        """The images at the places of `index` (M,), copied."""
        return LabelledImages(self.gather(index), self.labels[index.to(self.labels.device)])

    def to(self, device: torch.device) -> "LabelledImages":
        """The same with its images on a device; the labels stay where they are."""
        return LabelledImages(self.images.to(device), self.labels)


@dataclass(frozen=True, eq=False)
class FileImages:
    """Images that are decoded from their files each time they are asked for.

    Attributes:
        files: the files of these images, in the order of the labels.
        labels: int64 (N,), stream class indices.
    """

    files: ImageFiles
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def gather(self, index: Tensor) -> Tensor:
        """Decode the images at the places of `index` (B,): uint8 (B, C, S, S) on the CPU, channels last in memory.

        Raises:
            TuneCLError: a file is missing or damaged.
        """
        return torch.from_numpy(self.files.decode(index.tolist())).permute(0, 3, 1, 2)

    def subset(self, index: Tensor) -> "FileImages":
        """The files at the places of `index` (M,); nothing is decoded."""
        index = index.cpu()
        return FileImages(self.files.subset(index.numpy()), self.labels[index])


def join(sources: Sequence[ImageSource]) -> ImageSource:
    """Concatenate sources of one kind; images in memory are copied, files are not decoded.

    Raises:
        TypeError: they are of different kinds.
    """
    labels = torch.cat([source.labels for source in sources])
    in_memory = [source.images for source in sources if isinstance(source, LabelledImages)]
    if len(in_memory) == len(sources):
        return LabelledImages(torch.cat(in_memory), labels)
    files = [source.files for source in sources if isinstance(source, FileImages)]
    if len(files) == len(sources):
        return FileImages(ImageFiles.join(files), labels)
    raise TypeError("sources in memory and sources of files cannot be joined")


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


@dataclass(frozen=True, eq=False)
class RawFiles:
    """A data set that lies in one file per image.

    Attributes:
        images: the files.
        labels: int64 (N,), the data set's own labels.
        class_names: by label.
        sizes: int64 (N,), of each file in bytes.
        contents: uint8 (N, 32), SHA-256 of each file; None where nobody has read them.
    """

    images: ImageFiles
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sizes: NDArray[np.int64]
    contents: NDArray[np.uint8] | None = None

    def fingerprint(self) -> str:
        """SHA-256 over the sorted list of (relative path, size, label), in hex; and the contents if they were read."""
        rows = zip(self.images.paths.tolist(), self.sizes.tolist(), self.labels.tolist(), strict=True)
        digest = hashlib.sha256(b"path size label\n")
        if self.contents is not None:
            digest.update(np.ascontiguousarray(self.contents[np.argsort(self.images.paths, kind="stable")]).data)
        for path, size, label in sorted(rows):
            digest.update(b"%s\0%d\0%d\n" % (path, size, label))
        return digest.hexdigest()
