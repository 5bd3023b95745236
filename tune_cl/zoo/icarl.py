"""iCaRL (Rebuffi et al. 2017): herded exemplars, distillation, a linear and a nearest-mean read-out, told apart."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from pydantic import model_validator
from torch import Tensor

from tune_cl.losses import binary_distillation
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
    finetune_balanced,
    finetuning_phase,
    has_memory,
    planned_memory,
    real_images,
    rehearsal_images,
    train_base_with,
    train_with_exemplars,
)
from tune_cl.zoo.il_baseline import ce_and_kd, finetune_linear


class IcarlBase(BaseClassifier):
    """The base task's classifier."""

    loss: Literal["ce", "bce"] = parameter(
        "ce", "bce: sigmoids, for an increment's bce or balanced_bce", source="LUCIR's iCaRL", later=True
    )


class IcarlClassifier(MemoryTraining):
    """An increment's classifier."""

    loss: Literal["ce", "bce", "balanced", "balanced_bce", "relaxed", "posthoc"] = parameter(
        "ce",
        "ce: as LUCIR's comparison trains it; bce: sigmoids, as iCaRL's paper has it; others: their balanced forms",
        source="LUCIR's iCaRL",
    )
    weight_kd: float = parameter(
        0.25, "weight of T^2 KD beside the cross-entropy; not for bce", ge=0, le=1000, source="LUCIR's iCaRL"
    )
    temperature: float = parameter(2.0, "T of the distillation; not for bce", gt=0, le=100, source="LUCIR's iCaRL")


class IcarlRules(RehearsalConfig):
    """What holds across the parameters of `icarl`."""

    @model_validator(mode="after")
    def _one_kind_of_logits(self) -> "IcarlRules":
        config: Any = self
        loss, base = config.increment.classifier.loss, config.base.classifier.loss
        wanted = "bce" if loss in ("bce", "balanced_bce") else "ce"
        if base != wanted:
            raise ValueError(
                f"increment.classifier.loss '{loss}' distils the logits of a base task trained by '{wanted}', not "
                f"'{base}': set base.classifier.loss: {wanted}"
            )
        return self


def train_sigmoid_base(config: IcarlBase, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Binary cross-entropy of a sigmoid for each base class."""
    return train_base_with(config, data, context, _plain_sigmoids)


def train_icarl(config: IcarlClassifier, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """CE + weight_kd T^2 KD on new images and exemplars."""
    weight = config.weight_kd * config.temperature**2
    return train_with_exemplars(
        config, data, state, context, lambda setting: ce_and_kd(setting, 1.0, weight, temperature=config.temperature)
    )


def train_sigmoids(config: IcarlClassifier, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Sigmoids, to one-hot targets for new classes and to the teacher's for old ones."""
    return train_with_exemplars(config, data, state, context, _sigmoids)


def finetune_sigmoids(config: Finetuning, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Binary cross-entropy with one-hot targets on a balanced set."""
    return finetune_balanced(config, data, state, context, _plain_sigmoids)


def _plain_sigmoids(student: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
    bce = binary_distillation(student(images), labels)
    return bce, {"bce": bce}


def _sigmoids(setting: RehearsalContext) -> LossOf:
    def loss_of(student: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        logits = student(images)
        with torch.no_grad():
            old_logits = setting.teacher(images)
        bce = binary_distillation(logits, labels, old_logits, setting.sigmoid_shift)
        return bce, {"bce": bce}

    return loss_of


def _by_sigmoids(config: Any) -> bool:
    return bool(config.base.classifier.loss == "bce")


def _by_softmax(config: Any) -> bool:
    return not _by_sigmoids(config)


_FINETUNE = finetuning_phase("linear.finetune", 1, finetune_linear)
_FINETUNE_SIGMOIDS = finetuning_phase("sigmoid.finetune", 1, finetune_sigmoids)

METHOD = Method(
    name="icarl",
    summary="herded exemplars, distillation; linear and nearest-mean read-outs, reported apart",
    config=method_config(
        base={"classifier": IcarlBase, "memory": MemoryBudget},
        increment={"classifier": IcarlClassifier, "finetune": Finetuning, "memory": AsBefore},
        rules=IcarlRules,
    ),
    base=(
        replace(BASE_CLASSIFIER, needed=_by_softmax),
        Phase("classifier", "sigmoid.base.classifier", 1, train_sigmoid_base, real_images, needed=_by_sigmoids),
        BASE_MEMORY,
    ),
    increment=(
        Phase("classifier", "icarl.classifier", 1, train_icarl, rehearsal_images, sees_memory=True, needed=_by_softmax),
        Phase(
            "classifier",
            "icarl.sigmoid.classifier",
            1,
            train_sigmoids,
            rehearsal_images,
            sees_memory=True,
            needed=_by_sigmoids,
        ),
        replace(_FINETUNE, needed=lambda config: _by_softmax(config) and _FINETUNE.needed(config)),
        replace(_FINETUNE_SIGMOIDS, needed=lambda config: _by_sigmoids(config) and _FINETUNE.needed(config)),
        NEXT_MEMORY,
    ),
    check_fit=lambda config, extent: check_memory_fits(config.base.memory, extent),
    memory=lambda config, old: planned_memory(config.base.memory, old),
    nearest_mean=has_memory,
)
