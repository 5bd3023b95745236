"""What hosts with a memory share: new images and exemplars shuffled together, counts of both, balanced finetuning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from tune_cl.losses import sigmoid_shift
from tune_cl.methods._batches import RealBatches
from tune_cl.methods._features import pooled_features
from tune_cl.methods._phase import CLASSIFIER, PhaseContext, PhaseData, PhaseResult, Sizes, State
from tune_cl.methods._prior import PriorParameters, posthoc_adjustment, training_prior
from tune_cl.methods._training import ClassifierTraining, train_classifier
from tune_cl.methods._tree import parameter
from tune_cl.nets import Classifier, build_classifier, grow_head, imprint_head, save_classifier
from tune_cl.streams import ClassUniform, Place, join

LossOf = Callable[[Classifier, Tensor, Tensor], tuple[Tensor, Mapping[str, Tensor]]]
_BALANCING = ("balanced", "relaxed", "posthoc", "balanced_bce")


class MemoryTraining(PriorParameters, ClassifierTraining):
    """How an increment's classifier is trained on new images and exemplars."""

    epochs: int = parameter(160, "passes over new images and exemplars together", ge=1, source="LUCIR, CIFAR-100")
    batch_size: int = parameter(128, "images in one step, new ones and exemplars", ge=1, source="LUCIR, CIFAR-100")
    optimizer: Literal["sgd", "adamw", "radam"] = parameter(
        "sgd", "sgd has Nesterov momentum 0.9; adamw and radam decouple the weight decay", source="LUCIR, CIFAR-100"
    )
    learning_rate: float = parameter(0.1, "at the first step", gt=0, le=10, source="LUCIR, CIFAR-100")
    weight_decay: float = parameter(5e-4, "per unit of learning rate", ge=0, le=1, source="LUCIR, CIFAR-100")
    schedule: Literal["steps", "steps_50_75", "steps_33_67", "cosine", "constant"] = parameter(
        "steps_50_75",
        "steps: x 0.2 at 30, 60, 80 % of the phase; steps_50_75, steps_33_67: x 0.1 at those",
        source="LUCIR, CIFAR-100",
    )
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


class Finetuning(ClassifierTraining):
    """Balanced finetuning after an increment: all exemplars and as many images of each new class, plain loss."""

    epochs: int = parameter(20, "passes over the balanced set; 0: no finetuning", ge=0, source="LUCIR; PODNet")
    batch_size: int = parameter(128, "images in one step", ge=1, source="LUCIR, CIFAR-100")
    optimizer: Literal["sgd", "adamw", "radam"] = parameter(
        "sgd", "sgd has Nesterov momentum 0.9; adamw and radam decouple the weight decay", source="LUCIR; PODNet"
    )
    learning_rate: float = parameter(0.01, "at the first step", gt=0, le=10, source="LUCIR")
    weight_decay: float = parameter(5e-4, "per unit of learning rate", ge=0, le=1, source="LUCIR, CIFAR-100")
    schedule: Literal["steps", "steps_50_75", "steps_33_67", "cosine", "constant"] = parameter(
        "constant",
        "steps: x 0.2 at 30, 60, 80 % of the phase; steps_50_75, steps_33_67: x 0.1 at those",
        source="own",
    )
    trains: Literal["head", "all"] = parameter(
        "head", "head: the classifier's last layer, features as in prediction", source="LUCIR; PODNet"
    )


@dataclass(frozen=True)
class Setting:
    """What a host's loss is built from."""

    teacher: Classifier  # frozen, on the device
    prior: Tensor | None  # (C,) added to the logits in the classification loss, on the device
    sigmoid_shift: Tensor | None  # (C,) the same for a loss on sigmoids
    n_old: int
    n_new: int


def train_host(
    config: MemoryTraining,
    data: PhaseData,
    state: State,
    context: PhaseContext,
    loss_of: Callable[[Setting], LossOf],
    *,
    imprint: bool = False,
    freeze_old_head: bool = False,
) -> PhaseResult:
    """Train the grown classifier on new images and exemplars, shuffled together.

    Args:
        config: the host's; `config.loss` decides on prior and adjustment.
        data: the increment, with exemplars where there are any.
        state: the chain's; holds the classifier before this increment, which is the teacher.
        context: where and how.
        loss_of: makes the loss of (student, images, labels) from the setting.
        imprint: start the new classes' weights from their images' features.
        freeze_old_head: leave the old classes' weights in the head bit for bit as they are.
    """
    loss: str = config.loss  # type: ignore[attr-defined]
    teacher = build_classifier(state[CLASSIFIER])
    student = grow_head(teacher, data.n_old + data.n_new, context.place.seed("head"))
    if imprint:
        features = pooled_features(teacher.to(context.device).frozen(), data.new, data, context)
        imprint_head(student, features, data.new.labels, data.n_old, context.place.seed("imprint"))
    student.to(context.device)
    assert data.memory is not None
    images = join([data.memory, data.new])
    counts = torch.bincount(images.labels, minlength=data.n_old + data.n_new).float()
    prior = training_prior(loss, config, counts, data.n_old)
    shift = sigmoid_shift(counts) if loss == "balanced_bce" else None
    setting = Setting(
        teacher.to(context.device).frozen(),
        None if prior is None else prior.to(context.device),
        None if shift is None else shift.to(context.device),
        data.n_old,
        data.n_new,
    )
    batches = (
        ClassUniform(images.labels, config.batch_size, context.place, "balanced order")
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


def host_images(config: MemoryTraining, sizes: Sizes) -> int:
    """Images that a host trains on in an increment."""
    return steps_over(config, sizes.images + sizes.memory) * config.batch_size


def finetune_balanced(
    config: Finetuning, data: PhaseData, state: State, context: PhaseContext, loss_of: LossOf
) -> PhaseResult:
    """Go on with the classifier on a balanced set: the exemplars, and as many images of each new class."""
    classifier = build_classifier(state[CLASSIFIER]).to(context.device)
    classifier.set_adjustment(None)
    assert data.memory is not None
    per_class = max(1, len(data.memory) // data.n_old)
    images = join([data.memory, data.new.subset(_undersampled(data, per_class, context.place))])
    real = RealBatches(images, config.batch_size, data, context)
    steps = steps_over(config, len(images))
    only_head = config.trains == "head"
    classifier.requires_grad_(not only_head)
    classifier.head.requires_grad_(True)
    losses = train_classifier(
        classifier, config, steps, lambda step: loss_of(classifier, *real.draw(step)), context, training=not only_head
    )
    return PhaseResult({CLASSIFIER: save_classifier(classifier)}, steps * config.batch_size, losses)


def finetuning_images(config: Finetuning, sizes: Sizes) -> int:
    """Images that balanced finetuning trains on."""
    per_class = max(1, sizes.memory // sizes.n_old)
    return steps_over(config, sizes.memory + sum(min(per_class, n) for n in sizes.new)) * config.batch_size


def _undersampled(data: PhaseData, per_class: int, place: Place) -> Tensor:
    """Places of new images: so many of each new class, at random."""
    order = torch.randperm(len(data.new), generator=place.generator("undersample"))
    labels = data.new.labels[order]
    chosen = [order[labels == c][:per_class] for c in range(data.n_old, data.n_old + data.n_new)]
    return torch.cat(chosen).sort().values


def refuse_finetuning_after_posthoc(loss: str, finetune: Finetuning) -> None:
    """Refuse to correct one bias twice.

    Raises:
        ValueError: both are asked for.
    """
    if loss == "posthoc" and finetune.epochs:
        raise ValueError(
            "loss 'posthoc' and balanced finetuning correct the same bias twice: set increment.finetune.epochs: 0, or "
            "another loss"
        )


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
