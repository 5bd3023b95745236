"""Where replayed images come from: a generator, or (for the oracle) the real past."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tune_cl.nets import Generator
from tune_cl.streams import ClassUniform, Feed, ImageSource, LabelledImages, Pixels, RandomKey, resize


@dataclass(frozen=True)
class Replayed:
    """A replayed batch in normalised pixel space."""

    images: Tensor  # (B, C, S, S) float32, within the range of valid pixels, as stored: neither augmented nor cropped;
    # or features
    labels: Tensor  # (B,) int64, stream class indices of old classes


class ReplaySource(Protocol):
    """Draws images of old classes, the class uniform over all of them."""

    def draw(self, n: int, purpose: str, step: int) -> Replayed:
        """Draw a batch; the draw depends on the key, the purpose and the step only."""
        ...


class GeneratorReplay:
    """Images x = G(z, y), y uniform over all old classes, clamped to valid pixels (Genifer, classifier phase).

    Args:
        generator: frozen, on the device.
        n_old: old classes.
        pixels: the pixel space on the device.
        key: where in the chain.
        device: of all draws.
        size: side that images are brought to, bilinearly: the stream's, before a crop; None: as the generator has them.
    """

    def __init__(
        self,
        generator: Generator,
        n_old: int,
        pixels: Pixels,
        key: RandomKey,
        device: torch.device,
        size: int | None = None,
    ) -> None:
        self._generator, self._n_old, self._pixels, self._key = generator, n_old, pixels, key
        self._device, self._size = device, size or generator.shape.image_shape[1]

    @torch.no_grad()
    def draw(self, n: int, purpose: str, step: int) -> Replayed:
        """Generate a batch of n images."""
        random = self._key.rng(purpose, step, self._device)
        images, labels = generated(self._generator, n, self._n_old, random)
        return Replayed(self._pixels.clamp(resize(images, self._size)), labels)


class FeatureReplay:
    """Features f = max(0, G(z, y)), y uniform over all old classes, for a stage that ends in a ReLU (feature replay).

    Args:
        generator: frozen, on the device; makes features.
        n_old: old classes.
        key: where in the chain.
        device: of all draws.
    """

    def __init__(self, generator: Generator, n_old: int, key: RandomKey, device: torch.device) -> None:
        self._generator, self._n_old, self._key, self._device = generator, n_old, key, device

    @torch.no_grad()
    def draw(self, n: int, purpose: str, step: int) -> Replayed:
        """Generate a batch of n features."""
        random = self._key.rng(purpose, step, self._device)
        features, labels = generated(self._generator, n, self._n_old, random)
        return Replayed(features.clamp(min=0), labels)


def generated(generator: Generator, n: int, n_old: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """What a generator makes of n draws, and their labels, uniform over the old classes."""
    labels = torch.randint(n_old, (n,), generator=random, device=random.device)
    latents = generator.draw_latents(n, random)
    return generator(latents, labels, generator.draw_noise(n, random)), labels


class OracleReplay:
    """Real images of the past: Genifer with only the source exchanged. A control, not a method: it keeps all data.

    Args:
        past: images of all old classes.
        pixels: the pixel space on the device.
        key: where in the chain.
        device: of all draws.
        workers: processes that decode image files ahead.
    """

    def __init__(
        self,
        past: ImageSource,
        pixels: Pixels,
        key: RandomKey,
        device: torch.device,
        workers: int = 0,
    ) -> None:
        self._past: ImageSource = past.to(device) if isinstance(past, LabelledImages) else past
        self._pixels, self._key, self._device, self._workers = pixels, key, device, workers
        self._feeds: dict[tuple[int, str], Feed] = {}

    def draw(self, n: int, purpose: str, step: int) -> Replayed:
        """Draw n real images: a class uniformly, then one of its images uniformly."""
        if (n, purpose) not in self._feeds:
            places = ClassUniform(self._past.labels, n, self._key, purpose, self._device)
            self._feeds[n, purpose] = Feed(self._past, places, self._device, self._workers)
        images, labels = self._feeds[n, purpose].at(step)
        return Replayed(self._pixels.normalise(images), labels)

    def close(self) -> None:
        """End the workers."""
        for feed in self._feeds.values():
            feed.close()
