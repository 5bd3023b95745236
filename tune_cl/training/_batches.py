"""Batches of real images on the device, augmented as the stream says."""

import torch
from torch import Tensor

from tune_cl.methods import PhaseContext, PhaseData
from tune_cl.nets import crop_and_flip
from tune_cl.streams import Batches, Feed, ImageSource, LabelledImages, Pixels, StepIndices
from tune_cl.training._crops import random_crop_and_flip, resized_crop_and_flip

__all__ = ["Augment", "RealBatches", "StepIndices", "fed", "shuffled"]


def fed(images: ImageSource, batches: StepIndices, context: PhaseContext) -> Feed:
    """A feed on the phase's device, closed when the phase has ended."""
    feed = Feed(images, batches, context.device, context.loader_workers)
    context.closing.callback(feed.close)
    return feed


def shuffled(images: ImageSource, batch_size: int, context: PhaseContext) -> Batches:
    """Each epoch a permutation, drawn on the CPU and brought to where the images are, so that no step waits for it."""
    device = context.device if isinstance(images, LabelledImages) else torch.device("cpu")
    return Batches(len(images), batch_size, context.random_key, device=device)


class RealBatches:
    """Batches of real images on the device, cropped and flipped, each sample on its own."""

    def __init__(
        self,
        images: ImageSource,
        batch_size: int,
        data: PhaseData,
        context: PhaseContext,
        batches: StepIndices | None = None,
    ) -> None:
        self._feed = fed(images, batches or shuffled(images, batch_size, context), context)
        self._augment = Augment(data, context)
        self._pixels = self._augment.pixels

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Normalised augmented images (B, C, H, W) float32 and labels (B,) of a step."""
        images, labels = self._feed.at(step)
        return self._augment(self._pixels.normalise(images), "augment", step), labels


class Augment:
    """The stream's own augmentation in normalised pixel space: a crop of images as stored, and mirror images."""

    def __init__(self, data: PhaseData, context: PhaseContext) -> None:
        self.pixels = Pixels(data.preprocessing, context.device)
        self._preprocessing, self._size, self._context = data.preprocessing, data.image_shape[1], context

    def __call__(self, images: Tensor, purpose: str, step: int) -> Tensor:
        """Augment a batch; the draws depend on the key, the purpose and the step only."""
        random = self._context.random_key.rng(purpose, step, self._context.device)
        padding, flip = self._preprocessing.crop_padding, self._preprocessing.flip
        if self._preprocessing.crop == "random":
            return random_crop_and_flip(images, self._size, flip, random)
        if self._preprocessing.crop == "resized":
            return resized_crop_and_flip(images, self._size, flip, random)
        return crop_and_flip(self.pixels.centre(images), padding, flip, random, fill=self.pixels.black.flatten())
