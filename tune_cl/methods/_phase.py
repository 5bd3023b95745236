"""What a phase is given, what it gives back, and how a method is put together from phases."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from tune_cl.methods._tree import Settings
from tune_cl.nets import Component, lay_out
from tune_cl.options import Numerics
from tune_cl.store import Stateful
from tune_cl.streams import ImageSource, Preprocessing, RandomKey

State = Mapping[str, Component]
CLASSIFIER, GENERATOR, DISCRIMINATOR = "classifier", "generator", "discriminator"
MEMORY, CLASS_MEANS = "memory", "class_means"


_Net = TypeVar("_Net", bound=nn.Module)


class Diverged(RuntimeError):
    """A loss or a weight is no longer finite; the trial has failed."""


@dataclass(frozen=True)
class PhaseData:
    """The images of one increment, and nothing of any other.

    `past` holds all real images of the classes before, and only for phases that declare `sees_past` (oracle, joint);
    `memory` holds the exemplars that the chain's state names, for phases that declare `sees_memory`.
    """

    increment: int
    new: ImageSource  # images (N, C, S, S) uint8, labels (N,) int64 as stream class indices
    n_old: int  # classes before this increment
    n_new: int  # classes that this increment brings
    n_stream: int  # classes of the whole stream: the one-hot width of generator and discriminator
    preprocessing: Preprocessing
    image_shape: tuple[int, int, int]  # (C, H, W) as networks see it
    past: ImageSource | None = None
    memory: ImageSource | None = None

    @property
    def stored_size(self) -> int:
        """Side in pixels of the images as they come, before a crop to what networks see."""
        return self.preprocessing.stored_size or self.image_shape[1]


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

    random_key: RandomKey
    device: torch.device
    progress: Callable[[int, int], None] = lambda step, steps: None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    backbone: Mapping[str, Tensor] | None = None  # pretrained weights, where the base task's configuration names them
    loader_workers: int = 0  # processes that decode image files ahead; none where images are in memory
    closing: ExitStack = field(default_factory=ExitStack)  # closed when the phase has ended, however it did
    numerics: Numerics = field(default_factory=lambda: Numerics().resolved())
    before: State = field(default_factory=dict)  # the chain's state before this increment; empty at the base task

    def ready(self, net: _Net) -> _Net:
        """A network as the numerics want it: on the phase's device, in its memory format and precision."""
        return lay_out(net.to(self.device), self.numerics)

    def steps(self, steps: int, parts: Mapping[str, Stateful]) -> Iterator[int]:
        """The steps of a training loop, from where a killed run of the phase left it.

        Reports progress and offers a checkpoint after each step. `parts` is all that a step changes; random numbers
        need no state, since they belong to a key.
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
    metrics: Mapping[str, float] = field(default_factory=dict)  # what else it measured: `<phase>/<name>` in rows
    preview: Tensor | None = None  # (classes, k, C, H, W) uint8: replayed images


@dataclass(frozen=True)
class Sizes:
    """What is known of an increment before anything of it is trained: how many images and classes there are."""

    new: tuple[int, ...]  # training images of each of its classes
    n_old: int
    memory: int = 0  # exemplars of the classes before

    @property
    def images(self) -> int:
        """Training images of its classes."""
        return sum(self.new)

    @property
    def n_new(self) -> int:
        """Its classes."""
        return len(self.new)


@dataclass(frozen=True)
class Extent:
    """What a configuration must be able to deal with."""

    image_shape: tuple[int, int, int]  # (C, H, W), as networks see it
    n_base: int  # classes of the base task
    n_seen: int  # classes after the last increment that is trained


@dataclass(frozen=True)
class Phase:
    """One training procedure inside an increment.

    `run` is called with the phase's own configuration subtree, its increment's tensors, its parent's state and a
    context. `images(config, sizes)` says beforehand how many images it will train on.
    `classification` names those of its losses that tell classes apart: one that is exactly 0 teaches nothing.
    `kind` and `version` name the procedure in stage keys: a change of what it computes is a new version. Of a procedure
    from outside the package, the hash of its source is there, too.
    """

    name: str  # an identifier, of its own within an increment; see `check_method` for those that are taken
    kind: str
    version: int
    run: Callable[[Any, PhaseData, State, PhaseContext], PhaseResult]
    images: Callable[[Any, Sizes], int]
    sees_past: bool = False
    sees_memory: bool = False
    for_successor: bool = False  # only of use to a later increment: skipped after the last one
    needed: Callable[[Any], bool] = lambda config: True  # whether a method's whole configuration has this phase at all
    classification: tuple[str, ...] = ("ce", "nca", "bce")
    source: str | None = None  # sha256 of its source, outside the package; set when its method is registered


@dataclass(frozen=True)
class Method:
    """A named composition: its configuration tree and its phases at the base task and at an increment.

    `increment` may be empty: then nothing is trained after the base task, and its classifier is scored as it stands.

    `check_fit(config, extent)` raises TuneCLError where this configuration cannot be trained on such images or so many
    classes, so that a chain refuses it before the first stage is trained. `memory(config, old)` says how many exemplars
    are kept of classes with so many training images each. `nearest_mean(config)`: whether the classifier is scored by
    nearest class means as well, which its memory phase leaves in the state. `judge` is a phase beside the chain: called
    before each increment's own, it trains a student on what will be replayed (`tune_cl.training._replay_student`);
    nothing that the chain trains depends on it, and its cost is told apart.
    """

    name: str
    summary: str
    config: type[Settings]
    base: tuple[Phase, ...]
    increment: tuple[Phase, ...]
    check_fit: Callable[[Any, Extent], None] = lambda config, extent: None
    memory: Callable[[Any, Sequence[int]], int] = lambda config, old: 0
    nearest_mean: Callable[[Any], bool] = lambda config: False
    judge: Phase | None = None

    def parts(self) -> dict[str, tuple[Phase, ...]]:
        """All phases by the part of the configuration tree that holds their parameters; the judge is an increment's."""
        return {"base": self.base, "increment": (*self.increment, *([self.judge] if self.judge else []))}

    def phases(self, config: Settings, increment: int, horizon: int) -> tuple[Phase, ...]:
        """The phases of an increment; what only a later increment would need is left out at the horizon."""
        phases = self.base if increment == 0 else self.increment
        return tuple(
            phase for phase in phases if not (phase.for_successor and increment == horizon) and phase.needed(config)
        )

    def sizes(self, config: Settings, old: Sequence[int], new: Sequence[int]) -> Sizes:
        """What phases are told of an increment beforehand, given the training images of each old and new class."""
        return Sizes(tuple(new), len(old), self.memory(config, old) if old else 0)

    def subtree(self, config: Settings, increment: int, phase: Phase) -> Settings:
        """The part of the configuration that a phase is called with."""
        subtree: Settings = getattr(getattr(config, "base" if increment == 0 else "increment"), phase.name)
        return subtree
