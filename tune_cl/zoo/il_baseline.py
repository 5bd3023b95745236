"""IL-Baseline: cross-entropy, distillation and a memory, (1 - lambda) CE + lambda KD (arXiv 2103.12532)."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from tune_cl.losses import distillation, shifted_cross_entropy
from tune_cl.methods import Method, Phase, PhaseContext, PhaseData, PhaseResult, State, method_config, parameter
from tune_cl.nets import Classifier
from tune_cl.training import (
    BASE_CLASSIFIER,
    BASE_MEMORY,
    NEXT_MEMORY,
    AsBefore,
    BaseClassifier,
    Finetuning,
    LossOf,
    MemoryBudget,
    MemoryTraining,
    RehearsalConfig,
    RehearsalContext,
    check_memory_fits,
    cross_entropy,
    finetune_balanced,
    finetuning_phase,
    has_memory,
    planned_memory,
    rehearsal_images,
    train_with_exemplars,
)


class BaselineClassifier(MemoryTraining):
    """An increment's classifier: cross-entropy and distillation on new images and exemplars alike."""

    loss: Literal["ce", "balanced", "relaxed", "posthoc"] = parameter(
        "ce", "the cross-entropy's class prior; posthoc: ce, adjusted in prediction", source="balanced-softmax"
    )
    weighting: Literal["classes", "fixed"] = parameter(
        "classes", "classes: (1 - l) CE + l KD, l = n_old / n_seen; fixed: CE + weight_kd KD", source="balanced-softmax"
    )
    weight_kd: float = parameter(1.0, "fixed: weight of the distillation", ge=0, le=1000, source="balanced-softmax")
    temperature: float = parameter(
        2.0, "of the distillation; there is no factor T^2", gt=0, le=100, source="balanced-softmax"
    )


def train_baseline(config: BaselineClassifier, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Cross-entropy under the prior on raw plus shifted logits, distillation of the old classes' raw logits."""
    share = data.n_old / (data.n_old + data.n_new)
    weights = (1 - share, share) if config.weighting == "classes" else (1.0, config.weight_kd)
    return train_with_exemplars(
        config, data, state, context, lambda setting: ce_and_kd(setting, *weights, temperature=config.temperature)
    )


def ce_and_kd(setting: RehearsalContext, weight_ce: float, weight_kd: float, temperature: float) -> LossOf:
    """weight_ce CE + weight_kd KD, both on every image; KD is between softmaxes over the old classes."""

    def loss_of(student: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        logits = student(images)
        with torch.no_grad():
            old_logits = setting.teacher(images)
        ce = shifted_cross_entropy(logits, labels, setting.prior)
        kd = distillation(logits, old_logits, temperature, over="old")
        return weight_ce * ce + weight_kd * kd, {"ce": ce, "kd": kd}

    return loss_of


def finetune_linear(config: Finetuning, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Plain cross-entropy on a balanced set."""
    return finetune_balanced(config, data, state, context, cross_entropy)


METHOD = Method(
    name="il_baseline",
    summary="cross-entropy (plain, balanced, relaxed, post-hoc), distillation and a memory",
    config=method_config(
        base={"classifier": BaseClassifier, "memory": MemoryBudget},
        increment={"classifier": BaselineClassifier, "finetune": Finetuning, "memory": AsBefore},
        rules=RehearsalConfig,
    ),
    base=(BASE_CLASSIFIER, BASE_MEMORY),
    increment=(
        Phase("classifier", "il_baseline.classifier", 1, train_baseline, rehearsal_images, sees_memory=True),
        finetuning_phase("linear.finetune", 1, finetune_linear),
        NEXT_MEMORY,
    ),
    check_fit=lambda config, extent: check_memory_fits(config.base.memory, extent),
    memory=lambda config, old: planned_memory(config.base.memory, old),
    nearest_mean=has_memory,
)
