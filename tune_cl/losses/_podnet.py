"""PODNet's losses: distillation of pooled maps and of the embedding, and the NCA loss of its proxies.

Source: Douillard et al., "PODNet: Pooled Outputs Distillation for Small-Tasks Incremental Learning", ECCV 2020
(arXiv 2004.13513).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tune_cl.losses._distillation import feature_distance
from tune_cl.losses._precision import at_least_float32
from tune_cl.losses._unit import unit_vectors


def pod_spatial(activations: Sequence[Tensor], old_activations: Sequence[Tensor]) -> Tensor:
    """Distance of squared maps that are summed over their width and over their height, mean over layers.

    Of each layer: square, sum over the width to (B, C * H) and over the height to (B, C * W), concatenate, normalise,
    Euclidean distance to the old classifier's, mean over samples. It is blind to a factor on all activations of a
    layer, and to signs.

    Args:
        activations: one (B, C, H, W) per layer, any float dtype.
        old_activations: as many of the same shapes, of the previous classifier; gradients flow into them if they ask.

    Returns:
        Scalar, float32 or wider, in [0, sqrt(2)]. Where a layer's maps agree its gradient is 0.

    Raises:
        ValueError: there is no layer, or the layers do not fit.
    """
    ours, theirs = [tuple(a.shape) for a in activations], [tuple(a.shape) for a in old_activations]
    if not ours or ours != theirs or any(len(shape) != 4 for shape in ours):
        raise ValueError(f"both networks' maps must be (B, C, H, W), layer by layer, got {ours} and {theirs}")
    pairs = zip(activations, old_activations, strict=True)
    return torch.stack([feature_distance(_pooled(new), _pooled(old)) for new, old in pairs]).mean()


def pod_flat(embedding: Tensor, old_embedding: Tensor) -> Tensor:
    """Mean over samples of the Euclidean distance of the normalised embeddings: sqrt(2 - 2 cos).

    Args:
        embedding: (B, D), any float dtype.
        old_embedding: (B, D) of the previous classifier; gradients flow into it if it asks for them.

    Returns:
        Scalar, float32 or wider, in [0, 2]. Where a sample's embeddings agree its gradient is 0.

    Raises:
        ValueError: the shapes differ.
    """
    if embedding.shape != old_embedding.shape or embedding.ndim != 2:
        raise ValueError(
            f"embeddings must be (B, D) twice, got {tuple(embedding.shape)} and {tuple(old_embedding.shape)}"
        )
    return feature_distance(unit_vectors(embedding), unit_vectors(old_embedding))


def nca(scores: Tensor, eta: Tensor | float, labels: Tensor) -> Tensor:
    """PODNet's classification loss in the arithmetic of its released code, which made the published numbers.

    With a_i = eta s_i and m = max a: the mean of m - a_y + log(1 + sum over i != y of exp(a_i - m)). The paper's margin
    cancels out there, nothing is cut at 0, and the denominator keeps the true class, as exp(0). Where the true class
    leads this is cross-entropy on eta s; elsewhere the 1 stands in place of exp(a_y - m), so that it is a little above.

    Args:
        scores: (B, C) of a head with proxies, without its scale and without a class prior.
        eta: the head's scale, a number or a scalar tensor that learns.
        labels: (B,) int64, stream class indices.

    Returns:
        Scalar, float32 or wider, above 0.

    Raises:
        ValueError: there are fewer than two classes.
    """
    _at_least_two_classes(scores)
    scaled = eta * at_least_float32(scores)
    index = labels.unsqueeze(1)
    largest = scaled.amax(dim=1, keepdim=True)
    others = (scaled - largest).scatter(1, index, 0.0)  # the true class counts as exp(0)
    return (largest - scaled.gather(1, index)).squeeze(1).add(others.logsumexp(dim=1)).mean()


def nca_formula(scores: Tensor, eta: Tensor | float, labels: Tensor, margin: float = 0.6) -> Tensor:
    """Mean of [-log(exp(eta s_y - eta' margin) / sum over i != y of exp(eta s_i))]_+, PODNet's formula; own variant.

    Source: arXiv 2004.13513, equation 6. eta' is eta without its gradient, and not below 0: a margin times the learned
    scale has a gradient of at least the margin into the scale as long as a sample lacks it, which drives the scale
    through 0, where the loss is 0 and nothing is learnt. No published number was made with it.

    Args:
        scores: (B, C) of a head with proxies, without its scale and without a class prior.
        eta: the head's scale, a number or a scalar tensor that learns.
        labels: (B,) int64, stream class indices.
        margin: what the true class must lead by, at least 0.

    Returns:
        Scalar, float32 or wider, at least 0.

    Raises:
        ValueError: there are fewer than two classes.
    """
    _at_least_two_classes(scores)
    scores = at_least_float32(scores)
    index = labels.unsqueeze(1)
    fixed = torch.as_tensor(eta, dtype=scores.dtype, device=scores.device).detach().clamp(min=0)
    true = (eta * scores.gather(1, index)).squeeze(1) - fixed * margin
    others = (eta * scores).scatter(1, index, -torch.inf).logsumexp(dim=1)
    return (others - true).clamp(min=0).mean()


def _at_least_two_classes(scores: Tensor) -> None:
    if scores.shape[1] < 2:
        raise ValueError("the NCA loss compares a class with the others: it needs at least two classes")


def _pooled(maps: Tensor) -> Tensor:
    """Normalised profiles (B, C * (H + W)) of squared maps (B, C, H, W)."""
    squares = at_least_float32(maps).square()
    return unit_vectors(torch.cat([squares.sum(dim=3).flatten(1), squares.sum(dim=2).flatten(1)], dim=1))
