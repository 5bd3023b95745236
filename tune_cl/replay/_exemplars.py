"""Which images of a class a memory keeps: herding (Rebuffi et al. 2017, iCaRL) or chance."""

import torch
from torch import Tensor
from torch.nn import functional


def herd(features: Tensor, n: int) -> Tensor:
    """The n samples whose running mean stays closest to the class mean, in the order in which they are chosen.

    Step k picks argmin_x || mu - (phi(x) + sum of those chosen) / k ||, without replacement, on L2-normalised features
    phi with mu their mean; so the first m of n chosen are the choice for m. In float64; ties go to the first sample.

    Args:
        features: (N, D), any float dtype, not yet normalised.
        n: how many; at most N are chosen.

    Returns:
        (min(n, N),) int64, places in `features`.
    """
    phi = functional.normalize(features.double(), dim=1)
    mean, chosen_sum = phi.mean(0), torch.zeros_like(phi[0])
    free = torch.ones(len(phi), dtype=torch.bool, device=phi.device)
    chosen: list[int] = []
    for k in range(1, min(n, len(phi)) + 1):
        distance = torch.linalg.vector_norm(mean - (phi + chosen_sum) / k, dim=1)
        best = int(torch.where(free, distance, torch.inf).argmin())
        chosen.append(best)
        free[best] = False
        chosen_sum = chosen_sum + phi[best]
    return torch.tensor(chosen, dtype=torch.int64)


def class_mean(features: Tensor) -> Tensor:
    """The L2-normalised mean of L2-normalised features (N, D): (D,) float32, iCaRL's prototype of a class."""
    return functional.normalize(functional.normalize(features.double(), dim=1).mean(0), dim=0).float()


def nearest_mean(features: Tensor, means: Tensor) -> Tensor:
    """Classes whose means are nearest to the L2-normalised features.

    Args:
        features: (B, D).
        means: (C, D), L2-normalised.

    Returns:
        (B,) int64.
    """
    return torch.cdist(functional.normalize(features.float(), dim=1), means).argmin(1)
