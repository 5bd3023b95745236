"""Which images are in which batch: a function of the place and the step alone."""

import torch
from torch import Tensor

from tune_cl.streams._place import Place


class Batches:
    """Which of n images are in the batch of a step: each epoch a permutation, its last batch filled from its start."""

    def __init__(self, n: int, batch_size: int, place: Place, purpose: str = "order") -> None:
        self._n, self._batch, self._place, self._purpose = n, batch_size, place, purpose
        self.per_epoch = -(-n // batch_size)
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def indices(self, step: int) -> Tensor:
        """Indices (batch_size,) int64 on the CPU."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            order = torch.randperm(self._n, generator=self._place.generator(self._purpose, epoch))
            short = self.per_epoch * self._batch - self._n
            self._epoch, self._order = epoch, torch.cat([order, order.repeat(-(-short // self._n))[:short]])
        return self._order[position * self._batch : (position + 1) * self._batch]
