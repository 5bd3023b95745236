"""The classifier phase of Genifer: real new images and replayed old ones in every step (arXiv 2106.05350).

L = w_CE * L_CE + w_KD * L_KD + w_feat * L_feat, with w_KD = 1 - w_CE. L_CE is computed on the real new samples (with
`replay_labels: hard` also on the replayed ones), L_KD and L_feat on the replayed samples only.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor

from tune_cl.losses import distillation, expected_counts, feature_distance, log_prior, shifted_cross_entropy
from tune_cl.methods import CLASSIFIER, GENERATOR, PhaseContext, PhaseData, PhaseResult, Sizes, State, parameter
from tune_cl.nets import Classifier, build_classifier, save_classifier
from tune_cl.replay import GeneratorReplay, OracleReplay, ReplaySource
from tune_cl.streams import Pixels
from tune_cl.training._batches import Augment, RealBatches
from tune_cl.training._classifier import classifier_steps, grown, new_class_counts
from tune_cl.training._frozen import frozen_classifier, frozen_generator
from tune_cl.training._loop import ClassifierTraining, train_classifier

_JUDGED = 512  # replayed images on which replay_accuracy is measured
_JUDGED_AT_ONCE = 64  # of them, where they are so large that networks see a crop


class ReplayClassifier(ClassifierTraining):
    """An increment's classifier under replay."""

    epochs: int = parameter(
        50, "passes over the increment's real images", ge=1, source="genifer: 100, each leaving half of them out"
    )
    weight_ce: float = parameter(0.02, "w_CE; w_KD is 1 - w_CE", ge=0, le=1, source="genifer")
    weight_feature: float = parameter(1.0, "w_feat", ge=0, le=1000, source="genifer")
    temperature: float = parameter(1.0, "of the distillation", gt=0, le=100, source="genifer")
    distillation_layer: Literal[3, 4, 5, 6] = parameter(4, "layer whose features are distilled", source="genifer")
    teacher_batch_norm: Literal["eval", "train"] = parameter(
        "eval", "train: batch statistics of the replay, as the released code has it", source="own: the sane variant"
    )
    replay_share: float = parameter(0.5, "replayed share of a step's images", gt=0, le=0.95, source="genifer")
    replay_labels: Literal["soft", "hard"] = parameter(
        "soft", "hard: replayed images enter the cross-entropy under their labels, too", source="genifer"
    )
    loss: Literal["ce", "relaxed", "balanced"] = parameter(
        "ce", "relaxed: count epsilon for old classes; balanced: counts of what enters the loss", source="genifer"
    )
    epsilon: float = parameter(
        0.1, "relaxed: count of an old class, as a share of a new class's", gt=0, le=1, source="balanced-softmax"
    )
    tau: float = parameter(1.0, "relaxed, balanced: exponent on the counts", ge=0, le=4, source="balanced-softmax")
    alpha: float = parameter(
        1.0, "balanced: factor on the counts of old classes", gt=0, le=1000, source="balanced-softmax", later=True
    )
    replay_share_rule: Literal["fixed", "classes"] = parameter(
        "fixed", "fixed: replay_share; classes: n_old / n_seen in its place", source="genifer, range", later=True
    )
    distillation_over: Literal["all", "old"] = parameter(
        "all",
        "the student's logits that share a softmax in the distillation: of all its classes, or of the old ones alone",
        source="genifer; LwF",
        later=True,
    )

    @model_validator(mode="after")
    def _counts_exist(self) -> "ReplayClassifier":
        if self.loss == "balanced" and self.replay_labels == "soft":
            raise ValueError(
                "loss 'balanced' needs old samples in the loss: set replay_labels: hard, or use loss: relaxed"
            )
        return self


def train_with_generator(config: ReplayClassifier, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Genifer: replay from the previous generator."""
    return train_with_replay(config, data, state, context, replay_of_generator(data, state, context))


def train_with_oracle(config: ReplayClassifier, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """The oracle: the same with real images of the past."""
    return train_with_replay(config, data, state, context, replay_of_past(data, context))


def replay_of_generator(data: PhaseData, state: State, context: PhaseContext) -> GeneratorReplay:
    """What the generator in the state replays of the old classes."""
    generator = frozen_generator(state[GENERATOR], context)
    pixels = Pixels(data.preprocessing, context.device)
    return GeneratorReplay(generator, data.n_old, pixels, context.random_key, context.device, data.stored_size)


def replay_of_past(data: PhaseData, context: PhaseContext) -> OracleReplay:
    """Real images of the old classes; closed with the phase."""
    assert data.past is not None
    pixels = Pixels(data.preprocessing, context.device)
    source = OracleReplay(data.past, pixels, context.random_key, context.device, context.loader_workers)
    context.closing.callback(source.close)
    return source


def train_with_replay(
    config: ReplayClassifier,
    data: PhaseData,
    state: State,
    context: PhaseContext,
    source: ReplaySource,
    start: int = 0,
) -> PhaseResult:
    """Train the grown classifier on half real, half replayed batches.

    Args:
        config: the phase's configuration.
        data: the increment.
        state: holds the classifier before it, which is the teacher.
        context: where and how.
        source: of what is replayed.
        start: layer at which it enters the classifier: 0 images, else features; what comes before them stays as it is.
    """
    teacher = frozen_classifier(state, context)
    replay_accuracy = accuracy_on(teacher, source, Pixels(data.preprocessing, context.device), start)
    if config.teacher_batch_norm == "train":
        teacher = context.ready(build_classifier(state[CLASSIFIER])).frozen().train()
    student = context.ready(grown(state, data, context))
    unchanged = student.layers[:start].requires_grad_(False)
    real = RealBatches(data.new, config.batch_size, data, context)
    augment = Augment(data, context)
    n_replayed = replayed_per_step(config, data.n_old, data.n_new)
    prior = prior_of(config, data)
    prior = prior if prior is None else prior.to(context.device)
    loss = ReplayLoss(config, teacher, prior, data.n_old, start)
    steps = classifier_steps(config, len(data.new.labels))

    def batch_loss(step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        unchanged.eval()
        images, labels = real.draw(step)
        replayed = source.draw(n_replayed, "replay", step)
        old = augment(replayed.images, "augment replay", step) if start == 0 else replayed.images
        return loss(student, images, labels, old, replayed.labels)

    losses = train_classifier(student, config, steps, batch_loss, context)
    changed = {CLASSIFIER: save_classifier(student)}
    n_images = steps * (config.batch_size + n_replayed)
    return PhaseResult(changed, n_images, losses, {"replay_accuracy": replay_accuracy})


class ReplayLoss:
    """The three terms of Genifer's classifier loss on one composed batch."""

    def __init__(
        self, config: ReplayClassifier, teacher: Classifier, prior: Tensor | None, n_old: int, start: int = 0
    ) -> None:
        self._config, self._teacher, self._prior, self._n_old = config, teacher, prior, n_old
        self._start = start

    def __call__(
        self, student: Classifier, images: Tensor, labels: Tensor, old_images: Tensor, old_labels: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the weighted loss and its terms.

        Args:
            student: the network in training.
            images: (B, C, H, W) real new images, normalised and augmented.
            labels: (B,) their stream class indices.
            old_images: (R, C, H, W) replayed images, normalised and augmented; or features after the layer `start`.
            old_labels: (R,) the labels they were drawn for.
        """
        config, start = self._config, self._start
        layer = config.distillation_layer
        features = student.forward_from(torch.cat([student.features(images, start), old_images]), start, layer)
        logits = student.logits_from(features, layer)
        n = len(images)
        hard = config.replay_labels == "hard"
        ce = (
            shifted_cross_entropy(logits, torch.cat([labels, old_labels]), self._prior)
            if hard
            else shifted_cross_entropy(logits[:n], labels, self._prior)
        )
        with torch.no_grad():
            old_features = self._teacher.forward_from(old_images, start, layer)
            old_logits = self._teacher.logits_from(old_features, layer)
        kd = distillation(logits[n:], old_logits, config.temperature, config.distillation_over)
        feature = feature_distance(features[n:], old_features)
        total = config.weight_ce * ce + (1 - config.weight_ce) * kd + config.weight_feature * feature
        return total, {"ce": ce, "kd": kd, "feature": feature}


def replayed_per_step(config: ReplayClassifier, n_old: int, n_new: int) -> int:
    """Replayed images in one step, so that they are the share of it that the configuration asks for."""
    share = config.replay_share if config.replay_share_rule == "fixed" else n_old / (n_old + n_new)
    return max(1, round(config.batch_size * share / (1 - share)))


def replay_images(config: ReplayClassifier, sizes: Sizes) -> int:
    """Images that a phase trains on, real and replayed."""
    per_step = config.batch_size + replayed_per_step(config, sizes.n_old, sizes.n_new)
    return classifier_steps(config, sizes.images) * per_step


def prior_of(config: ReplayClassifier, data: PhaseData) -> Tensor | None:
    """Log prior of the classes seen (n_old + n_new,), from what enters the cross-entropy; None for plain CE."""
    if config.loss == "ce":
        return None
    n_replayed = replayed_per_step(config, data.n_old, data.n_new)
    share = n_replayed / (n_replayed + config.batch_size) if config.replay_labels == "hard" else 0.0
    counts = expected_counts(new_class_counts(data), data.n_old, share)
    if config.loss == "relaxed":
        counts[: data.n_old] = 0
        epsilon = config.epsilon * float(counts[data.n_old :].mean())
        return log_prior(counts, data.n_old, tau=config.tau, epsilon=epsilon)
    return log_prior(counts, data.n_old, tau=config.tau, alpha=config.alpha)


@torch.no_grad()
def accuracy_on(classifier: Classifier, source: ReplaySource, pixels: Pixels, start: int = 0) -> float:
    """Accuracy of a classifier in eval mode on replayed images under their labels (necessary, not sufficient).

    Or on replayed features, which enter after the layer `start`.
    """
    n = _JUDGED if pixels.preprocessing.stored_size is None else _JUDGED_AT_ONCE
    right = []
    for step in range(_JUDGED // n):
        replayed = source.draw(n, "judge", step)
        seen = pixels.centre(replayed.images) if start == 0 else replayed.images
        right.append(classifier.logits_from(seen, start).argmax(1) == replayed.labels)
    return float(torch.cat(right).float().mean())
