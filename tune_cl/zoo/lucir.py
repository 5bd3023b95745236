"""LUCIR (Hou et al. 2019): cosine head, less-forget constraint on features, margin ranking, imprinted new weights."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from tune_cl.losses import less_forget, margin_ranking, shifted_cross_entropy
from tune_cl.methods import Method, Phase, PhaseContext, PhaseData, PhaseResult, State, method_config, parameter
from tune_cl.nets import POOLED, Classifier
from tune_cl.training import (
    BASE_MEMORY,
    NEXT_MEMORY,
    AsBefore,
    BaseClassifier,
    LossOf,
    MemoryBudget,
    MemoryTraining,
    RehearsalConfig,
    RehearsalContext,
    ScaledFinetuning,
    check_memory_fits,
    cross_entropy,
    finetune_balanced,
    finetuning_phase,
    frozen_classifier,
    has_memory,
    planned_memory,
    real_images,
    rehearsal_images,
    scores_of,
    train_base_with,
    train_with_exemplars,
)


class CosineBase(BaseClassifier):
    """The base task's classifier with a cosine head."""

    scale: float = parameter(1.0, "eta at the start; it is learned", gt=0, le=100, source="LUCIR")


class LucirClassifier(MemoryTraining):
    """An increment's classifier."""

    loss: Literal["ce", "balanced", "relaxed", "posthoc"] = parameter(
        "ce", "on eta times the cosine; a prior is added after the scale", source="LUCIR"
    )
    weight_feature: float = parameter(
        5.0, "lambda of the less-forget constraint, times sqrt(n_old / n_new)", ge=0, le=1000, source="LUCIR, CIFAR-100"
    )
    weight_ranking: float = parameter(
        1.0, "weight of the margin ranking, of exemplars alone", ge=0, le=1000, source="LUCIR"
    )
    margin: float = parameter(0.5, "m of the margin ranking, in cosines", ge=0, le=2, source="LUCIR")
    ranking_classes: int = parameter(2, "K: new classes that an exemplar is held apart from", ge=1, source="LUCIR")
    imprint: bool = parameter(True, "start new weights from the classes' mean features", source="LUCIR")
    old_head: Literal["frozen", "trained"] = parameter(
        "frozen", "the old classes' weights of the head in this phase", source="LUCIR"
    )


class LucirFinetuning(ScaledFinetuning):
    """Balanced finetuning, which LUCIR's CIFAR-100 script leaves out by default; it keeps the other terms."""

    weight_feature: float = parameter(
        5.0, "as in the phase before; without effect where only the head is trained", ge=0, le=1000, source="LUCIR"
    )
    weight_ranking: float = parameter(
        1.0, "weight of the margin ranking, of exemplars alone", ge=0, le=1000, source="LUCIR"
    )
    margin: float = parameter(0.5, "m of the margin ranking, in cosines", ge=0, le=2, source="LUCIR")
    ranking_classes: int = parameter(2, "K: new classes that an exemplar is held apart from", ge=1, source="LUCIR")


def train_cosine_base(config: CosineBase, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Cross-entropy on the base classes, with a cosine head."""
    return train_base_with(config, data, context, cross_entropy, head="cosine", scale=config.scale)


def train_lucir(config: LucirClassifier, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """CE + lambda sqrt(n_old / n_new) (1 - cos of old and new features) + margin ranking on exemplars."""
    return train_with_exemplars(
        config,
        data,
        state,
        context,
        lambda setting: _loss(config, setting),
        imprint=config.imprint,
        freeze_old_head=config.old_head == "frozen",
    )


def _loss(config: LucirClassifier, setting: RehearsalContext) -> LossOf:
    weight = config.weight_feature * math.sqrt(setting.n_old / setting.n_new)

    def loss_of(student: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        features = student.features(images, POOLED)
        with torch.no_grad():
            old_features = setting.teacher.features(images, POOLED)
        ce = shifted_cross_entropy(student.head(features), labels, setting.prior)
        feature = less_forget(features, old_features)
        cosines = scores_of(student, features)
        ranking = margin_ranking(cosines, labels, setting.n_old, config.margin, config.ranking_classes)
        total = ce + weight * feature + config.weight_ranking * ranking
        return total, {"ce": ce, "feature": feature, "ranking": ranking}

    return loss_of


def finetune_lucir(config: LucirFinetuning, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """CE + lambda sqrt(n_old / n_new) (1 - cos) + margin ranking on a balanced set.

    Where only the head is trained the middle term has no gradient, and is left out.
    """
    teacher = None
    if config.trains == "all" and config.weight_feature > 0:
        teacher = frozen_classifier(context.before, context)
    weight = config.weight_feature * math.sqrt(data.n_old / data.n_new)

    def loss_of(student: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        features = student.features(images, POOLED)
        ce = shifted_cross_entropy(student.head(features), labels)
        cosines = scores_of(student, features)
        ranking = margin_ranking(cosines, labels, data.n_old, config.margin, config.ranking_classes)
        total, terms = ce + config.weight_ranking * ranking, {"ce": ce, "ranking": ranking}
        if teacher is not None:
            with torch.no_grad():
                old_features = teacher.features(images, POOLED)
            feature = less_forget(features, old_features)
            total, terms = total + weight * feature, {**terms, "feature": feature}
        return total, terms

    return finetune_balanced(config, data, state, context, loss_of)


METHOD = Method(
    name="lucir",
    summary="cosine head, less-forget constraint, margin ranking, a memory",
    config=method_config(
        base={"classifier": CosineBase, "memory": MemoryBudget},
        increment={"classifier": LucirClassifier, "finetune": LucirFinetuning, "memory": AsBefore},
        rules=RehearsalConfig,
    ),
    base=(Phase("classifier", "cosine.base.classifier", 1, train_cosine_base, real_images), BASE_MEMORY),
    increment=(
        Phase("classifier", "lucir.classifier", 2, train_lucir, rehearsal_images, sees_memory=True),
        finetuning_phase("lucir.finetune", 1, finetune_lucir),
        NEXT_MEMORY,
    ),
    check_fit=lambda config, extent: check_memory_fits(config.base.memory, extent),
    memory=lambda config, old: planned_memory(config.base.memory, old),
    nearest_mean=has_memory,
)
