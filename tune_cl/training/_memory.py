"""The memory phase: which real images of its classes an increment leaves to the next one (exemplars).

What is stored is where the exemplars are (class, and place among the class's training images), not their pixels; the
chain hands the images themselves to those phases that declare `sees_memory`. Nothing is trained.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from tune_cl.errors import TuneCLError
from tune_cl.methods import (
    CLASS_MEANS,
    MEMORY,
    Extent,
    Phase,
    PhaseContext,
    PhaseData,
    PhaseResult,
    Settings,
    Sizes,
    State,
    parameter,
)
from tune_cl.nets import Component, Plain
from tune_cl.replay import class_mean, herd
from tune_cl.training._features import pooled_features
from tune_cl.training._frozen import frozen_classifier


class MemoryBudget(Settings):
    """How many exemplars are kept through the whole stream, and how they are chosen."""

    budget: Literal["per_class", "total"] = parameter(
        "per_class", "what `size` counts: exemplars of each class, or all of them together", source="balanced-softmax"
    )
    size: int = parameter(
        20, "exemplars (per class, or in total); 0: no memory", ge=0, source="balanced-softmax, protocol"
    )
    selection: Literal["herding", "random"] = parameter(
        "herding", "herding: on the L2-normalised features of the classifier", source="balanced-softmax, protocol"
    )


class AsBefore(Settings):
    """An increment's memory has the budget of the base task."""


def exemplars_per_class(budget: str, size: int, n_classes: int) -> int:
    """Exemplars that each of n_classes may keep."""
    return size if budget == "per_class" else size // n_classes


def planned_memory(config: MemoryBudget, old: Sequence[int]) -> int:
    """Exemplars of classes with so many training images each."""
    most = exemplars_per_class(config.budget, config.size, len(old))
    return sum(min(most, images) for images in old)


def check_memory_fits(config: MemoryBudget, extent: Extent) -> None:
    """Check that a fixed total has room for an exemplar of each class.

    Raises:
        TuneCLError: it has not.
    """
    if config.budget == "total" and 0 < config.size < extent.n_seen:
        raise TuneCLError(
            f"base.memory.size: a total of {config.size} exemplars has no room for one of each of {extent.n_seen} "
            f"classes; at least {extent.n_seen} are needed"
        )


def start_memory(config: MemoryBudget, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Choose the base task's exemplars."""
    return _choose(config.budget, config.size, config.selection, data, state, context)


def keep_memory(config: AsBefore, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Choose the new classes' exemplars, and thin the old ones where the memory has a fixed total."""
    settings = state[MEMORY].settings
    return _choose(
        str(settings["budget"]), int(str(settings["size"])), str(settings["selection"]), data, state, context
    )


def _choose(
    budget: str, size: int, selection: str, data: PhaseData, state: State, context: PhaseContext
) -> PhaseResult:
    classifier = frozen_classifier(state, context)
    n_seen = data.n_old + data.n_new
    most = exemplars_per_class(budget, size, n_seen)
    labels: list[Tensor] = []
    positions: list[Tensor] = []
    means: list[Tensor] = []
    if data.n_old:
        assert data.memory is not None
        old = state[MEMORY].tensors
        features = pooled_features(classifier, data.memory, data, context)
        for c in range(data.n_old):
            places = torch.nonzero(old["labels"] == c).flatten()[:most]  # in the order of choice, so the first are best
            labels.append(old["labels"][places])
            positions.append(old["positions"][places])
            means.append(class_mean(features[places]))
    features = pooled_features(classifier, data.new, data, context)
    for c in range(data.n_old, n_seen):
        places = torch.nonzero(data.new.labels == c).flatten()
        chosen = _new_exemplars(selection, features[places], most, context, c)
        labels.append(torch.full((len(chosen),), c))
        positions.append(chosen)
        means.append(class_mean(features[places[chosen]]))
    settings: dict[str, Plain] = {"budget": budget, "size": size, "selection": selection}
    changed = {
        MEMORY: Component("memory", settings, {"labels": torch.cat(labels), "positions": torch.cat(positions)}),
        CLASS_MEANS: Component("class_means", {}, {"means": torch.stack(means)}),
    }
    return PhaseResult(changed, 0, {})


def _new_exemplars(selection: str, features: Tensor, most: int, context: PhaseContext, label: int) -> Tensor:
    if selection == "herding":
        return herd(features, most)
    return torch.randperm(len(features), generator=context.random_key.rng("exemplars", label))[:most]


def _nothing(config: Settings, sizes: Sizes) -> int:
    return 0


def has_memory(config: Any) -> bool:
    """Whether a method's configuration keeps exemplars, and class means with them."""
    return bool(config.base.memory.size > 0)


# At the horizon, too: the nearest-mean read-out needs the class means.
BASE_MEMORY = Phase("memory", "base.memory", 1, start_memory, _nothing, needed=has_memory)
NEXT_MEMORY = Phase("memory", "memory", 1, keep_memory, _nothing, sees_memory=True, needed=has_memory)
