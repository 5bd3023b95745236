"""Losses as pure functions of tensors: class priors, distillation, adversarial terms, LUCIR's, PODNet's and iCaRL's.

Each computes in float32 or wider, whatever the dtype it is given, and returns a scalar.
"""

from tune_cl.losses._adversarial import discriminator_loss, generator_loss, r1_penalty
from tune_cl.losses._balanced import expected_counts, log_prior, shifted_cross_entropy
from tune_cl.losses._distillation import distillation, feature_distance, image_distance
from tune_cl.losses._lucir import less_forget, margin_ranking
from tune_cl.losses._podnet import nca, nca_formula, pod_flat, pod_spatial
from tune_cl.losses._precision import at_least_float32
from tune_cl.losses._sigmoid import binary_distillation, sigmoid_shift
from tune_cl.losses._unit import unit_vectors

__all__ = [
    "at_least_float32",
    "binary_distillation",
    "discriminator_loss",
    "distillation",
    "expected_counts",
    "feature_distance",
    "generator_loss",
    "image_distance",
    "less_forget",
    "log_prior",
    "margin_ranking",
    "nca",
    "nca_formula",
    "pod_flat",
    "pod_spatial",
    "r1_penalty",
    "shifted_cross_entropy",
    "sigmoid_shift",
    "unit_vectors",
]
