"""The adversarial game in its non-saturating logistic form, with R1 on whatever the discriminator is shown."""

import torch
from torch import Tensor
from torch.nn import functional

from tune_cl.losses._precision import at_least_float32


def discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Mean softplus(-D(real)) plus mean softplus(D(fake)): a scalar. The two batches may differ in size."""
    real = functional.softplus(-at_least_float32(real_scores)).mean()
    return real + functional.softplus(at_least_float32(fake_scores)).mean()


def generator_loss(fake_scores: Tensor) -> Tensor:
    """Mean softplus(-D(fake)): a scalar."""
    return functional.softplus(-at_least_float32(fake_scores)).mean()


def r1_penalty(real_scores: Tensor, real_features: Tensor, gamma: float) -> Tensor:
    """R1: (gamma / 2) times the mean squared norm of the discriminator's gradient at real samples.

    Lazy regularisation, one step in `interval`, is the caller's: pass `gamma * interval` to keep the mean strength.
    Source: Mescheder et al. 2018 (arXiv 1801.04406); here the gradient is that in the features, not in the pixels.

    Args:
        real_scores: (B,) or (B, 1), computed from `real_features` in this graph.
        real_features: (B, ...), what the discriminator was shown; requires a gradient.
        gamma: strength, at least 0.

    Returns:
        Scalar, float32 or wider, differentiable in the discriminator's parameters.

    Raises:
        RuntimeError: `real_features` requires no gradient, or the scores do not depend on it.
    """
    (gradient,) = torch.autograd.grad(real_scores.sum(), real_features, create_graph=True)
    return 0.5 * gamma * at_least_float32(gradient).flatten(1).square().sum(dim=1).mean()
