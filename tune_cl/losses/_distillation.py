"""What holds a student to its teacher: on logits, on features, on pixels."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from tune_cl.losses._precision import at_least_float32


def distillation(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0, over: Literal["all", "old"] = "all"
) -> Tensor:
    """Soft cross-entropy from the teacher's softmax over the old classes to the student's log-softmax.

    Both softmaxes are at `temperature`; there is no factor T², so the gradient shrinks as the temperature grows. It is
    a cross-entropy, not a divergence: its minimum is the teacher's entropy. Both logits are raw, never shifted by a
    class prior.

    Args:
        student_logits: (B, C), old classes first.
        teacher_logits: (B, n_old), n_old <= C; gradients flow into it if it asks for them.
        temperature: T > 0.
        over: which logits share the student's softmax: `all` of its classes (Genifer, where mass on new classes is
            punished), or the `old` ones alone (LwF).

    Returns:
        Scalar, mean over samples, float32 or wider.

    Raises:
        ValueError: shapes do not fit, or the temperature is not positive.
    """
    n_old = teacher_logits.shape[1]
    if len(student_logits) != len(teacher_logits) or n_old > student_logits.shape[1]:
        raise ValueError(
            f"a student of shape {tuple(student_logits.shape)} cannot learn from {tuple(teacher_logits.shape)}: "
            "same samples, and no fewer classes, are needed"
        )
    if temperature <= 0:
        raise ValueError(f"the temperature of distillation must be above 0, got {temperature}")
    if over == "old":
        student_logits = student_logits[:, :n_old]
    targets = functional.softmax(at_least_float32(teacher_logits) / temperature, dim=1)
    log_probabilities = functional.log_softmax(at_least_float32(student_logits) / temperature, dim=1)
    return -(targets * log_probabilities[:, :n_old]).sum(dim=1).mean()


def feature_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over samples of the un-squared L2 norm of the flattened difference of two feature maps.

    Args:
        student: (B, ...), any float dtype.
        teacher: same shape.

    Returns:
        Scalar, float32 or wider. Where a sample's maps are equal its gradient is 0, a subgradient of the norm.
    """
    difference = at_least_float32(student) - at_least_float32(teacher)
    distances: Tensor = torch.linalg.vector_norm(difference.flatten(1), dim=1)
    return distances.mean()


def image_distance(images: Tensor, others: Tensor) -> Tensor:
    """Mean absolute difference over all pixels, channels and samples of two batches (B, C, H, W): a scalar."""
    return functional.l1_loss(at_least_float32(images), at_least_float32(others))
