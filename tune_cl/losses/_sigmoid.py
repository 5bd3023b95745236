"""iCaRL's loss, a sigmoid for each class, and the shift that balances it.

Sources: Rebuffi et al. 2017 (arXiv 1611.07725) for the loss, Ren et al. 2020 (arXiv 2007.10740) for the shift.
"""

import torch
from torch import Tensor
from torch.nn import functional

from tune_cl.losses._precision import at_least_float32


def binary_distillation(
    logits: Tensor, labels: Tensor, old_logits: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of each class's sigmoid: the mean over classes and samples.

    As in iCaRL's released code, whose learning rate of 2 belongs to the mean.

    The targets of old classes are what the old classifier said, `sigmoid(old_logits)`, also for samples of old
    classes; those of new classes say whether it is the label. Without old logits all targets are of the second kind.

    Args:
        logits: (B, C), any float dtype, old classes first.
        labels: (B,) int64, stream class indices.
        old_logits: (B, n_old) of the previous classifier, raw; gradients flow into it if it asks for them.
        shift: (C,) from `sigmoid_shift`, added where a class is learnt from labels; classes with distilled targets
            are compared raw.

    Returns:
        Scalar, float32 or wider. With old logits its minimum is the mean entropy of their sigmoids.

    Raises:
        ValueError: shapes do not fit.
    """
    n_classes = logits.shape[1]
    targets = functional.one_hot(labels, n_classes)
    n_old = 0
    if old_logits is not None:
        n_old = old_logits.shape[1]
        if len(old_logits) != len(logits) or n_old > n_classes:
            raise ValueError(
                f"a student of shape {tuple(logits.shape)} cannot learn from {tuple(old_logits.shape)}: "
                "same samples, and no fewer classes, are needed"
            )
        targets = torch.cat([at_least_float32(old_logits).sigmoid(), targets[:, n_old:]], dim=1)
    logits = at_least_float32(logits)
    if shift is not None:
        if shift.shape != (n_classes,):
            raise ValueError(f"a shift needs one entry for each of {n_classes} classes, got {tuple(shift.shape)}")
        logits = torch.cat([logits[:, :n_old], logits[:, n_old:] + shift[n_old:]], dim=1)
    losses = functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")
    return losses.mean()


def sigmoid_shift(counts: Tensor) -> Tensor:
    """What to add to the logits of sigmoids: -log[((n / k) / n_j) * ((n - n_j) / (n - n / k))], n the sum of k counts.

    It is the log-odds of a class among the samples less those of one among k equal classes: negative for rare
    classes, whose bare logits are thereby trained up. Equal counts give exactly 0; scaling all counts changes nothing.

    Args:
        counts: (C,) expected samples per class that enter this loss, above 0.

    Returns:
        (C,) float32 (float64 for float64 counts), finite.

    Raises:
        ValueError: there are fewer than two classes, or a count is not above 0.
    """
    if counts.ndim != 1 or len(counts) < 2:
        raise ValueError(f"a sigmoid's shift compares at least two classes' counts, got {tuple(counts.shape)}")
    if not bool((counts > 0).all()):
        empty = torch.nonzero(~(counts > 0)).flatten().tolist()
        raise ValueError(f"a balanced sigmoid is undefined for classes without a sample in the loss ({empty})")
    wide = at_least_float32(counts).double()
    wide = wide / wide.max()  # equal counts become exactly 1
    k = len(wide)
    # Summed, not taken from the total, which in floating point may leave a class with nearly all samples no others.
    others = wide.expand(k, k).masked_fill(torch.eye(k, dtype=torch.bool, device=wide.device), 0).sum(dim=1)
    return (wide.log() - (others / (k - 1)).log()).to(at_least_float32(counts).dtype)
