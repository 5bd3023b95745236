"""Balanced finetuning after an increment: exemplars, and as many images of each new class."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tune_cl.methods import CLASSIFIER, Phase, PhaseContext, PhaseData, PhaseResult, Sizes, State, parameter
from tune_cl.nets import build_classifier, save_classifier
from tune_cl.streams import RandomKey, join
from tune_cl.training._batches import RealBatches
from tune_cl.training._loop import OPTIMIZERS, SCHEDULES, ClassifierTraining, Optimizer, Schedule, train_classifier
from tune_cl.training._rehearsal import LossOf, steps_over


class Finetuning(ClassifierTraining):
    """Balanced finetuning after an increment: all exemplars and as many images of each new class."""

    epochs: int = parameter(0, "passes over the balanced set; 0: no finetuning", ge=0, source="own: an optional phase")
    minimum_steps: int = parameter(
        0, "more passes where `epochs` of them take fewer steps than this", ge=0, source="own: small data sets"
    )
    batch_size: int = parameter(128, "images in one step", ge=1, source="LUCIR, CIFAR-100")
    optimizer: Optimizer = parameter("sgd", OPTIMIZERS, source="LUCIR; PODNet")
    learning_rate: float = parameter(0.01, "at the first step", gt=0, le=10, source="LUCIR")
    weight_decay: float = parameter(5e-4, "per unit of learning rate", ge=0, le=1, source="LUCIR, CIFAR-100")
    schedule: Schedule = parameter("steps_50", SCHEDULES, source="LUCIR")
    trains: Literal["head", "all"] = parameter("head", "head: the classifier's last layer", source="LUCIR; PODNet")
    batch_norm: Literal["eval", "train"] = parameter(
        "eval", "eval: statistics as in prediction; train: those of the batch, which are learnt", source="LUCIR"
    )


class ScaledFinetuning(Finetuning):
    """The same for a head with a learned scale."""

    scale: Literal["frozen", "trained"] = parameter("frozen", "eta in this phase", source="LUCIR; PODNet")


def finetune_balanced(
    config: Finetuning, data: PhaseData, state: State, context: PhaseContext, loss_of: LossOf
) -> PhaseResult:
    """Go on with the classifier on a balanced set: the exemplars, and as many images of each new class."""
    classifier = context.ready(build_classifier(state[CLASSIFIER]))
    classifier.set_adjustment(None)
    assert data.memory is not None
    per_class = max(1, len(data.memory) // data.n_old)
    images = join([data.memory, data.new.subset(_undersampled(data, per_class, context.random_key))])
    real = RealBatches(images, config.batch_size, data, context)
    steps = finetuning_steps(config, len(images))
    classifier.requires_grad_(config.trains == "all")
    classifier.head.requires_grad_(True)
    if isinstance(config, ScaledFinetuning) and not isinstance(classifier.head, nn.Linear):
        classifier.head.scale.requires_grad_(config.scale == "trained")
    losses = train_classifier(
        classifier,
        config,
        steps,
        lambda step: loss_of(classifier, *real.draw(step)),
        context,
        training=config.batch_norm == "train",
    )
    return PhaseResult({CLASSIFIER: save_classifier(classifier)}, steps * config.batch_size, losses)


def finetuning_steps(config: Finetuning, n_images: int) -> int:
    """Steps on a balanced set of n images: whole passes, at least `epochs` of them and `minimum_steps` steps."""
    in_pass = -(-n_images // config.batch_size)
    return max(steps_over(config, n_images), -(-config.minimum_steps // in_pass) * in_pass)


def finetuning_images(config: Finetuning, sizes: Sizes) -> int:
    """Images that balanced finetuning trains on."""
    per_class = max(1, sizes.memory // sizes.n_old)
    images = sizes.memory + sum(min(per_class, n) for n in sizes.new)
    return finetuning_steps(config, images) * config.batch_size


def finetuning_phase(
    kind: str, version: int, run: Callable[[Any, PhaseData, State, PhaseContext], PhaseResult]
) -> Phase:
    """The phase of an increment, for configurations that ask for at least one pass."""
    return Phase(
        "finetune",
        kind,
        version,
        run,
        finetuning_images,
        sees_memory=True,
        needed=lambda config: config.increment.finetune.epochs > 0,
    )


def _undersampled(data: PhaseData, per_class: int, key: RandomKey) -> Tensor:
    """Places of new images: so many of each new class, at random."""
    order = torch.randperm(len(data.new), generator=key.rng("undersample"))
    labels = data.new.labels[order]
    chosen = [order[labels == c][:per_class] for c in range(data.n_old, data.n_old + data.n_new)]
    return torch.cat(chosen).sort().values
