"""Vectors of length one, as cosine heads and the losses on features and maps need them."""

import torch
from torch import Tensor

from tune_cl.losses._precision import at_least_float32

_SHORTEST = 1e-12  # a vector below this length counts as zero


def unit_vectors(vectors: Tensor, dim: int = -1) -> Tensor:
    """Divide vectors by their L2 norm; a zero vector stays zero.

    The gradient is finite everywhere: a zero vector (dead features) passes it on unchanged, where a division by a
    tiny bound would multiply it by that bound's inverse.

    Args:
        vectors: (..., D, ...), any float dtype.
        dim: the axis of length D.

    Returns:
        Same shape, float32 or wider.
    """
    vectors = at_least_float32(vectors)
    norm = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    return vectors / torch.where(norm > _SHORTEST, norm, torch.ones_like(norm))
