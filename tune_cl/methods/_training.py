"""The loop that every classifier phase shares: optimiser, schedule, loss terms, divergence."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tune_cl.methods._phase import Diverged, PhaseContext, Stateful
from tune_cl.methods._tree import Settings, parameter

# When the learning rate drops, as a share of all steps, and to which fraction of what it was.
_STEPS = {
    "steps": ((0.3, 0.6, 0.8), 0.2),  # Genifer's 30, 60 and 80 of 100 epochs
    "steps_50_75": ((0.5, 0.75), 0.1),  # LUCIR's 80 and 120 of 160 (CIFAR-100)
    "steps_33_67": ((1 / 3, 2 / 3), 0.1),  # LUCIR's 30 and 60 of 90 (ImageNet)
    "constant": ((), 1.0),
}
_CHECK_EVERY = 50  # steps between two looks at whether the loss is finite (each look waits for the device)


class ClassifierTraining(Settings):
    """How a classifier is trained in one phase."""

    epochs: int = parameter(100, "passes over the increment's real images", ge=1, source="genifer")
    batch_size: int = parameter(
        16, "real images of the increment in one step; replayed ones come on top", ge=1, source="genifer: 16 of 32"
    )
    optimizer: Literal["sgd", "adamw", "radam"] = parameter(
        "radam", "sgd has Nesterov momentum 0.9; adamw and radam decouple the weight decay", source="genifer"
    )
    learning_rate: float = parameter(1e-4, "at the first step", gt=0, le=10, source="genifer")
    weight_decay: float = parameter(5e-4, "per unit of learning rate", ge=0, le=1, source="genifer")
    schedule: Literal["steps", "steps_50_75", "steps_33_67", "cosine", "constant"] = parameter(
        "steps",
        "steps: x 0.2 at 30, 60 and 80 % of the phase; steps_50_75, steps_33_67: x 0.1 at those",
        source="genifer",
    )


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


def check_finite(value: Tensor, step: int, steps: int, what: str) -> None:
    """Look at a loss now and then.

    Raises:
        Diverged: it is NaN or infinite.
    """
    if (step % _CHECK_EVERY == 0 or step == steps - 1) and not torch.isfinite(value).all():
        raise Diverged(f"{what} is not finite at step {step + 1} of {steps}")


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
        Diverged: the loss or a weight is no longer finite.
    """
    optimizer = _optimizer(net, config)
    schedule = _schedule(optimizer, config.schedule, steps)
    tail = LossTail(steps)
    net.train(training)
    parts: dict[str, Stateful] = {"net": net, "optimizer": optimizer, "schedule": schedule, "tail": tail}
    for step in context.steps(steps, parts):
        loss, terms = batch_loss(step)
        check_finite(loss, step, steps, "the classifier's loss")
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
        return torch.optim.SGD(trained, rate, momentum=0.9, nesterov=True, weight_decay=decay)
    if config.optimizer == "radam":
        return torch.optim.RAdam(trained, rate, weight_decay=decay, decoupled_weight_decay=True)
    return torch.optim.AdamW(trained, rate, weight_decay=decay)


def _schedule(optimizer: torch.optim.Optimizer, kind: str, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    if kind == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    shares, drop = _STEPS[kind]
    milestones = sorted({max(1, round(share * steps)) for share in shares})
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=drop)
