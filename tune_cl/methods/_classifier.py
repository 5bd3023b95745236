"""Classifier phases without replay: the base task, plain fine-tuning, LwF and joint training."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor

from tune_cl.losses import distillation, expected_counts, log_prior, shifted_cross_entropy
from tune_cl.methods._phase import CLASSIFIER, PhaseContext, PhaseData, PhaseResult, State
from tune_cl.methods._training import ClassifierTraining, train_classifier
from tune_cl.methods._tree import parameter
from tune_cl.nets import (
    Classifier,
    ClassifierShape,
    build_classifier,
    crop_and_flip,
    grow_head,
    new_classifier,
    save_classifier,
)
from tune_cl.streams import Batches, LabelledImages, Pixels


class BaseClassifier(ClassifierTraining):
    """The base task's classifier: its network and how it is trained."""

    network: Literal["small_cnn", "resnet18_cifar"] = parameter(
        "resnet18_cifar", "small_cnn: five convolutions for 28x28 on a CPU", source="genifer"
    )
    width: int = parameter(64, "channels after the stem (resnet18_cifar: 64)", ge=1, le=1024, source="genifer")
    batch_size: int = parameter(32, "images in one step", ge=1, source="genifer")
    optimizer: Literal["sgd", "adamw", "radam"] = parameter("sgd", "sgd has Nesterov momentum 0.9", source="genifer")
    learning_rate: float = parameter(0.1, "at the first step", gt=0, le=10, source="genifer")

    @model_validator(mode="after")
    def _width_exists(self) -> "BaseClassifier":
        if self.network == "resnet18_cifar" and self.width != 64:
            raise ValueError(
                f"network 'resnet18_cifar' has width 64, not {self.width}: set width: 64, or use small_cnn"
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
    """Cross-entropy on the base classes, from initial weights."""
    shape = ClassifierShape(config.network, config.width, tuple(data.new.images.shape[1:]), data.n_new)  # type: ignore[arg-type]
    classifier = new_classifier(shape, context.place.seed("weights"))
    return train_on_images(classifier, config, data.new, config.batch_size, data, context)


def fine_tune(config: ReplayFreeIncrement, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Cross-entropy over all seen classes on the new images alone: the lower rung of the ladder."""
    return train_on_images(grown(state, data, context), config, data.new, config.batch_size, data, context)


def train_jointly(config: JointIncrement, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Cross-entropy on all real images seen so far, as many steps and images in a step as the oracle has."""
    assert data.past is not None
    everything = LabelledImages(
        torch.cat([data.past.images, data.new.images]), torch.cat([data.past.labels, data.new.labels])
    )
    return train_on_images(grown(state, data, context), config, everything, joint_batch(config), data, context)


def learn_without_forgetting(
    config: LwfClassifier, data: PhaseData, state: State, context: PhaseContext
) -> PhaseResult:
    """(Relaxed) cross-entropy and distillation of the teacher's old logits, both on the new images."""
    teacher = build_classifier(state[CLASSIFIER]).to(context.device).frozen()
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
    images: LabelledImages,
    batch_size: int,
    data: PhaseData,
    context: PhaseContext,
    loss_of: Callable[[Classifier, Tensor, Tensor], tuple[Tensor, Mapping[str, Tensor]]] = cross_entropy,
) -> PhaseResult:
    """Train on augmented real images for as many steps as the increment's own images give epochs."""
    classifier.to(context.device)
    real = RealBatches(images, batch_size, data, context)
    steps = classifier_steps(config, len(data.new.labels))
    losses = train_classifier(classifier, config, steps, lambda step: loss_of(classifier, *real.draw(step)), context)
    return PhaseResult({CLASSIFIER: save_classifier(classifier)}, steps * batch_size, losses)


def classifier_steps(config: ClassifierTraining, n_images: int) -> int:
    """Steps of a phase: passes over the increment's own real images, the same on every rung of the ladder."""
    return config.epochs * -(-n_images // config.batch_size)


def real_images(config: ClassifierTraining, n_images: int) -> int:
    """Images that a phase without replay trains on."""
    return classifier_steps(config, n_images) * config.batch_size


def joint_images(config: JointIncrement, n_images: int) -> int:
    """Images that joint training trains on."""
    return classifier_steps(config, n_images) * joint_batch(config)


def joint_batch(config: JointIncrement) -> int:
    """Images in a step of joint training."""
    return round(config.batch_size / (1 - config.replay_share))


def grown(state: State, data: PhaseData, context: PhaseContext) -> Classifier:
    """The previous classifier with a head for all classes seen."""
    previous = build_classifier(state[CLASSIFIER])
    return grow_head(previous, data.n_old + data.n_new, context.place.seed("head"))


def new_class_counts(data: PhaseData) -> Tensor:
    """Real images of each new class: (n_new,) float32."""
    return torch.bincount(data.new.labels - data.n_old, minlength=data.n_new).float()


class RealBatches:
    """Batches of real images on the device, cropped and flipped, each sample on its own."""

    def __init__(self, images: LabelledImages, batch_size: int, data: PhaseData, context: PhaseContext) -> None:
        self._images, self._labels = images.images.to(context.device), images.labels.to(context.device)
        self._batches = Batches(len(images.labels), batch_size, context.place)
        self._augment = Augment(data, context)
        self._pixels = self._augment.pixels

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Normalised augmented images (B, C, H, W) float32 and labels (B,) of a step."""
        index = self._batches.indices(step).to(self._images.device)
        return self._augment(self._pixels.normalise(self._images[index]), "augment", step), self._labels[index]


class Augment:
    """The stream's own augmentation (crop and flip) in normalised pixel space."""

    def __init__(self, data: PhaseData, context: PhaseContext) -> None:
        self.pixels = Pixels(data.preprocessing, context.device)
        self._preprocessing, self._context = data.preprocessing, context

    def __call__(self, images: Tensor, purpose: str, step: int) -> Tensor:
        """Augment a batch; the draws depend on the place, the purpose and the step only."""
        random = self._context.place.generator(purpose, step, self._context.device)
        padding, flip = self._preprocessing.crop_padding, self._preprocessing.flip
        return crop_and_flip(images, padding, flip, random, fill=self.pixels.black.flatten())
