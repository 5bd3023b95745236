"""Losses as pure functions of tensors: class priors, distillation, adversarial terms.

Each computes in float32 or wider, whatever the dtype it is given, and returns a scalar.
"""

from tune_cl.losses._adversarial import discriminator_loss, generator_loss, r1_penalty
from tune_cl.losses._balanced import expected_counts, log_prior, shifted_cross_entropy
from tune_cl.losses._distillation import distillation, feature_distance, image_distance

__all__ = [
    "discriminator_loss",
    "distillation",
    "expected_counts",
    "feature_distance",
    "generator_loss",
    "image_distance",
    "log_prior",
    "r1_penalty",
    "shifted_cross_entropy",
]
