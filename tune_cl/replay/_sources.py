"""Where replayed images come from: a generator, or (for the oracle) the real past."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tune_cl.nets import Generator
from tune_cl.streams import LabelledImages, Pixels, Place


@dataclass(frozen=True)
class Replayed:
    """A replayed batch in normalised pixel space."""

    images: Tensor  # (B, C, H, W) float32, within the range of valid pixels, not augmented
    labels: Tensor  # (B,) int64, stream class indices of old classes


class ReplaySource(Protocol):
    """Draws images of old classes, the class uniform over all of them."""

    def draw(self, n: int, purpose: str, step: int) -> Replayed:
        """Draw a batch; the draw depends on the place, the purpose and the step only."""
        ...


class GeneratorReplay:
    """Images x = G(z, y), y uniform over all old classes, clamped to valid pixels (Genifer, classifier phase)."""

    def __init__(self, generator: Generator, n_old: int, pixels: Pixels, place: Place, device: torch.device) -> None:
        self._generator, self._n_old, self._pixels, self._place = generator, n_old, pixels, place
        self._device = device

    @torch.no_grad()
    def draw(self, n: int, purpose: str, step: int) -> Replayed:
        """Generate a batch of n images."""
        random = self._place.generator(purpose, step, self._device)
        labels = torch.randint(self._n_old, (n,), generator=random, device=self._device)
        latents = self._generator.draw_latents(n, random)
        images = self._generator(latents, labels, self._generator.draw_noise(n, random))
        return Replayed(self._pixels.clamp(images), labels)


class OracleReplay:
    """Real images of the past: Genifer with only the source exchanged. A control, not a method: it keeps all data."""

    def __init__(self, past: LabelledImages, n_old: int, pixels: Pixels, place: Place, device: torch.device) -> None:
        order = torch.argsort(past.labels, stable=True)
        self._images = past.images[order].to(device)
        self._counts = torch.bincount(past.labels, minlength=n_old).to(device)
        self._starts = self._counts.cumsum(0) - self._counts
        self._n_old, self._pixels, self._place, self._device = n_old, pixels, place, device

    def draw(self, n: int, purpose: str, step: int) -> Replayed:
        """Draw n real images: a class uniformly, then one of its images uniformly."""
        random = self._place.generator(purpose, step, self._device)
        labels = torch.randint(self._n_old, (n,), generator=random, device=self._device)
        share = torch.rand(n, generator=random, device=self._device)
        within = (share * self._counts[labels]).long().minimum(self._counts[labels] - 1)
        images = self._images[self._starts[labels] + within]
        return Replayed(self._pixels.normalise(images), labels)
