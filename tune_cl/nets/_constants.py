"""Tables of numbers on a device, made once: a tensor made of a list waits for the device each time."""

from functools import lru_cache

import torch
from torch import Tensor


def one_hot(labels: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:
    """(B,) int64 -> (B, n_classes) in `dtype`; torch's own function reads the labels' bounds first."""
    return (labels.unsqueeze(1) == torch.arange(n_classes, device=labels.device)).to(dtype)


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """The values (N,) as a tensor that is shared by all who ask: not to be written to."""
    with torch.inference_mode(False):  # else it could not be used in training ever after
        return torch.tensor(values, dtype=dtype, device=device)
