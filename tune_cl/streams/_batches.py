"""Which images are in which batch: a function of the key and the step alone."""

from typing import Protocol

import torch
from torch import Tensor

from tune_cl.streams._random_key import RandomKey


class StepIndices(Protocol):
    """Which images are in the batch of a step: a function of the step alone, asked for in any order."""

    def indices(self, step: int) -> Tensor:
        """Indices (batch,) int64; none where there is no such step."""


class Batches:
    """Which of n images are in the batch of a step: each epoch a permutation, its last batch filled from its start.

    The permutation is drawn on the CPU, whatever the `device` that it is brought to.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        key: RandomKey,
        purpose: str = "order",
        device: torch.device | str = "cpu",
    ) -> None:
        self._device = device
        self._n, self._batch, self._key, self._purpose = n, batch_size, key, purpose
        self.per_epoch = -(-n // batch_size)
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def indices(self, step: int) -> Tensor:
        """Indices (batch_size,) int64 on the device."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            order = torch.randperm(self._n, generator=self._key.rng(self._purpose, epoch))
            short = self.per_epoch * self._batch - self._n
            self._epoch, self._order = (
                epoch,
                torch.cat([order, order.repeat(-(-short // self._n))[:short]]).to(self._device),
            )
        return self._order[position * self._batch : (position + 1) * self._batch]


class InTurn:
    """All of n images once, in their order, so many at a time."""

    def __init__(self, n: int, batch_size: int) -> None:
        self._n, self._batch = n, batch_size
        self.steps = -(-n // batch_size)

    def indices(self, step: int) -> Tensor:
        """Indices (batch_size or fewer,) int64 on the CPU; none after the last image."""
        return torch.arange(step * self._batch, max(step * self._batch, min((step + 1) * self._batch, self._n)))


class ClassUniform:
    """Which images are in a batch where each class is as likely as any other, with replacement.

    Args:
        labels: (N,) int64, in any order; a class without an image is left out.
        batch_size: of each step.
        key: where random numbers are drawn.
        purpose: what for.
        device: of the draws and the indices.
    """

    def __init__(
        self, labels: Tensor, batch_size: int, key: RandomKey, purpose: str, device: torch.device | str = "cpu"
    ) -> None:
        counts = torch.bincount(labels)
        self._order = torch.argsort(labels, stable=True).to(device)
        self._present = torch.nonzero(counts).flatten().to(device)
        self._counts, self._starts = counts.to(device), (counts.cumsum(0) - counts).to(device)
        self._batch, self._key, self._purpose, self._device = batch_size, key, purpose, device

    def indices(self, step: int) -> Tensor:
        """Indices (batch_size,) int64: of a class drawn uniformly, an image drawn uniformly."""
        random = self._key.rng(self._purpose, step, self._device)
        drawn = torch.randint(len(self._present), (self._batch,), generator=random, device=self._device)
        share = torch.rand(self._batch, generator=random, device=self._device)
        labels = self._present[drawn]
        within = (share * self._counts[labels]).long().minimum(self._counts[labels] - 1)
        return self._order[self._starts[labels] + within]
