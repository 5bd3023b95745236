"""The precision in which every loss is computed."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Raise integers and half precision to float32; float32 and float64 pass unchanged.

    Exponentials, logarithms and sums of squares leave the range of float16 and the resolution of bfloat16.
    """
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
