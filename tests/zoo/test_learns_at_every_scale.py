"""Every method at every scale of its space file learns, phase by phase, at the settings that the file ships.

Optimiser, rate, batch, head, initial scale, loss and its weights are the space's default (trial 0). What a method gets
wrong at one scale shows here before anyone rents a cluster: a loss that falls to exactly 0 at chance, a learned scale
that runs through 0, a rate at which nothing moves. What none of that depends on is small, so that a case takes seconds:

- The images are textures, which any network that learns tells apart in some 100 steps. In drawings of 50 classes a
  published rate of 0.1 is still at 6 % after 300 steps, and an increment on top of such a base says nothing.
- Networks are `small_cnn` and a narrow generator. PODNet at `cifar` has a test with the network that its space ships.
- Phases are cut to some hundred steps, and milestones cut with them. Under RAdam the rate stays as it starts instead:
  RAdam rectifies it for about 2000 steps (after 20 of them it is a tenth), and the first drop is thousands of steps
  away in a phase of shipped length. With its drops after 22, 45 and 60 of 75 steps such a phase cannot move.

An increment is judged by its new classes among themselves, and by the fall of its cross-entropy. Whether they are
predicted before old ones is decided late where the loss leaves that to few images or to small weights: `lwf` under
`relaxed` never compares them, and Genifer's cross-entropy weighs 0.02 beside a distillation that lowers their logits.
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

from tune_cl.methods import (
    CLASSIFIER,
    GENERATOR,
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
from tune_cl.streams import DATASETS, LabelledImages, Pixels, RandomKey
from tune_cl.study import load_space, resolve, shipped_spaces
from tune_cl.training._loop import LossTail
from tune_cl.zoo import podnet

STEPS = (150, 150)  # at least, of a classifier in the base task and in the increment
SHORT = (100, 40)
RADAM = 4  # times as many under RAdam
GENERATOR_STEPS = 10
N_BASE, N_NEW, PER_CLASS = 50, 10, 40
CLASSIFICATION = ("ce", "nca", "bce")  # terms that say how well labels are learnt
SCALES = ("small28", "small32", "cifar", "cub", "imagenet")
DATA_SET = {scale: "quickdraw" if scale == "small28" else "cifar100" for scale in SCALES}
SIDE = 16  # pixels
EXEMPLARS = ("il_baseline", "icarl", "lucir", "podnet")
NARROW = {
    "base.classifier.network": "small_cnn",
    "base.classifier.width": 16,
    "base.generator.channels": 64,
    "base.generator.start_size": 4,
    "base.generator.discriminator_width": 32,
}


@dataclass(frozen=True)
class Trained:
    """What a phase did: each term at every step, and the components that it left."""

    phase: Phase
    terms: Mapping[str, list[float]]
    changed: Mapping[str, Component]
    increment: int
    replays_noise: bool  # what a generator of a few steps makes, beside which new images hardly count


def space_default(method: str, scale: str, changes: Mapping[str, Any]) -> Settings:
    """The settings that a space ships, with small networks."""
    config = get_method(method).config
    space = resolve(load_space(f"{method}.yaml"), config=config, scale=scale, budget="full", overrides={})
    default = dict(space.default)
    default |= {path: value for path, value in NARROW.items() if path in default}
    if default.get("base.generator.image_size"):
        default["base.generator.image_size"] = 2 * SIDE
    return config.model_validate(unflatten({**default, **changes}))


@cache
def textures(scale: str) -> LabelledImages:
    """Forty noisy images of each of 60 classes: a class is a tile of 4 x 4 random pixels, again and again."""
    draws = torch.Generator().manual_seed(0)
    channels = DATASETS[DATA_SET[scale]].image_shape[0]
    tiles = torch.randint(0, 256, (N_BASE + N_NEW, channels, 4, 4), generator=draws).float()
    labels = torch.arange(N_BASE + N_NEW).repeat_interleave(PER_CLASS)
    images = tiles.repeat(1, 1, SIDE // 4, SIDE // 4)[labels]
    images = images + 40 * torch.randn(images.shape, generator=draws)
    return LabelledImages(images.clamp(0, 255).byte(), labels)


def data_of(phase: Phase, scale: str, t: int, state: Mapping[str, Component]) -> PhaseData:
    everything = textures(scale)
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


def cut(config: Any, images: int, steps: int) -> Any:
    """A phase's settings with so many passes, or generator steps, that it takes about as many steps as asked for."""
    if hasattr(config, "epochs"):
        slow = config.optimizer == "radam"
        steps = RADAM * steps if slow else steps
        changes: dict[str, Any] = {"epochs": math.ceil(steps / math.ceil(images / config.batch_size))}
        return config.model_copy(update=changes | ({"schedule": "constant"} if slow else {}))
    return config.model_copy(update={"steps": GENERATOR_STEPS}) if hasattr(config, "steps") else config


_trained: dict[tuple[Any, ...], Trained] = {}


def train(method: Method, config: Settings, scale: str, steps: tuple[int, int] = STEPS) -> Iterator[Trained]:
    """Run the phases of the base task, and of one increment unless it is to have no steps.

    A phase is trained once for all methods and scales that have it after the same ones, as in a search.
    """
    state: dict[str, Component] = {}
    key: tuple[Any, ...] = (DATA_SET[scale],)
    for t in (0, 1) if steps[1] else (0,):
        before = dict(state)
        for phase in method.phases(config, t, 2):
            data = data_of(phase, scale, t, state)
            images = len(data.new) + len(data.memory or ())
            settings = cut(method.subtree(config, t, phase), images, steps[t])
            key = (*key, phase.kind, phase.version, settings.model_dump_json())
            trained = _trained.get(key)
            if trained is None:
                context = PhaseContext(RandomKey(0, t, phase.name), CPU, before=before)
                result, terms = spied(phase, settings, data, state, context)
                trained = _trained[key] = Trained(phase, terms, result.changed, t, GENERATOR in before)
            state.update(trained.changed)
            yield trained


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


@torch.no_grad()
def accuracy(classifier: Classifier, scale: str, increment: int) -> float:
    """Of the classes of one task among themselves, on their images as they are."""
    first, past = ((0, N_BASE), (N_BASE, N_BASE + N_NEW))[increment]
    images = textures(scale)
    own = images.subset(torch.nonzero((images.labels >= first) & (images.labels < past)).flatten())
    pixels = Pixels(DATASETS[DATA_SET[scale]].preprocessing, CPU)
    predicted = classifier.eval().predict(pixels.see(own.images))[:, first:past].argmax(1) + first
    return float((predicted == own.labels).float().mean())


def check(trained: Trained, scale: str) -> None:
    """The loss falls and is above 0, a learned scale is above 0, accuracy has left chance."""
    name = f"{trained.phase.kind}, {trained.phase.name}"
    assert all(math.isfinite(v) for values in trained.terms.values() for v in values), name
    for term in CLASSIFICATION:
        if term in trained.terms:
            values = trained.terms[term]
            n = max(3, len(values) // 30)
            first, last = sum(values[:n]) / n, sum(values[-n:]) / n
            assert 0 < last < 0.95 * first, (name, term, first, last)
    if CLASSIFIER in trained.changed:
        classifier = build_classifier(trained.changed[CLASSIFIER])
        if not isinstance(classifier.head, nn.Linear):
            assert classifier.head.scale > 0, name
        reached = accuracy(classifier, scale, trained.increment)
        assert reached > (1 / N_NEW if trained.replays_noise else 0.2), (name, reached)


ALL = tuple(name.removesuffix(".yaml") for name in shipped_spaces())
EVERY = [(method, scale) for scale in SCALES for method in ALL if scale in load_space(f"{method}.yaml").scales]


def test_no_scale_is_left_out():
    assert {scale for method in ALL for scale in load_space(f"{method}.yaml").scales} == set(SCALES)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "scale"), EVERY)
def test_every_phase_learns_at_the_settings_that_its_space_ships(method, scale):
    for trained in train(get_method(method), space_default(method, scale, {}), scale):
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
@pytest.mark.parametrize("method", PUBLISHED)
def test_the_published_training_learns_at_its_own_scale(method):
    config = space_default(method, "cifar", PUBLISHED[method])
    for trained in train(get_method(method), config, "cifar"):
        check(trained, "cifar")


@pytest.mark.parametrize(
    "method", ["podnet", *(pytest.param(m, marks=pytest.mark.slow) for m in EXEMPLARS if m != "podnet")]
)
def test_exemplar_methods_learn_in_a_few_steps_at_the_settings_that_their_spaces_ship(method):
    """The part of the above that takes seconds."""
    for trained in train(get_method(method), space_default(method, "small28", {}), "small28", SHORT):
        check(trained, "small28")


def test_the_check_catches_the_papers_formula_with_a_learned_scale_in_its_margin():
    """What the guard is for: at eta 1 under SGD the margin's gradient drives eta through 0, and the loss to 0."""

    def with_the_margin_in_the_gradient(scores: Tensor, eta: Tensor, labels: Tensor, margin: float) -> Tensor:
        index = labels.unsqueeze(1)
        others = (eta * scores).scatter(1, index, -torch.inf).logsumexp(dim=1)
        return (others - (eta * (scores.gather(1, index) - margin)).squeeze(1)).clamp(min=0).mean()

    config = space_default("podnet", "cifar", {"base.classifier.loss": "nca_formula"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}._trained", {})  # what is trained here is nobody else's
        patch.setattr(podnet, "nca_formula", with_the_margin_in_the_gradient)
        (trained, *_) = train(get_method("podnet"), config, "cifar", (60, 0))
    assert trained.terms["nca"][-1] == 0.0
    with pytest.raises(AssertionError):
        check(trained, "cifar")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("finetune", {"increment.classifier.learning_rate": 1e-6}),
        ("oracle", {"increment.classifier.weight_ce": 0.0}),
        ("genifer", {"increment.classifier.weight_ce": 0.0}),
        ("genifer", {"increment.classifier.learning_rate": 1e-6}),
        ("lucir", {"base.classifier.learning_rate": 1e-6}),
    ],
)
def test_the_check_catches_a_phase_in_which_nothing_can_be_learnt(method, changes):
    with pytest.raises(AssertionError):
        for trained in train(get_method(method), space_default(method, "cifar", changes), "cifar"):
            check(trained, "cifar")
