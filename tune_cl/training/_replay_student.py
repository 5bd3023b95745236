"""What replay is worth, by a measure that no loss trains for: a small student learns from replay alone.

The accuracy of the old classifier on replay says little, where replay was trained to be recognised by it. So before
each increment a new network, always of the same small kind and trained by the same recipe, sees what is replayed
and nothing else; a chain scores it on real validation images of the old classes. It is a stage beside the chain:
nothing that the chain trains depends on it, and its cost is told apart.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tune_cl.methods import Phase, PhaseContext, PhaseData, PhaseResult, Settings, Sizes, State, parameter
from tune_cl.nets import POOLED, ClassifierShape, new_classifier, save_classifier
from tune_cl.replay import ReplaySource
from tune_cl.streams import Pixels
from tune_cl.training._frozen import frozen_classifier
from tune_cl.training._loop import ClassifierTraining, train_classifier
from tune_cl.training._replay_classifier import replay_of_generator, replay_of_past

STUDENT = "student"  # the component that the stage holds
SPREAD = "spread"  # its metric: see `within_class_spread`
_BATCH, _WIDTH = 32, 8
_RECIPE = ClassifierTraining(batch_size=_BATCH, optimizer="adamw", learning_rate=2e-3, schedule="cosine")
_SPREAD_BATCHES = 16


class Student(Settings):
    """The student by which replay is judged; its recipe is fixed, so that figures of one number of steps compare."""

    steps: int = parameter(
        0,
        "steps, of 32 replayed images each, in which a small student learns from replay alone, to judge it; 0: none",
        ge=0,
        source="own",
        later=True,
    )


def student_of_generator(config: Student, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """A student of what the generator before this increment replays."""
    return _student(config, data, state, context, replay_of_generator(data, state, context))


def student_of_past(config: Student, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """The oracle's: a student of real images of the past, which is as far as the recipe goes."""
    return _student(config, data, state, context, replay_of_past(data, context))


def student_images(config: Student, sizes: Sizes | None = None) -> int:
    """Images that the student is trained on."""
    return config.steps * _BATCH


def _student(
    config: Student, data: PhaseData, state: State, context: PhaseContext, source: ReplaySource
) -> PhaseResult:
    pixels = Pixels(data.preprocessing, context.device)
    shape = ClassifierShape("small_cnn", _WIDTH, data.image_shape, data.n_old)
    student = context.ready(new_classifier(shape, context.random_key.seed(STUDENT)))

    def batch_loss(step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        replayed = source.draw(_BATCH, STUDENT, step)
        loss = functional.cross_entropy(student(pixels.centre(replayed.images)), replayed.labels)
        return loss, {"ce": loss}

    losses = train_classifier(student, _RECIPE, config.steps, batch_loss, context)
    teacher = frozen_classifier(state, context)
    with torch.no_grad():
        drawn = [source.draw(_BATCH, SPREAD, step) for step in range(_SPREAD_BATCHES)]
        features = torch.cat([teacher.features(pixels.centre(batch.images), POOLED) for batch in drawn])
    spread = within_class_spread(features, torch.cat([batch.labels for batch in drawn]))
    return PhaseResult({STUDENT: save_classifier(student)}, student_images(config), losses, {SPREAD: spread})


def within_class_spread(features: Tensor, labels: Tensor) -> float:
    """Root of the variance of features around the mean of their class, summed over features; NaN where none has two.

    Args:
        features: (N, D) float32.
        labels: (N,) int64.
    """
    classes, places = labels.unique(return_inverse=True)
    counts = torch.bincount(places).to(features.dtype)
    sums = torch.zeros(len(classes), features.shape[1], dtype=features.dtype, device=features.device)
    means = sums.index_add(0, places, features) / counts[:, None]
    freedom = len(labels) - len(classes)
    return math.sqrt(float((features - means[places]).square().sum()) / freedom) if freedom > 0 else math.nan


def _is_wanted(config: Any) -> bool:
    steps: int = config.increment.student.steps
    return steps > 0


GENERATOR_STUDENT = Phase(STUDENT, "replay.student", 1, student_of_generator, student_images, needed=_is_wanted)
PAST_STUDENT = Phase(STUDENT, "oracle.student", 1, student_of_past, student_images, sees_past=True, needed=_is_wanted)
