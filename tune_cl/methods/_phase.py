"""What a phase is given, what it gives back, and how a method is put together from phases."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from tune_cl.methods._tree import Settings
from tune_cl.nets import Component
from tune_cl.streams import LabelledImages, Place, Preprocessing

State = Mapping[str, Component]
CLASSIFIER, GENERATOR, DISCRIMINATOR = "classifier", "generator", "discriminator"


class Diverged(RuntimeError):
    """A loss or a weight is no longer finite; the trial has failed."""


@dataclass(frozen=True)
class PhaseData:
    """The tensors of one increment, and nothing of any other.

    `past` holds real images of the classes before, and only for phases that declare `sees_past` (oracle, joint).
    """

    increment: int
    new: LabelledImages  # images (N, C, H, W) uint8, labels (N,) int64 as stream class indices
    n_old: int  # classes before this increment
    n_new: int  # classes that this increment brings
    n_stream: int  # classes of the whole stream: the one-hot width of generator and discriminator
    preprocessing: Preprocessing
    past: LabelledImages | None = None


class Stateful(Protocol):
    """What a training step changes: a network, an optimiser, a schedule, running means."""

    def state_dict(self) -> dict[str, Any]:
        """Its whole state: tensors and plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take a state over."""


class Checkpoint(Protocol):
    """Where a long phase leaves its state now and then, and finds it again after it was killed."""

    def resume(self, parts: Mapping[str, Stateful]) -> int:
        """Put the saved state into the parts; return the step to go on with, 0 where nothing is saved."""

    def step(self, step: int, steps: int, parts: Mapping[str, Stateful]) -> None:
        """Take note that `step` of `steps` steps are done; save the parts where it is time to."""


class NoCheckpoint:
    """Saves nothing: a killed phase begins anew."""

    def resume(self, parts: Mapping[str, Stateful]) -> int:
        """Always 0."""
        return 0

    def step(self, step: int, steps: int, parts: Mapping[str, Stateful]) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class PhaseContext:
    """Where and how a phase runs."""

    place: Place
    device: torch.device
    progress: Callable[[int, int], None] = lambda step, steps: None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)

    def steps(self, steps: int, parts: Mapping[str, Stateful]) -> Iterator[int]:
        """The steps of a training loop, from where a killed run of the phase left it.

        Reports progress and offers a checkpoint after each step. `parts` is all that a step changes; random numbers
        need no state, since they belong to a place.
        """
        for step in range(self.checkpoint.resume(parts), steps):
            yield step
            self.progress(step + 1, steps)
            self.checkpoint.step(step + 1, steps, parts)


@dataclass(frozen=True)
class PhaseResult:
    """What a phase changed in the chain's state, and what it has to say."""

    changed: Mapping[str, Component]
    images_trained: (
        int  # images that went through a forward and backward pass of the phase's networks, real or replayed
    )
    losses: Mapping[str, float]  # term -> mean over the last tenth of the steps
    metrics: Mapping[str, float] = field(default_factory=dict)
    preview: Tensor | None = None  # (classes, k, C, H, W) uint8: replayed images


@dataclass(frozen=True)
class Phase:
    """One training procedure inside an increment.

    `run` is called with the phase's own configuration subtree, its increment's tensors, its parent's state and a
    context. `images(config, n)` says beforehand how many images it will train on where its increment has n of its own.
    `kind` and `version` name the procedure in stage keys: a change of what it computes is a new version.
    """

    name: Literal["classifier", "generator"]
    kind: str
    version: int
    run: Callable[[Any, PhaseData, State, PhaseContext], PhaseResult]
    images: Callable[[Any, int], int]
    sees_past: bool = False
    for_successor: bool = False  # only of use to a later increment: skipped after the last one


@dataclass(frozen=True)
class Method:
    """A named composition: its configuration tree and its phases at the base task and at an increment.

    `check_fit(config, image_shape)` raises TuneCLError where networks of this configuration cannot be built for images
    (C, H, W), so that a chain refuses it before the first stage is trained.
    """

    name: str
    summary: str
    config: type[Settings]
    base: tuple[Phase, ...]
    increment: tuple[Phase, ...]
    check_fit: Callable[[Any, tuple[int, int, int]], None] = lambda config, image_shape: None

    def phases(self, increment: int, horizon: int) -> tuple[Phase, ...]:
        """The phases of an increment; what only a later increment would need is left out at the horizon."""
        phases = self.base if increment == 0 else self.increment
        return tuple(phase for phase in phases if not (phase.for_successor and increment == horizon))

    def subtree(self, config: Settings, increment: int, phase: Phase) -> Settings:
        """The part of the configuration that a phase is called with."""
        return getattr(getattr(config, "base" if increment == 0 else "increment"), phase.name)
