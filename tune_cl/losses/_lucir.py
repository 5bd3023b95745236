"""What LUCIR adds to cross-entropy: features that keep their direction, old classes that keep a margin to new ones.

Source: Hou et al., "Learning a Unified Classifier Incrementally via Rebalancing", CVPR 2019. Both losses are on
cosines; neither the learned scale of a cosine head nor a class prior enters them.
"""

from torch import Tensor

from tune_cl.losses._precision import at_least_float32
from tune_cl.losses._unit import unit_vectors


def less_forget(features: Tensor, old_features: Tensor) -> Tensor:
    """Mean over samples of 1 - cos(features, old features): 0 for the same direction, 2 for opposite ones.

    LUCIR weights it by 5 * sqrt(n_old / n_new), on ImageNet by 10 times the root.

    Args:
        features: (B, D), any float dtype.
        old_features: (B, D) of the previous classifier; gradients flow into it if it asks for them.

    Returns:
        Scalar, float32 or wider.

    Raises:
        ValueError: the shapes differ.
    """
    if features.shape != old_features.shape or features.ndim != 2:
        raise ValueError(f"features must be (B, D) twice, got {tuple(features.shape)} and {tuple(old_features.shape)}")
    return (1 - (unit_vectors(features) * unit_vectors(old_features)).sum(dim=1)).mean()


def margin_ranking(cosines: Tensor, labels: Tensor, n_old: int, margin: float = 0.5, k: int = 2) -> Tensor:
    """Hold the true class of old samples above the nearest new classes: the mean of max(0, m - cos_y + cos_(i)).

    The mean is over the `k` new classes with the highest cosines and over the samples of old classes; samples of new
    classes have no part. (The paper's equation 8 sums over `k`; the released code, which made its numbers, has the
    mean.)

    Args:
        cosines: (B, C) of a cosine head without its scale and without a class prior, old classes first.
        labels: (B,) int64, stream class indices.
        n_old: number of old classes, fewer than C.
        margin: m, between 0 and 2 to have an effect.
        k: how many new classes are pushed away, at least 1; all of them where there are fewer.

    Returns:
        Scalar, float32 or wider; 0, with gradient 0, for a batch without old samples.

    Raises:
        ValueError: there is no new class, or `k` is below 1.
    """
    n_new = cosines.shape[1] - n_old
    if n_new < 1 or n_old < 0:
        raise ValueError(f"of {cosines.shape[1]} classes, {n_old} cannot be old: at least one must be new")
    if k < 1:
        raise ValueError(f"at least one new class must be ranked, got k = {k}")
    cosines = at_least_float32(cosines)
    nearest = cosines[:, n_old:].topk(min(k, n_new), dim=1).values  # (B, k)
    true = cosines.gather(1, labels.unsqueeze(1))  # (B, 1)
    lacking = (margin - true + nearest).clamp(min=0).mean(dim=1)
    of_old = labels < n_old
    # A mask instead of an index: no wait for the device, and an empty choice is 0 with a graph.
    return (lacking * of_old).sum() / of_old.sum().clamp(min=1)
