"""Every method at every scale of its space file learns, phase by phase, at the settings that the file ships.

Optimiser, rate, batch, head, initial scale, loss and its weights are the space's default (trial 0); passes are as many
as make some tens of steps. The images are drawings of 60 classes, 50 in the base task: at 28 pixels, or blown up to 32
in colour where a scale is made for larger ones, since what is tested does not depend on their size. What a method gets
wrong at one scale shows here before anyone rents a cluster: a loss that falls to exactly 0 at chance, a learned scale
that runs through 0, a rate at which nothing moves.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from tiny_phases import CPU
from torch import Tensor, nn
from torch.nn import functional

from tune_cl.methods import (
    CLASSIFIER,
    MEMORY,
    Method,
    Phase,
    PhaseContext,
    PhaseData,
    PhaseResult,
    Settings,
    get_method,
    unflatten,
)
from tune_cl.nets import Classifier, Component, build_classifier
from tune_cl.records import StreamRecord
from tune_cl.search import load_space, resolve, shipped_spaces
from tune_cl.streams import DATASETS, LabelledImages, Pixels, Place, open_stream
from tune_cl.training._loop import LossTail
from tune_cl.zoo import podnet

# At least, of a classifier in the base task and in the increment. A learned scale of 1 rises slowly under SGD, and an
# increment says little on top of a base that has hardly begun.
STEPS = {"small28": (150, 60), "small32": (150, 60), "cifar": (300, 60), "cub": (150, 60), "imagenet": (150, 60)}
SHORT = {"small28": (60, 30), "cifar": (150, 0)}
GENERATOR_STEPS = 10
N_BASE, N_NEW, PER_CLASS = 50, 10, 40
CLASSIFICATION = ("ce", "nca", "bce")  # terms that say how well labels are learnt
DATA_SET = {scale: "quickdraw" if scale == "small28" else "cifar100" for scale in STEPS}
# Pixels, as few as the scale's network can do with.
SIZE = {"small28": 28, "small32": 32, "cifar": 16, "cub": 32, "imagenet": 32}
EXEMPLARS = ("il_baseline", "icarl", "lucir", "podnet")


@dataclass(frozen=True)
class Trained:
    """What a phase did: each term at every step, and the classifier that it left."""

    phase: Phase
    terms: Mapping[str, list[float]]
    state: Mapping[str, Component]


def space_default(method: str, scale: str, changes: Mapping[str, Any]) -> Settings:
    config = get_method(method).config
    space = resolve(load_space(f"{method}.yaml"), config=config, scale=scale, budget="full", overrides={})
    return config.model_validate(unflatten({**space.default, **changes}))


@cache
def drawings(scale: str) -> LabelledImages:
    """Forty drawings of each of 60 classes, with as many channels as the scale's networks take."""
    stream = open_stream(StreamRecord(name="quickdraw-b50-t5"))
    pool = [stream.training(t) for t in range(2)]
    labels = torch.cat([part.labels for part in pool])
    places = torch.cat([torch.nonzero(labels == c).flatten()[:PER_CLASS] for c in range(N_BASE + N_NEW)])
    images = torch.cat([part.images for part in pool])[places]
    channels, size = DATASETS[DATA_SET[scale]].image_shape[0], SIZE[scale]
    if size != images.shape[-1]:
        resized = functional.interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True)
        images = resized.byte().expand(-1, channels, -1, -1)
    return LabelledImages(images.contiguous(), labels[places])


def data_of(phase: Phase, scale: str, t: int, state: Mapping[str, Component]) -> PhaseData:
    everything = drawings(scale)
    old, new = everything.labels < N_BASE, everything.labels >= N_BASE

    def part(mask: Tensor) -> LabelledImages:
        return everything.subset(torch.nonzero(mask).flatten())

    memory = None
    if phase.sees_memory and MEMORY in state:
        kept = state[MEMORY].tensors
        memory = everything.subset(kept["labels"] * PER_CLASS + kept["positions"])
    return PhaseData(
        increment=t,
        new=part(new) if t else part(old),
        n_old=N_BASE if t else 0,
        n_new=N_NEW if t else N_BASE,
        n_stream=100,
        preprocessing=DATASETS[DATA_SET[scale]].preprocessing,
        image_shape=tuple(everything.images.shape[1:]),
        past=part(old) if phase.sees_past and t else None,
        memory=memory,
    )


def with_tens_of_steps(config: Any, images: int, steps: int) -> Any:
    """A phase's settings with so many passes, or generator steps, that it takes some tens of steps."""
    if hasattr(config, "epochs"):
        return config.model_copy(update={"epochs": math.ceil(steps / math.ceil(images / config.batch_size))})
    return config.model_copy(update={"steps": GENERATOR_STEPS}) if hasattr(config, "steps") else config


def train(method: Method, config: Settings, scale: str, steps: tuple[int, int]) -> Iterator[Trained]:
    """Run the phases of the base task, and of one increment unless it is to have no steps."""
    state: dict[str, Component] = {}
    for t in (0, 1) if steps[1] else (0,):
        before = dict(state)
        for phase in method.phases(config, t, 2):
            data = data_of(phase, scale, t, state)
            settings = with_tens_of_steps(method.subtree(config, t, phase), len(data.new), steps[t])
            context = PhaseContext(Place(0, t, phase.name), CPU, before=before)
            result, terms = spied(phase, settings, data, state, context)
            state.update(result.changed)
            yield Trained(phase, terms, dict(state))


def spied(
    phase: Phase, settings: Settings, data: PhaseData, state: Mapping[str, Component], context: PhaseContext
) -> tuple[PhaseResult, dict[str, list[float]]]:
    terms: dict[str, list[float]] = {}
    add = LossTail.add

    def spy(self: LossTail, step: int, now: Mapping[str, Tensor]) -> None:
        for name, value in now.items():
            terms.setdefault(name, []).append(value.item())
        add(self, step, now)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LossTail, "add", spy)
        return phase.run(settings, data, dict(state), context), terms


def accuracy(classifier: Classifier, images: LabelledImages, scale: str) -> float:
    """On images as they are, of the classes that the classifier knows."""
    known = images.subset(torch.nonzero(images.labels < classifier.shape.n_classes).flatten())
    pixels = Pixels(DATASETS[DATA_SET[scale]].preprocessing, CPU)
    with torch.no_grad():
        predicted = classifier.eval().predict(pixels.see(known.images)).argmax(1)
    return float((predicted == known.labels).float().mean())


def check(trained: Trained, scale: str) -> None:
    """The loss falls and is above 0, a learned scale is above 0, accuracy has left chance."""
    name = f"{trained.phase.kind}, {trained.phase.name}"
    assert all(math.isfinite(v) for values in trained.terms.values() for v in values), name
    for term in CLASSIFICATION:
        if term in trained.terms:
            values = trained.terms[term]
            first, last = sum(values[:3]) / 3, sum(values[-5:]) / 5
            assert 0 < last < first, (name, term, first, last)
    classifier = build_classifier(trained.state[CLASSIFIER])
    if not isinstance(classifier.head, nn.Linear):
        assert classifier.head.scale > 0, name
    reached = accuracy(classifier, drawings(scale), scale)
    assert reached > 3 / classifier.shape.n_classes, (name, reached)


ALL = tuple(name.removesuffix(".yaml") for name in shipped_spaces())
EVERY = [(method, scale) for method in ALL for scale in load_space(f"{method}.yaml").scales]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("method", "scale"), EVERY)
def test_every_phase_learns_at_the_settings_that_its_space_ships(method, scale):
    for trained in train(get_method(method), space_default(method, scale, {}), scale, STEPS[scale]):
        check(trained, scale)


# What the spaces ship beside their defaults, and what was published.
PUBLISHED: dict[str, dict[str, Any]] = {
    "lucir": {
        "increment.classifier.loss": "ce", "increment.classifier.old_head": "frozen", "increment.finetune.epochs": 20,
    },
    "podnet": {
        "increment.classifier.loss": "nca", "increment.classifier.old_head": "frozen", "increment.finetune.epochs": 20,
    },
    "icarl": {
        "base.classifier.loss": "bce", "increment.classifier.loss": "bce",
        "base.classifier.learning_rate": 2.0, "increment.classifier.learning_rate": 2.0,
        "base.classifier.schedule": "steps_70_90", "increment.classifier.schedule": "steps_70_90",
        "base.classifier.weight_decay": 1e-5, "increment.classifier.weight_decay": 1e-5,
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", PUBLISHED)
def test_the_published_training_learns_at_its_own_scale(method):
    config = space_default(method, "cifar", PUBLISHED[method])
    for trained in train(get_method(method), config, "cifar", STEPS["cifar"]):
        check(trained, "cifar")


@pytest.mark.parametrize(
    ("method", "scale"),
    [
        ("podnet", "small28"),
        *(pytest.param(method, "small28", marks=pytest.mark.slow) for method in EXEMPLARS if method != "podnet"),
        pytest.param("podnet", "cifar", marks=pytest.mark.slow),
    ],
)
def test_exemplar_methods_learn_in_a_few_steps_at_the_settings_that_their_spaces_ship(method, scale):
    """The part of the above that takes seconds: all phases on small images, the base task where a scale of 1 rises."""
    for trained in train(get_method(method), space_default(method, scale, {}), scale, SHORT[scale]):
        check(trained, scale)


def test_the_check_catches_the_papers_formula_with_a_learned_scale_in_its_margin():
    """What the guard is for: at eta 1 under SGD the margin's gradient drives eta through 0, and the loss to 0."""

    def with_the_margin_in_the_gradient(scores: Tensor, eta: Tensor, labels: Tensor, margin: float) -> Tensor:
        index = labels.unsqueeze(1)
        others = (eta * scores).scatter(1, index, -torch.inf).logsumexp(dim=1)
        return (others - (eta * (scores.gather(1, index) - margin)).squeeze(1)).clamp(min=0).mean()

    changes = {"base.classifier.loss": "nca_formula", "base.classifier.network": "small_cnn"}
    config = space_default("podnet", "cifar", changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(podnet, "nca_formula", with_the_margin_in_the_gradient)
        (trained, *_) = train(get_method("podnet"), config, "small28", (60, 0))
    assert trained.terms["nca"][-1] == 0.0
    with pytest.raises(AssertionError):
        check(trained, "small28")
