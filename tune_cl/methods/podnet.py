"""PODNet (Douillard et al. 2020): ten cosine proxies per class, pooled outputs distillation, a memory."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor

from tune_cl.errors import TuneCLError
from tune_cl.losses import nca, pod_flat, pod_spatial, shifted_cross_entropy
from tune_cl.methods._classifier import BaseClassifier, cross_entropy, real_images, train_base_with
from tune_cl.methods._hosts import (
    Finetuning,
    LossOf,
    MemoryTraining,
    Setting,
    finetune_balanced,
    finetuning_images,
    host_images,
    refuse_finetuning_after_posthoc,
    scale_of,
    scores_of,
    train_host,
)
from tune_cl.methods._memory import BASE_MEMORY, NEXT_MEMORY, AsBefore, MemoryBudget, check_memory_fits, planned_memory
from tune_cl.methods._phase import Extent, Method, Phase, PhaseContext, PhaseData, PhaseResult, State
from tune_cl.methods._tree import Settings, parameter
from tune_cl.nets import POOLED, Classifier


def compared_stages(network: str) -> range:
    """The stages whose maps POD-spatial compares: the network's blocks (three in a ResNet-32, else four)."""
    return range(2, 5) if network == "resnet32_cifar" else range(2, 6)


class ProxyBase(BaseClassifier):
    """The base task's classifier with several cosine proxies per class."""

    loss: Literal["nca", "ce"] = parameter("nca", "nca: with the margin", source="PODNet")
    proxies: int = parameter(10, "cosine proxies of each class", ge=1, le=100, source="PODNet")
    scale: float = parameter(1.0, "eta at the start; it is learned", gt=0, le=100, source="PODNet")
    margin: float = parameter(0.6, "delta of nca, on the positive class's score", ge=0, le=2, source="PODNet")


class PodnetClassifier(MemoryTraining):
    """An increment's classifier."""

    schedule: Literal["steps", "steps_50_75", "steps_33_67", "cosine", "constant"] = parameter(
        "cosine",
        "steps: x 0.2 at 30, 60, 80 % of the phase; steps_50_75, steps_33_67: x 0.1 at those",
        source="PODNet, CIFAR-100",
    )
    loss: Literal["nca", "ce", "balanced", "relaxed", "posthoc"] = parameter(
        "nca",
        "all but nca: cross-entropy on eta times the class score; a prior is added after the scale",
        source="PODNet",
    )
    margin: float = parameter(0.6, "delta of nca, on the positive class's score", ge=0, le=2, source="PODNet")
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


class PodnetFinetuning(Finetuning):
    """Balanced finetuning of the head."""

    learning_rate: float = parameter(0.05, "at the first step", gt=0, le=10, source="PODNet")
    loss: Literal["nca", "ce"] = parameter("nca", "nca: with the margin", source="PODNet")
    margin: float = parameter(0.6, "delta of nca, on the positive class's score", ge=0, le=2, source="PODNet")


class Base(Settings):
    """The base task."""

    classifier: ProxyBase = ProxyBase()
    memory: MemoryBudget = MemoryBudget()


class Increment(Settings):
    """Every increment after it."""

    classifier: PodnetClassifier = PodnetClassifier()
    finetune: PodnetFinetuning = PodnetFinetuning()
    memory: AsBefore = AsBefore()

    @model_validator(mode="after")
    def _corrected_once(self) -> "Increment":
        refuse_finetuning_after_posthoc(self.classifier.loss, self.finetune)
        return self


class PodnetConfig(Settings):
    """Configuration of `podnet`."""

    base: Base = Base()
    increment: Increment = Increment()


def train_proxy_base(config: ProxyBase, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """NCA (or cross-entropy) on the base classes, with proxies."""
    loss_of = cross_entropy if config.loss == "ce" else _nca_of(config.margin)
    return train_base_with(config, data, context, loss_of, head="proxies", scale=config.scale, proxies=config.proxies)


def train_podnet(config: PodnetClassifier, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Classification loss + sqrt(n_seen / n_new) (weight_spatial POD-spatial + weight_flat POD-flat)."""
    return train_host(
        config,
        data,
        state,
        context,
        lambda setting: _loss(config, setting),
        imprint=config.imprint,
        freeze_old_head=config.old_head == "frozen",
    )


def _loss(config: PodnetClassifier, setting: Setting) -> LossOf:
    stages = compared_stages(setting.teacher.shape.network)
    factor = math.sqrt((setting.n_old + setting.n_new) / setting.n_new)

    def loss_of(student: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        activations = student.activations(images)
        with torch.no_grad():
            old_activations = setting.teacher.activations(images)
        embedding = activations[POOLED]
        if config.loss == "nca":
            classification = nca(scores_of(student, embedding), scale_of(student), labels, config.margin)
        else:
            classification = shifted_cross_entropy(student.head(embedding), labels, setting.prior)
        spatial = pod_spatial([activations[i] for i in stages], [old_activations[i] for i in stages])
        flat = pod_flat(embedding, old_activations[POOLED])
        total = classification + factor * (config.weight_spatial * spatial + config.weight_flat * flat)
        name = "nca" if config.loss == "nca" else "ce"
        return total, {name: classification, "spatial": spatial, "flat": flat}

    return loss_of


def _nca_of(margin: float) -> LossOf:
    def loss_of(student: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        scores = scores_of(student, student.features(images, POOLED))
        loss = nca(scores, scale_of(student), labels, margin)
        return loss, {"nca": loss}

    return loss_of


def finetune_podnet(config: PodnetFinetuning, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """NCA (or cross-entropy) on a balanced set."""
    loss_of = cross_entropy if config.loss == "ce" else _nca_of(config.margin)
    return finetune_balanced(config, data, state, context, loss_of)


def _check_fit(config: PodnetConfig, extent: Extent) -> None:
    check_memory_fits(config.base.memory, extent)
    if extent.n_base == 1 and config.base.classifier.loss == "nca":
        raise TuneCLError(
            "base.classifier.loss: 'nca' compares a class with others, and this stream's base task has one class; set "
            "base.classifier.loss: ce, or take a stream with a larger base"
        )


METHOD = Method(
    name="podnet",
    summary="cosine proxies, pooled outputs distillation, balanced finetuning, a memory",
    config=PodnetConfig,
    base=(Phase("classifier", "proxies.base.classifier", 1, train_proxy_base, real_images), BASE_MEMORY),
    increment=(
        Phase("classifier", "podnet.classifier", 1, train_podnet, host_images, sees_memory=True),
        Phase(
            "finetune",
            "proxies.finetune",
            1,
            finetune_podnet,
            finetuning_images,
            sees_memory=True,
            needed=lambda config: config.epochs > 0,
        ),
        NEXT_MEMORY,
    ),
    check_fit=_check_fit,
    memory=lambda config, old: planned_memory(config.base.memory, old),
)
