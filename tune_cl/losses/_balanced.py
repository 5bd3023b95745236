"""Cross-entropy under a class prior: balanced softmax, its relaxed form, and the counts that go into it.

Source: Ren et al. 2020 (arXiv 2007.10740) for the balanced softmax, arXiv 2103.12532 for its use in
class-incremental learning. The prior enters the loss only: prediction, distillation and scoring use the bare logits.
"""

import torch
from torch import Tensor
from torch.nn import functional

from tune_cl.losses._precision import at_least_float32


def log_prior(counts: Tensor, n_old: int, *, tau: float = 1.0, alpha: float = 1.0, epsilon: float = 0.0) -> Tensor:
    """What to add to the logits: `tau * log(n_j / sum_i n_i)` with n the (generalised) class counts.

    Equal counts give a constant, hence plain cross-entropy; scaling all counts changes nothing. With `epsilon` > 0
    this is the relaxed form for classes that have no sample in the loss: when the new classes have equal counts,
    `epsilon` -> 0 tends to cross-entropy over the new classes alone, and `epsilon` = that count is plain cross-entropy.

    Args:
        counts: (C,) expected samples per class that enter this loss, in stream class indices; at least 0.
        n_old: number of old classes; they come first.
        tau: exponent on the counts; 0 gives zeros.
        alpha: factor on the counts of old classes; above 1 is a head start in training, hence lower test logits.
        epsilon: count, in samples, that replaces a zero after `alpha` was applied; 0 replaces nothing.

    Returns:
        (C,) float32 (float64 for float64 counts), finite.

    Raises:
        ValueError: a class has no sample and `epsilon` is 0, or an argument is out of its range.
    """
    if counts.ndim != 1 or not 0 <= n_old <= len(counts):
        raise ValueError(
            f"a prior needs one count per class and 0 <= n_old <= C, got {tuple(counts.shape)} and {n_old}"
        )
    if alpha <= 0 or epsilon < 0 or bool((counts < 0).any()):
        raise ValueError("a prior needs alpha above 0, and epsilon and every count at least 0")
    counts = at_least_float32(counts)
    if tau == 0:
        return torch.zeros_like(counts)
    # In float64, because a relaxed count may be smaller than float32's resolution of the total.
    weights = counts.double()
    weights = torch.cat([weights[:n_old] * alpha, weights[n_old:]])
    weights = torch.where(weights == 0, epsilon, weights)
    if bool((weights == 0).any()):
        empty = torch.nonzero(weights == 0).flatten().tolist()
        raise ValueError(
            f"a balanced loss is undefined for classes without a sample in it ({empty}); use `loss: relaxed`, which "
            "gives them a count epsilon above 0, or let old samples enter the loss (`replay_labels: hard`)"
        )
    return (tau * (weights.log() - weights.sum().log())).to(counts.dtype)


def shifted_cross_entropy(logits: Tensor, labels: Tensor, prior: Tensor | None = None) -> Tensor:
    """Mean cross-entropy on `logits + prior`; its gradient in the logits is `softmax(logits + prior) - onehot`, over B.

    Args:
        logits: (B, C), any float dtype.
        labels: (B,) int64, stream class indices.
        prior: (C,) from `log_prior`, or None for plain cross-entropy.

    Returns:
        Scalar, float32 or wider.
    """
    logits = at_least_float32(logits)
    return functional.cross_entropy(logits if prior is None else logits + prior, labels)


def expected_counts(new_counts: Tensor, n_old: int, replay_share: float) -> Tensor:
    """Expected samples of each class that enter a loss in one epoch over the new data, when batches are composed.

    With a share r of replay, drawn uniformly over the old classes, N_new real samples come with N_new * r / (1 - r)
    replayed ones: 50 + 10 classes, r = 1/2 and 500 samples per new class give 100 per old class, a shift of ln 5.

    Args:
        new_counts: (n_new,) real samples of each new class in one epoch.
        n_old: number of old classes.
        replay_share: share r of the samples in this loss that are replayed, in [0, 1); 0 when replay does not enter it.

    Returns:
        (n_old + n_new,) float32 (float64 for float64 counts), old classes first.

    Raises:
        ValueError: `replay_share` is outside [0, 1).
    """
    if not 0 <= replay_share < 1:
        raise ValueError(f"the share of replay in a loss must be in [0, 1), got {replay_share}")
    new_counts = at_least_float32(new_counts)
    replayed = new_counts.sum() * (replay_share / (1 - replay_share))
    return torch.cat([(replayed / max(n_old, 1)).expand(n_old), new_counts])
