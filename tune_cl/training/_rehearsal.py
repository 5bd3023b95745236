"""What methods with a memory share: new images and exemplars shuffled together, and counts of both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from tune_cl.losses import sigmoid_shift
from tune_cl.methods import CLASSIFIER, PhaseContext, PhaseData, PhaseResult, Settings, Sizes, State, parameter
from tune_cl.nets import Classifier, build_classifier, folded, grow_head, imprint_head, save_classifier
from tune_cl.streams import ClassUniform, join
from tune_cl.training._batches import RealBatches
from tune_cl.training._features import pooled_features
from tune_cl.training._loop import OPTIMIZERS, SCHEDULES, ClassifierTraining, Optimizer, Schedule, train_classifier
from tune_cl.training._prior import PriorParameters, posthoc_adjustment, training_prior

LossOf = Callable[[Classifier, Tensor, Tensor], tuple[Tensor, Mapping[str, Tensor]]]
_BALANCING = ("balanced", "relaxed", "posthoc", "balanced_bce")
_COUNTING = {"balanced": "relaxed", "posthoc": "relaxed", "balanced_bce": "bce"}  # -> what does without exemplars


class MemoryTraining(PriorParameters, ClassifierTraining):
    """How an increment's classifier is trained on new images and exemplars."""

    epochs: int = parameter(160, "passes over new images and exemplars together", ge=1, source="LUCIR, CIFAR-100")
    batch_size: int = parameter(128, "images in one step, new ones and exemplars", ge=1, source="LUCIR, CIFAR-100")
    optimizer: Optimizer = parameter("sgd", OPTIMIZERS, source="LUCIR, CIFAR-100")
    learning_rate: float = parameter(0.1, "at the first step", gt=0, le=10, source="LUCIR, CIFAR-100")
    weight_decay: float = parameter(5e-4, "per unit of learning rate", ge=0, le=1, source="LUCIR, CIFAR-100")
    schedule: Schedule = parameter("steps_50_75", SCHEDULES, source="LUCIR, CIFAR-100")
    sampler: Literal["shuffled", "class_balanced"] = parameter(
        "shuffled",
        "class_balanced: a class uniformly, then one of its images; not beside a balanced loss",
        source="balanced-softmax",
    )

    @model_validator(mode="after")
    def _balanced_once(self) -> "MemoryTraining":
        loss = getattr(self, "loss", "ce")
        if self.sampler == "class_balanced" and loss in _BALANCING:
            raise ValueError(
                f"loss '{loss}' already balances the classes: a class_balanced sampler on top of it over-balances; set "
                "sampler: shuffled, or loss: ce"
            )
        return self


class RehearsalConfig(Settings):
    """Configuration of a method with a memory: what needs exemplars is refused where there are none."""

    @model_validator(mode="after")
    def _memory_serves(self) -> "RehearsalConfig":
        config: Any = self
        training, finetune = config.increment.classifier, config.increment.finetune
        if training.loss == "posthoc" and finetune.epochs:
            raise ValueError(
                "loss 'posthoc' and balanced finetuning correct the same bias twice: set increment.finetune.epochs: 0, "
                "or another loss"
            )
        if config.base.memory.size == 0:
            _check_without_memory(training.loss, training.sampler, finetune.epochs)
        return self


def _check_without_memory(loss: str, sampler: str, finetune_epochs: int) -> None:
    keep = "or keep exemplars, base.memory.size: 20, say"
    if loss in _COUNTING:
        raise ValueError(
            f"increment.classifier.loss '{loss}' counts the old classes' exemplars, and base.memory.size: 0 keeps "
            f"none; set increment.classifier.loss: {_COUNTING[loss]}, {keep}"
        )
    if sampler == "class_balanced":
        raise ValueError(
            "increment.classifier.sampler 'class_balanced' draws the old classes' exemplars, and base.memory.size: 0 "
            f"keeps none; set sampler: shuffled, {keep}"
        )
    if finetune_epochs:
        raise ValueError(
            "balanced finetuning trains on the old classes' exemplars, and base.memory.size: 0 keeps none; set "
            f"increment.finetune.epochs: 0, {keep}"
        )


@dataclass(frozen=True)
class RehearsalContext:
    """What an exemplar method's loss is built from."""

    teacher: Classifier  # frozen, on the device
    prior: Tensor | None  # (C,) added to the logits in the classification loss, on the device
    sigmoid_shift: Tensor | None  # (C,) the same for a loss on sigmoids
    n_old: int
    n_new: int


def train_with_exemplars(
    config: MemoryTraining,
    data: PhaseData,
    state: State,
    context: PhaseContext,
    loss_of: Callable[[RehearsalContext], LossOf],
    *,
    imprint: bool = False,
    freeze_old_head: bool = False,
) -> PhaseResult:
    """Train the grown classifier on new images and exemplars, shuffled together.

    Args:
        config: the method's; `config.loss` decides on prior and adjustment.
        data: the increment, with exemplars where there are any.
        state: the chain's; holds the classifier before this increment, which is the teacher.
        context: where and how.
        loss_of: makes the loss of (student, images, labels) from the setting.
        imprint: start the new classes' weights from their images' features.
        freeze_old_head: leave the old classes' weights in the head bit for bit as they are.
    """
    loss: str = config.loss  # type: ignore[attr-defined]
    teacher = build_classifier(state[CLASSIFIER])
    student = grow_head(teacher, data.n_old + data.n_new, context.random_key.seed("head"))
    frozen = context.ready(folded(teacher))
    if imprint:
        features = pooled_features(frozen, data.new, data, context)
        imprint_head(student, features, data.new.labels, data.n_old, context.random_key.seed("imprint"))
    context.ready(student)
    images = data.new if data.memory is None else join([data.memory, data.new])
    counts = torch.bincount(images.labels, minlength=data.n_old + data.n_new).float()
    prior = training_prior(loss, config, counts, data.n_old)
    shift = sigmoid_shift(counts) if loss == "balanced_bce" else None
    setting = RehearsalContext(
        frozen,
        None if prior is None else prior.to(context.device),
        None if shift is None else shift.to(context.device),
        data.n_old,
        data.n_new,
    )
    batches = (
        ClassUniform(images.labels, config.batch_size, context.random_key, "balanced order")
        if config.sampler == "class_balanced"
        else None
    )
    real = RealBatches(images, config.batch_size, data, context, batches)
    steps = steps_over(config, len(images))
    objective = loss_of(setting)
    old_rows = student.head.weight[: data.n_old].detach().clone()

    def restore() -> None:
        with torch.no_grad():
            student.head.weight[: data.n_old] = old_rows

    losses = train_classifier(
        student,
        config,
        steps,
        lambda step: objective(student, *real.draw(step)),
        context,
        after_step=restore if freeze_old_head else None,
    )
    student.set_adjustment(posthoc_adjustment(loss, config, counts, data.n_old))
    return PhaseResult({CLASSIFIER: save_classifier(student)}, steps * config.batch_size, losses)


def rehearsal_images(config: MemoryTraining, sizes: Sizes) -> int:
    """Images that an exemplar method trains on in an increment."""
    return steps_over(config, sizes.images + sizes.memory) * config.batch_size


def steps_over(config: ClassifierTraining, n_images: int) -> int:
    """Steps of `epochs` passes over n images."""
    return config.epochs * -(-n_images // config.batch_size)


def scores_of(classifier: Classifier, features: Tensor) -> Tensor:
    """Scores in [-1, 1] of a head that compares directions, without its scale: (B, C)."""
    assert not isinstance(classifier.head, nn.Linear)
    return classifier.head.scores(features)


def scale_of(classifier: Classifier) -> Tensor:
    """The learned scale eta of such a head: a scalar."""
    assert not isinstance(classifier.head, nn.Linear)
    return classifier.head.scale
