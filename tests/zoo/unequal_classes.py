"""Increments whose classes have unequal numbers of images, what a phase draws in them, and what it starts from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from tiny_phases import base_state, phase_context, phase_of, subtree, tiny_stream
from torch import Tensor

from tune_cl.methods import PhaseData, PhaseResult
from tune_cl.nets import (
    Classifier,
    ClassifierShape,
    Component,
    build_classifier,
    lay_out,
    new_classifier,
    save_classifier,
)
from tune_cl.options import Numerics
from tune_cl.streams import LabelledImages, join
from tune_cl.training._batches import RealBatches
from tune_cl.training._replay_classifier import ReplayLoss

EXEMPLAR_METHODS = ("il_baseline", "icarl", "lucir", "podnet")
REPLAY_HOSTS = ("genifer", "oracle")
HEADS = {"lucir": "cosine", "podnet": "proxies"}

# One update by plain SGD without weight decay, so that what moved is the gradient.
ONE_UPDATE = {"epochs": 1, "optimizer": "sgd", "schedule": "constant", "weight_decay": 0.0, "learning_rate": 1.0}
NESTEROV = 1.9  # the first update of Nesterov momentum 0.9, in gradients


@dataclass(frozen=True)
class Step:
    """An increment: how many images there are of each old class (its exemplars, or its past) and of each new one."""

    old: tuple[int, ...] = (1, 4, 2, 3)
    new: tuple[int, ...] = (5, 16, 11)
    t: int = 1

    @property
    def n_old(self) -> int:
        return len(self.old)


UNEQUAL = Step()
EQUAL = Step(old=(5, 5, 5, 5), new=(5, 5, 5))


@dataclass
class Trained:
    """A phase's result, and which samples it was trained on."""

    result: PhaseResult
    batches: list[tuple[Tensor, Tensor]]  # real images and their labels, step by step
    replayed: list[tuple[Tensor, Tensor]]

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return self.result.changed["classifier"].tensors

    @property
    def counts(self) -> list[int]:
        """Real samples drawn of each class."""
        labels = torch.cat([labels for _, labels in self.batches])
        return torch.bincount(labels, minlength=len(self.tensors["head.weight"])).tolist()


def images_of(counts: tuple[int, ...], first: int = 0) -> LabelledImages:
    """So many real images of each class from the first on."""
    stream = tiny_stream()
    pool = join([stream.training(t) for t in range(stream.horizon + 1)])
    places = [torch.nonzero(pool.labels == first + c).flatten()[:n] for c, n in enumerate(counts)]
    return LabelledImages(pool.gather(torch.cat(places)), pool.labels[torch.cat(places)])


def data_of(method: str, step: Step, phase: str = "classifier") -> PhaseData:
    stream, kind = tiny_stream(), phase_of(method, step.t, phase)
    old = images_of(step.old) if step.old else None
    return PhaseData(
        increment=step.t,
        new=images_of(step.new, step.n_old),
        n_old=step.n_old,
        n_new=len(step.new),
        n_stream=stream.n_classes,
        preprocessing=stream.preprocessing,
        image_shape=stream.image_shape,
        past=old if kind.sees_past else None,
        memory=old if kind.sees_memory else None,
    )


@cache
def old_classifier(method: str, n_classes: int = 4) -> Component:
    """An untrained classifier whose logits differ, with weights of unequal length and its own batch statistics."""
    head = HEADS.get(method, "linear")
    shape = ClassifierShape(
        "small_cnn", 4, (1, 28, 28), n_classes, head=head, proxies=3, scale=4.0, similarity="distance"
    )
    classifier = new_classifier(shape, 1).train()
    lengths = torch.linspace(2, 5, n_classes).view(-1, *[1] * (classifier.head.weight.ndim - 1))
    with torch.no_grad():
        classifier(images_of((8, 8, 8, 8)).images / 128)
        classifier.head.weight.mul_(lengths)
    return save_classifier(classifier)


def state_of(method: str, n_classes: int = 4) -> dict[str, Component]:
    state = {"classifier": old_classifier(method, n_classes)}
    return {**state, "generator": base_state()["generator"]} if method == "genifer" else state


def train(
    method: str,
    step: Step = UNEQUAL,
    state: Mapping[str, Component] | None = None,
    phase: str = "classifier",
    **changes: Any,
) -> Trained:
    """Run a phase, by default with one update on all of its real images at once."""
    data = data_of(method, step, phase)
    whole = len(data.new) + (0 if data.memory is None else len(data.memory))
    config = config_of(method, phase, step.t, **{"batch_size": whole, **changes})
    batches, replayed = [], []
    draw, replay_loss = RealBatches.draw, ReplayLoss.__call__

    def spied_draw(self, step):
        batches.append(draw(self, step))
        return batches[-1]

    def spied_loss(self, student, images, labels, old_images, old_labels):
        replayed.append((old_images, old_labels))
        return replay_loss(self, student, images, labels, old_images, old_labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RealBatches, "draw", spied_draw)
        patch.setattr(ReplayLoss, "__call__", spied_loss)
        before = dict(state or state_of(method))
        run = phase_of(method, step.t, phase, changes.get("loss", "")).run
        result = run(config, data, before, phase_context(step.t, phase, before={"classifier": old_classifier(method)}))
    return Trained(result, batches, replayed)


def config_of(method: str, phase: str = "classifier", t: int = 1, **changes: Any) -> Any:
    return subtree(method, f"{'increment' if t else 'base'}.{phase}", {**ONE_UPDATE, **changes})


def start_of(
    method: str, step: Step = UNEQUAL, state: Mapping[str, Component] | None = None, **changes: Any
) -> Classifier:
    """The network that a phase starts from, ready to be trained: an update by next to nothing leaves it as it is."""
    still = train(method, step, state, **{**changes, "learning_rate": 1e-30})
    return lay_out(build_classifier(still.result.changed["classifier"]).train(), Numerics().resolved())


def old_network(method: str) -> Classifier:
    return lay_out(build_classifier(old_classifier(method)).frozen(), Numerics().resolved())
