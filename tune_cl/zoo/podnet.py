"""PODNet (Douillard et al. 2020): ten cosine proxies per class, pooled outputs distillation, a memory."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from tune_cl.errors import TuneCLError
from tune_cl.losses import nca, nca_formula, pod_flat, pod_spatial, shifted_cross_entropy
from tune_cl.methods import Extent, Method, Phase, PhaseContext, PhaseData, PhaseResult, State, method_config, parameter
from tune_cl.nets import POOLED, Classifier
from tune_cl.training import (
    BASE_MEMORY,
    NEXT_MEMORY,
    SCHEDULES,
    AsBefore,
    BaseClassifier,
    LossOf,
    MemoryBudget,
    MemoryTraining,
    RehearsalConfig,
    RehearsalContext,
    ScaledFinetuning,
    Schedule,
    check_memory_fits,
    cross_entropy,
    finetune_balanced,
    finetuning_phase,
    has_memory,
    planned_memory,
    real_images,
    rehearsal_images,
    scale_of,
    scores_of,
    train_base_with,
    train_with_exemplars,
)

_LOSSES = "nca: as released; nca_formula: with the margin, as in the paper's formula"
_MARGIN = "delta of nca_formula, on the positive class's score"


def compared_layers(network: str) -> range:
    """The layers whose maps POD-spatial compares: the network's blocks.

    There are four; three in a ResNet-32 other than PODNet's own, whose layers 4 and 5 are one activation.
    """
    return range(2, 5) if network in ("resnet32_cifar", "resnet32_projection") else range(2, 6)


class ProxyBase(BaseClassifier):
    """The base task's classifier with several cosine proxies per class."""

    loss: Literal["nca", "nca_formula", "ce"] = parameter("nca", _LOSSES, source="PODNet")
    proxies: int = parameter(10, "cosine proxies of each class", ge=1, le=100, source="PODNet")
    scale: float = parameter(1.0, "eta at the start; it is learned", gt=0, le=100, source="PODNet")
    similarity: Literal["distance", "cosine"] = parameter(
        "distance",
        "of features to proxies; distance: 2 cos - 2, as released; cosine: as in the formula",
        source="PODNet",
    )
    margin: float = parameter(0.6, _MARGIN, ge=0, le=2, source="PODNet")


class PodnetClassifier(MemoryTraining):
    """An increment's classifier."""

    schedule: Schedule = parameter("cosine", SCHEDULES, source="PODNet, CIFAR-100")
    loss: Literal["nca", "nca_formula", "ce", "balanced", "relaxed", "posthoc"] = parameter(
        "nca",
        f"{_LOSSES}; others: cross-entropy on eta times the class score, a prior is added after the scale",
        source="PODNet",
    )
    margin: float = parameter(0.6, _MARGIN, ge=0, le=2, source="PODNet")
    weight_spatial: float = parameter(
        3.0, "of POD-spatial, times sqrt(n_seen / n_new)", ge=0, le=1000, source="PODNet, CIFAR-100"
    )
    weight_flat: float = parameter(
        1.0, "of POD-flat, times sqrt(n_seen / n_new)", ge=0, le=1000, source="PODNet, CIFAR-100"
    )
    imprint: bool = parameter(True, "start new proxies from the classes' features", source="PODNet")
    old_head: Literal["frozen", "trained"] = parameter(
        "frozen", "the old classes' weights of the head in this phase", source="PODNet"
    )


class PodnetFinetuning(ScaledFinetuning):
    """Balanced finetuning of the head."""

    epochs: int = parameter(20, "passes over the balanced set; 0: no finetuning", ge=0, source="PODNet")
    learning_rate: float = parameter(0.05, "at the first step", gt=0, le=10, source="PODNet, CIFAR-100")
    schedule: Schedule = parameter("constant", SCHEDULES, source="PODNet")
    batch_norm: Literal["eval", "train"] = parameter(
        "train", "eval: statistics as in prediction; train: those of the batch, which are learnt", source="PODNet"
    )
    loss: Literal["nca", "nca_formula", "ce"] = parameter("nca", _LOSSES, source="PODNet")
    margin: float = parameter(0.6, _MARGIN, ge=0, le=2, source="PODNet")


def train_proxy_base(config: ProxyBase, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """NCA (or cross-entropy) on the base classes, with proxies."""
    return train_base_with(
        config,
        data,
        context,
        _classification(config.loss, config.margin),
        head="proxies",
        scale=config.scale,
        proxies=config.proxies,
        similarity=config.similarity,
    )


def train_podnet(config: PodnetClassifier, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Classification loss + sqrt(n_seen / n_new) (weight_spatial POD-spatial + weight_flat POD-flat)."""
    return train_with_exemplars(
        config,
        data,
        state,
        context,
        lambda setting: _loss(config, setting),
        imprint=config.imprint,
        freeze_old_head=config.old_head == "frozen",
    )


def _loss(config: PodnetClassifier, setting: RehearsalContext) -> LossOf:
    layers = compared_layers(setting.teacher.shape.network)
    factor = math.sqrt((setting.n_old + setting.n_new) / setting.n_new)

    def loss_of(student: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        activations = student.activations(images)
        with torch.no_grad():
            old_activations = setting.teacher.activations(images)
        embedding = activations[POOLED]
        if config.loss in ("nca", "nca_formula"):
            classification = _nca(config.loss, student, embedding, labels, config.margin)
        else:
            classification = shifted_cross_entropy(student.head(embedding), labels, setting.prior)
        spatial = pod_spatial([activations[i] for i in layers], [old_activations[i] for i in layers])
        flat = pod_flat(embedding, old_activations[POOLED])
        total = classification + factor * (config.weight_spatial * spatial + config.weight_flat * flat)
        name = "nca" if config.loss in ("nca", "nca_formula") else "ce"
        return total, {name: classification, "spatial": spatial, "flat": flat}

    return loss_of


def _classification(loss: str, margin: float) -> LossOf:
    """NCA in one of its forms, or plain cross-entropy."""
    if loss == "ce":
        return cross_entropy

    def loss_of(student: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        value = _nca(loss, student, student.features(images, POOLED), labels, margin)
        return value, {"nca": value}

    return loss_of


def _nca(loss: str, student: Classifier, embedding: Tensor, labels: Tensor, margin: float) -> Tensor:
    scores, eta = scores_of(student, embedding), scale_of(student)
    return nca(scores, eta, labels) if loss == "nca" else nca_formula(scores, eta, labels, margin)


def finetune_podnet(config: PodnetFinetuning, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """NCA (or cross-entropy) on a balanced set."""
    return finetune_balanced(config, data, state, context, _classification(config.loss, config.margin))


def _check_fit(config: Any, extent: Extent) -> None:
    check_memory_fits(config.base.memory, extent)
    loss = config.base.classifier.loss
    if extent.n_base == 1 and loss != "ce":
        raise TuneCLError(
            f"base.classifier.loss: '{loss}' compares a class with others, and this stream's base task has one class; "
            "set base.classifier.loss: ce, or take a stream with a larger base"
        )


METHOD = Method(
    name="podnet",
    summary="cosine proxies, pooled outputs distillation, balanced finetuning, a memory",
    config=method_config(
        base={"classifier": ProxyBase, "memory": MemoryBudget},
        increment={"classifier": PodnetClassifier, "finetune": PodnetFinetuning, "memory": AsBefore},
        rules=RehearsalConfig,
    ),
    base=(Phase("classifier", "proxies.base.classifier", 2, train_proxy_base, real_images), BASE_MEMORY),
    increment=(
        Phase("classifier", "podnet.classifier", 2, train_podnet, rehearsal_images, sees_memory=True),
        finetuning_phase("proxies.finetune", 2, finetune_podnet),
        NEXT_MEMORY,
    ),
    check_fit=_check_fit,
    memory=lambda config, old: planned_memory(config.base.memory, old),
    nearest_mean=has_memory,
)
