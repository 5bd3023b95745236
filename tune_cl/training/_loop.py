"""The loop that every classifier phase shares: optimiser, schedule, loss terms, divergence."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tune_cl.methods import Diverged, PhaseContext, Settings, parameter
from tune_cl.store import Stateful

# When the learning rate drops, as a share of all steps, and to which fraction of what it was.
_STEPS = {
    "steps": ((0.3, 0.6, 0.8), 0.2),  # Genifer's 30, 60 and 80 of 100 epochs
    "steps_50": ((0.5,), 0.1),  # LUCIR's balanced finetuning: 10 of 20
    "steps_50_75": ((0.5, 0.75), 0.1),  # LUCIR's 80 and 120 of 160 (CIFAR-100)
    "steps_33_67": ((1 / 3, 2 / 3), 0.1),  # LUCIR's 30 and 60 of 90 (ImageNet)
    "steps_70_90": ((0.7, 0.9), 0.2),  # iCaRL's 49 and 63 of 70
    "constant": ((), 1.0),
}
_LOOK_EVERY = 50  # steps between two looks at what was seen of a loss (each look waits for the device)
Schedule = Literal["steps", "steps_50", "steps_50_75", "steps_33_67", "steps_70_90", "cosine", "constant"]
SCHEDULES = "steps: x 0.2 at 30, 60, 80 % of the phase; steps_50, _50_75, _33_67: x 0.1 at those; steps_70_90: x 0.2"
Optimizer = Literal["sgd", "adamw", "radam"]
OPTIMIZERS = "sgd has Nesterov momentum 0.9; adamw and radam decouple the weight decay"


class ClassifierTraining(Settings):
    """How a classifier is trained in one phase."""

    epochs: int = parameter(100, "passes over the increment's real images", ge=1, source="genifer")
    batch_size: int = parameter(
        16, "real images of the increment in one step; replayed ones come on top", ge=1, source="genifer: 16 of 32"
    )
    optimizer: Optimizer = parameter("radam", OPTIMIZERS, source="genifer")
    learning_rate: float = parameter(1e-4, "at the first step", gt=0, le=10, source="genifer")
    weight_decay: float = parameter(5e-4, "per unit of learning rate", ge=0, le=1, source="genifer")
    schedule: Schedule = parameter("steps", SCHEDULES, source="genifer")


class LossTail:
    """Mean of each loss term over the last tenth of a phase's steps, kept on the device until it is asked for."""

    def __init__(self, steps: int) -> None:
        self._from = steps - max(1, steps // 10)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Take in the terms of a step."""
        if step >= self._from:
            for name, value in terms.items():
                self._sums[name] = self._sums.get(name, torch.zeros((), device=value.device)) + value.detach()
                self._counts[name] = self._counts.get(name, 0) + 1

    def state_dict(self) -> dict[str, Any]:
        """Sums and counts so far."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from sums and counts (wherever the sums lie: they are scalars)."""
        self._sums, self._counts = dict(state_dict["sums"]), dict(state_dict["counts"])

    def means(self) -> dict[str, float]:
        """Mean of each term."""
        return {name: float(total) / self._counts[name] for name, total in self._sums.items()}


class FiniteLoss:
    """Whether a loss was finite at every step of a phase.

    The first step at which it was not is kept on the device, so that no step waits for it; somebody looks now and then.
    It is part of a checkpoint: what a killed run had seen is not forgotten.

    Args:
        steps: of the phase.
        what: the loss, as a message names it.
    """

    def __init__(self, steps: int, what: str) -> None:
        self._steps, self._what = steps, what
        self._first: Tensor | None = None  # () int64: the first bad step, `steps` while there is none

    def take(self, step: int, loss: Tensor) -> None:
        """Take in the loss of a step, a scalar.

        Raises:
            Diverged: it is time for a look, and this loss or an earlier one was NaN or infinite.
        """
        before = self._first
        if before is None or before.device != loss.device:  # the first step, or the first one after a checkpoint
            start = self._steps if before is None else int(before)
            before = torch.full((), start, dtype=torch.int64, device=loss.device)
        self._first = torch.where(torch.isfinite(loss.detach()).all(), before, before.clamp(max=step))
        if step % _LOOK_EVERY == _LOOK_EVERY - 1 or step == self._steps - 1:
            self.look()

    def look(self) -> None:
        """Wait for the device and look.

        Raises:
            Diverged: the loss was NaN or infinite at one of the steps so far.
        """
        first = self._steps if self._first is None else int(self._first)
        if first < self._steps:
            raise Diverged(f"{self._what} is not finite at step {first + 1} of {self._steps}")

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far."""
        return {"first": self._first}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it, wherever it lies."""
        self._first = state_dict["first"]


def check_weights(net: nn.Module, what: str) -> None:
    """Look at all parameters and buffers at the end of a phase: the last steps' losses say nothing of the last update.

    Raises:
        Diverged: one is NaN or infinite.
    """
    for name, tensor in net.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise Diverged(f"{what}: {name} is not finite after the last step")


def train_classifier(
    net: nn.Module,
    config: ClassifierTraining,
    steps: int,
    batch_loss: Callable[[int], tuple[Tensor, Mapping[str, Tensor]]],
    context: PhaseContext,
    *,
    after_step: Callable[[], None] | None = None,
    training: bool = True,
) -> dict[str, float]:
    """Train a network for a number of steps on `batch_loss(step) -> (loss, terms)`; return the mean loss terms.

    Args:
        net: the network; parameters that require no gradient stay as they are.
        config: optimiser, learning rate, schedule.
        steps: how many.
        batch_loss: of a step.
        context: progress and checkpoints.
        after_step: called after each update.
        training: False leaves batch norm (and whatever else knows the mode) as in prediction.

    Raises:
        Diverged: the loss was not finite at some step, or a weight is not after the last one.
    """
    optimizer = _optimizer(net, config)
    schedule = _schedule(optimizer, config.schedule, steps)
    tail, finite = LossTail(steps), FiniteLoss(steps, "the classifier's loss")
    net.train(training)
    parts: dict[str, Stateful] = {
        "net": net,
        "optimizer": optimizer,
        "schedule": schedule,
        "tail": tail,
        "finite": finite,
    }
    for step in context.steps(steps, parts):
        loss, terms = batch_loss(step)
        finite.take(step, loss)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if after_step is not None:
            after_step()
        schedule.step()
        tail.add(step, terms)
    check_weights(net, "the classifier")
    return tail.means()


def _optimizer(net: nn.Module, config: ClassifierTraining) -> torch.optim.Optimizer:
    rate, decay = config.learning_rate, config.weight_decay
    trained = [weights for weights in net.parameters() if weights.requires_grad]
    if config.optimizer == "sgd":
        return torch.optim.SGD(trained, rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=True)
    if config.optimizer == "radam":
        return torch.optim.RAdam(trained, rate, weight_decay=decay, decoupled_weight_decay=True, foreach=True)
    return torch.optim.AdamW(trained, rate, weight_decay=decay, fused=True)


def _schedule(optimizer: torch.optim.Optimizer, kind: str, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    if kind == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    shares, drop = _STEPS[kind]
    milestones = sorted({max(1, round(share * steps)) for share in shares})
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=drop)
