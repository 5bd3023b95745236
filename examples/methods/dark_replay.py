"""Dark experience replay: a memory of images, and of the logits that they had when they were stored.

DER++ of Buzzega et al. 2020 (arXiv 2004.07211, equation 6), with exemplars that are chosen at the end of an increment
in place of a reservoir: L = CE(new) + beta CE(exemplars) + alpha MSE(logits of exemplars, stored logits).
"""

import torch
from torch import Tensor
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
    Sizes,
    State,
    method_config,
    parameter,
)
from tune_cl.nets import Component, build_classifier, save_classifier
from tune_cl.streams import Batches, Pixels, in_turn
from tune_cl.training import (
    BASE_CLASSIFIER,
    BASE_MEMORY,
    NEXT_MEMORY,
    AsBefore,
    BaseClassifier,
    ClassifierTraining,
    MemoryBudget,
    RealBatches,
    grown,
    has_memory,
    planned_memory,
    train_classifier,
)

LOGITS = "logits"  # the component: labels (M,), positions (M,) as the memory has them, values (M, classes seen)


class DarkReplay(ClassifierTraining):
    """An increment's classifier: half of each batch is new images, half is exemplars."""

    alpha: float = parameter(0.2, "weight of the stored logits", ge=0, le=100, source="2004.07211")
    beta: float = parameter(0.5, "weight of the exemplars' cross-entropy", ge=0, le=100, source="2004.07211")


class Nothing(Settings):
    """A phase without parameters."""


def train(config: DarkReplay, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Train the classifier, with a head for the new classes, on new images and exemplars."""
    assert data.memory is not None
    student = grown(state, data, context)
    half = max(1, config.batch_size // 2)
    new = RealBatches(data.new, half, data, context)
    # Draws of its own, by a purpose of its own. `indices(step)` says which exemplars are in the batch of a step; they
    # are in the order of the memory's tensors, and so are the stored logits.
    order = Batches(len(data.memory), half, context.random_key, "order of exemplars")
    old = RealBatches(data.memory, half, data, context, order)
    stored = state[LOGITS].tensors["values"].to(context.device)

    def loss(step: int) -> tuple[Tensor, dict[str, Tensor]]:
        images, labels = new.draw(step)
        old_images, old_labels = old.draw(step)
        then = stored[order.indices(step).to(context.device)]
        known = then.isfinite()  # the classes that the classifier had when an exemplar was stored
        logits = student(torch.cat([images, old_images]))
        now = logits[len(images) :]
        terms = {
            "ce": functional.cross_entropy(logits[: len(images)], labels),
            "ce_memory": functional.cross_entropy(now, old_labels),
            "logits": ((now[:, : then.shape[1]] - then)[known] ** 2).mean(),
        }
        return terms["ce"] + config.beta * terms["ce_memory"] + config.alpha * terms["logits"], terms

    steps = config.epochs * -(-len(data.new) // half)
    losses = train_classifier(student, config, steps, loss, context)
    return PhaseResult({CLASSIFIER: save_classifier(student)}, steps * 2 * half, losses)


def images_trained(config: DarkReplay, sizes: Sizes) -> int:
    """Images that `train` trains on: what it reports, known beforehand."""
    half = max(1, config.batch_size // 2)
    return config.epochs * -(-sizes.images // half) * 2 * half


def store_logits(config: Nothing, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Logits of the exemplars that were stored now; those of older ones stay as they were, NaN for later classes."""
    memory = state[MEMORY].tensors
    if data.memory is None:  # the base task: its exemplars are among its own images
        places = [torch.nonzero(data.new.labels == c).flatten() for c in range(data.n_new)]
        chosen = [places[int(c)][p] for c, p in zip(memory["labels"], memory["positions"], strict=True)]
        images = data.new.subset(torch.stack(chosen))
    else:
        images = data.memory
    classifier = build_classifier(state[CLASSIFIER]).to(context.device).frozen()
    pixels = Pixels(data.preprocessing, context.device)
    with torch.no_grad():
        values = torch.cat([classifier(pixels.see(part)).cpu() for part, _ in in_turn(images, 256, context.device)])
    if LOGITS in state:
        before = state[LOGITS].tensors
        rows = {place: row for row, place in enumerate(_places(before))}
        for row, place in enumerate(_places(memory)):
            if place in rows:
                values[row] = torch.nan
                values[row, : before["values"].shape[1]] = before["values"][rows[place]]
    return PhaseResult({LOGITS: Component("logits", {}, {**memory, "values": values})}, 0, {})


def _places(tensors: dict[str, Tensor]) -> list[tuple[int, int]]:
    """Which images of the stream exemplars are: class, and place among the class's training images."""
    return list(zip(tensors["labels"].tolist(), tensors["positions"].tolist(), strict=True))


def _no_images(config: Settings, sizes: Sizes) -> int:
    return 0


METHOD = Method(
    name="dark_replay",
    summary="cross-entropy on new images and exemplars, and the logits that exemplars had when they were stored",
    config=method_config(
        base={"classifier": BaseClassifier, "memory": MemoryBudget, "logits": Nothing},
        increment={"classifier": DarkReplay, "memory": AsBefore, "logits": Nothing},
    ),
    base=(BASE_CLASSIFIER, BASE_MEMORY, Phase("logits", "dark_replay.base_logits", 1, store_logits, _no_images)),
    increment=(
        Phase("classifier", "dark_replay.classifier", 1, train, images_trained, sees_memory=True),
        NEXT_MEMORY,
        Phase("logits", "dark_replay.logits", 1, store_logits, _no_images, sees_memory=True, for_successor=True),
    ),
    memory=lambda config, old: planned_memory(config.base.memory, old),
    nearest_mean=has_memory,
)

CONTRACT = {"ce": {"learning_rate": 0.01}}  # what the contract suite changes
