"""Classifier phases without replay: the base task, plain fine-tuning, LwF and joint training."""

import re
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from pydantic import field_validator, model_validator
from torch import Tensor

from tune_cl.losses import distillation, expected_counts, log_prior, shifted_cross_entropy
from tune_cl.methods import CLASSIFIER, Phase, PhaseContext, PhaseData, PhaseResult, Sizes, State, parameter
from tune_cl.nets import (
    Classifier,
    ClassifierShape,
    build_classifier,
    fixed_width,
    get_network,
    grow_head,
    load_backbone,
    network_names,
    new_classifier,
    save_classifier,
)
from tune_cl.streams import ImageSource, join
from tune_cl.training._batches import RealBatches
from tune_cl.training._frozen import frozen_classifier
from tune_cl.training._loop import OPTIMIZERS, ClassifierTraining, Optimizer, train_classifier


class BaseClassifier(ClassifierTraining):
    """The base task's classifier: its network and how it is trained."""

    network: str = parameter(
        "resnet18_cifar",
        "small_cnn: five convolutions for 28x28 on a CPU; resnet18: ImageNet's, for 224x224; resnet32_projection: "
        "LUCIR's; resnet32_podnet: PODNet's",
        source="genifer",
        choices=network_names,
    )
    width: int = parameter(
        64,
        "channels after the stem (resnet18_cifar, resnet18: 64; resnet32_*: 16)",
        ge=1,
        le=1024,
        source="genifer",
    )
    pretrained: str = parameter(
        "none", "SHA-256 of the weights file of --backbone-weights; only resnet18", source="own", later=True
    )
    final_relu: bool = parameter(
        True, "false: none after the last block, as before LUCIR's and PODNet's heads", source="genifer", later=True
    )
    batch_size: int = parameter(32, "images in one step", ge=1, source="genifer")
    optimizer: Optimizer = parameter("sgd", OPTIMIZERS, source="genifer")
    learning_rate: float = parameter(0.1, "at the first step", gt=0, le=10, source="genifer")

    @field_validator("network")
    @classmethod
    def _is_known(cls, value: str) -> str:
        return get_network(value).name

    @model_validator(mode="after")
    def _width_exists(self) -> "BaseClassifier":
        width = fixed_width(self.network)
        if width is not None and self.width != width:
            raise ValueError(
                f"network '{self.network}' has width {width}, not {self.width}: set width: {width}, or use small_cnn"
            )
        return self

    @field_validator("pretrained")
    @classmethod
    def _is_a_hash(cls, value: str) -> str:
        if value != "none" and not re.fullmatch("[0-9a-f]{64}", value):
            raise ValueError(
                f"{value!r} is neither 'none' nor a SHA-256 (64 hex digits, small letters); --backbone-weights FILE "
                "sets that of a file"
            )
        return value

    @model_validator(mode="after")
    def _weights_fit(self) -> "BaseClassifier":
        if self.pretrained != "none" and self.network != "resnet18":
            raise ValueError(
                f"pretrained weights are for network 'resnet18', not '{self.network}': set network: resnet18"
            )
        return self


class LwfClassifier(ClassifierTraining):
    """Learning without forgetting: distillation of the old logits on the new images."""

    loss: Literal["ce", "relaxed"] = parameter(
        "relaxed", "ce: over all seen classes; relaxed: a count epsilon for old classes", source="balanced-softmax"
    )
    epsilon: float = parameter(
        1e-6, "count of an old class, as a share of a new class's", gt=0, le=1, source="balanced-softmax, limit"
    )
    weight_kd: float = parameter(1.0, "weight of the distillation", ge=0, le=1000, source="Li & Hoiem 2016")
    temperature: float = parameter(2.0, "of both softmaxes", gt=0, le=100, source="Li & Hoiem 2016")


class ReplayFreeIncrement(ClassifierTraining):
    """Fine-tuning on the new classes alone."""


class JointIncrement(ClassifierTraining):
    """Training on all real images seen so far."""

    replay_share: float = parameter(
        0.5,
        "share of a step's images on top of batch_size, so that a step is as large as the oracle's",
        ge=0,
        le=0.95,
        source="own: equal budget on every rung",
    )


def train_base(config: BaseClassifier, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Cross-entropy on the base classes, from initial weights or pretrained ones."""
    return train_base_with(config, data, context, cross_entropy)


def train_base_with(
    config: BaseClassifier,
    data: PhaseData,
    context: PhaseContext,
    loss_of: Callable[[Classifier, Tensor, Tensor], tuple[Tensor, Mapping[str, Tensor]]],
    *,
    head: str = "linear",
    proxies: int = 10,
    scale: float = 1.0,
    similarity: str = "cosine",
) -> PhaseResult:
    """Train a new classifier with some head by some loss on the base classes."""
    shape = ClassifierShape(
        config.network,
        config.width,
        data.image_shape,
        data.n_new,
        head=head,
        proxies=proxies,
        scale=scale,
        similarity=similarity,
        final_relu=config.final_relu,
    )
    classifier = new_classifier(shape, context.random_key.seed("weights"))
    if config.pretrained != "none":
        assert context.backbone is not None
        load_backbone(classifier, context.backbone)
    return train_on_images(classifier, config, data.new, config.batch_size, data, context, loss_of=loss_of)


def fine_tune(config: ReplayFreeIncrement, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Cross-entropy over all seen classes on the new images alone: the lower rung of the ladder."""
    return train_on_images(grown(state, data, context), config, data.new, config.batch_size, data, context)


def train_jointly(config: JointIncrement, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Cross-entropy on all real images seen so far, as many steps and images in a step as the oracle has."""
    assert data.past is not None
    everything = join([data.past, data.new])
    return train_on_images(grown(state, data, context), config, everything, joint_batch(config), data, context)


def learn_without_forgetting(
    config: LwfClassifier, data: PhaseData, state: State, context: PhaseContext
) -> PhaseResult:
    """(Relaxed) cross-entropy and distillation of the teacher's old logits, both on the new images."""
    teacher = frozen_classifier(state, context)
    counts = expected_counts(new_class_counts(data), data.n_old, 0.0)
    epsilon = config.epsilon * float(counts[data.n_old :].mean())
    prior = log_prior(counts, data.n_old, epsilon=epsilon).to(context.device) if config.loss == "relaxed" else None

    def loss_of(classifier: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        logits = classifier(images)
        ce = shifted_cross_entropy(logits, labels, prior)
        with torch.no_grad():
            old_logits = teacher(images)
        kd = distillation(logits, old_logits, config.temperature, over="old")
        return ce + config.weight_kd * kd, {"ce": ce, "kd": kd}

    return train_on_images(
        grown(state, data, context), config, data.new, config.batch_size, data, context, loss_of=loss_of
    )


def cross_entropy(classifier: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Plain cross-entropy over all logits."""
    ce = shifted_cross_entropy(classifier(images), labels)
    return ce, {"ce": ce}


def train_on_images(
    classifier: Classifier,
    config: ClassifierTraining,
    images: ImageSource,
    batch_size: int,
    data: PhaseData,
    context: PhaseContext,
    loss_of: Callable[[Classifier, Tensor, Tensor], tuple[Tensor, Mapping[str, Tensor]]] = cross_entropy,
) -> PhaseResult:
    """Train on augmented real images for as many steps as the increment's own images give epochs."""
    context.ready(classifier)
    real = RealBatches(images, batch_size, data, context)
    steps = classifier_steps(config, len(data.new.labels))
    losses = train_classifier(classifier, config, steps, lambda step: loss_of(classifier, *real.draw(step)), context)
    return PhaseResult({CLASSIFIER: save_classifier(classifier)}, steps * batch_size, losses)


def classifier_steps(config: ClassifierTraining, n_images: int) -> int:
    """Steps of a phase: passes over the increment's own real images, the same on every rung of the ladder."""
    return config.epochs * -(-n_images // config.batch_size)


def real_images(config: ClassifierTraining, sizes: Sizes) -> int:
    """Images that a phase without replay trains on."""
    return classifier_steps(config, sizes.images) * config.batch_size


def joint_images(config: JointIncrement, sizes: Sizes) -> int:
    """Images that joint training trains on."""
    return classifier_steps(config, sizes.images) * joint_batch(config)


def joint_batch(config: JointIncrement) -> int:
    """Images in a step of joint training."""
    return round(config.batch_size / (1 - config.replay_share))


def grown(state: State, data: PhaseData, context: PhaseContext) -> Classifier:
    """The previous classifier with a head for all classes seen."""
    previous = build_classifier(state[CLASSIFIER])
    return grow_head(previous, data.n_old + data.n_new, context.random_key.seed("head"))


def new_class_counts(data: PhaseData) -> Tensor:
    """Real images of each new class: (n_new,) float32."""
    return torch.bincount(data.new.labels - data.n_old, minlength=data.n_new).float()


BASE_CLASSIFIER = Phase("classifier", "base.classifier", 1, train_base, real_images)
