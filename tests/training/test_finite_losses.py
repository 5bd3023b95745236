"""A loss that is not finite at any step ends its phase, and no step waits for the device to know it."""

import io
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from tiny_phases import base_state, phase_context, run_phase
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tune_cl.methods import Diverged, PhaseContext, Stateful
from tune_cl.training._game import Game
from tune_cl.training._loop import ClassifierTraining, FiniteLoss, train_classifier

STEPS = 120
SGD = ClassifierTraining(optimizer="sgd", learning_rate=1e-3)


def losses(bad: Mapping[int, float], net: nn.Module) -> Any:
    """A loss of the weights that takes other values at some steps, with a gradient of zero there: weights stay good."""

    def loss(step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        ok = sum((weights.sum() for weights in net.parameters()), torch.zeros(()))
        return (torch.nan_to_num(ok) * 0 + bad[step] if step in bad else ok), {}

    return loss


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("step", [0, 1, 48, 49, 50, 51, 99, 117, 118, 119])
def test_a_loss_that_is_not_finite_at_one_step_ends_the_phase_and_the_step_is_named(step: int, value: float):
    net = nn.Linear(2, 1)
    with pytest.raises(Diverged, match=f"^the classifier's loss is not finite at step {step + 1} of {STEPS}$"):
        train_classifier(net, SGD, STEPS, losses({step: value}, net), phase_context(0, "classifier"))
    assert all(torch.isfinite(weights).all() for weights in net.parameters()), "the loss alone tells"


def test_of_several_bad_steps_the_first_is_named():
    net = nn.Linear(2, 1)
    bad = {70: float("nan"), 55: float("inf"), 98: float("nan")}
    with pytest.raises(Diverged, match="at step 56 of 120"):
        train_classifier(net, SGD, STEPS, losses(bad, net), phase_context(0, "classifier"))


class KilledOnce:
    """A checkpoint as it lies in a file; the phase is killed right after it, once."""

    def __init__(self, at: int) -> None:
        self.at, self.saved = at, b""

    def resume(self, parts: Mapping[str, Stateful]) -> int:
        if not self.saved:
            return 0
        content = torch.load(io.BytesIO(self.saved), weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(content[name])
        return self.at

    def step(self, step: int, steps: int, parts: Mapping[str, Stateful]) -> None:
        if step == self.at and not self.saved:
            buffer = io.BytesIO()
            torch.save({name: part.state_dict() for name, part in parts.items()}, buffer)
            self.saved = buffer.getvalue()
            raise KeyboardInterrupt


def test_a_phase_that_was_killed_after_a_bad_step_fails_with_that_step_when_it_goes_on():
    context = phase_context(0, "classifier")
    resumed = PhaseContext(context.random_key, context.device, checkpoint=KilledOnce(at=60))
    for end in (KeyboardInterrupt, Diverged):
        net = nn.Linear(2, 1)
        with pytest.raises(end, match="at step 55 of 120" if end is Diverged else None):
            train_classifier(net, SGD, STEPS, losses({54: float("nan")}, net), resumed)


def test_what_was_seen_of_a_loss_goes_through_a_checkpoint_unchanged():
    one, other = FiniteLoss(STEPS, "the loss"), FiniteLoss(STEPS, "the loss")
    for step in range(10):
        one.take(step, torch.tensor(float("nan") if step == 7 else 1.0))
    other.load_state_dict(one.state_dict())
    other.take(10, torch.tensor(float("nan")))
    for finite in (one, other):
        with pytest.raises(Diverged, match="the loss is not finite at step 8 of 120"):
            finite.look()


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_bad_loss_of_either_network_of_the_game_ends_the_phase(network: str, monkeypatch: pytest.MonkeyPatch):
    """One step of nine, whose gradient is zero, so that no weight tells of it later."""
    state = base_state()
    objective, discriminate = Game.generator_objective, Game._discriminator_step
    calls = {"generator": 0, "discriminator": 0}

    def of_generator(self: Game, *args: Any) -> Any:
        loss, terms = objective(self, *args)
        calls["generator"] += 1
        return loss * 0 + (float("inf") if network == "generator" and calls["generator"] == 4 else loss), terms

    def of_discriminator(self: Game, *args: Any) -> Any:
        loss, terms = discriminate(self, *args)
        calls["discriminator"] += 1
        return loss + (float("inf") if network == "discriminator" and calls["discriminator"] == 4 else 0), terms

    monkeypatch.setattr(Game, "generator_objective", of_generator)
    monkeypatch.setattr(Game, "_discriminator_step", of_discriminator)
    with pytest.raises(Diverged, match=f"^the {network}'s loss is not finite at step 4 of 9$"):
        run_phase("genifer", 0, "generator", state, {"steps": 9})


class Reads(TorchDispatchMode):
    """Counts each time that a number is taken out of a tensor: on a GPU, each would wait for it.

    But for two that a GPU has not: optimisers count their steps in tensors that are always on the CPU, and `one_hot`,
    in the networks of the game, looks at its labels on the CPU alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten._local_scalar_dense.default and not _inside("torch/optim/", "tune_cl/nets/"):
            self.count += 1
        return function(*args, **(kwargs or {}))


def _inside(*folders: str) -> bool:
    frame: Any = sys._getframe(1)
    while frame is not None:
        if any(folder in frame.f_code.co_filename for folder in folders):
            return True
        frame = frame.f_back
    return False


def test_reads_are_counted_where_there_are_some():
    with Reads() as reads:
        assert torch.ones(()).item() == 1.0 and bool(torch.ones(())) and float(torch.ones(())) == 1.0
        torch.where(torch.isfinite(torch.ones(())).all(), 1.0, 2.0)
    assert reads.count == 3


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "radam"])
def test_training_a_classifier_takes_numbers_from_the_device_at_every_fiftieth_step_only(optimizer: str):
    def reads(steps: int) -> int:
        net, config = nn.Linear(2, 1), ClassifierTraining(optimizer=optimizer, learning_rate=1e-6)
        with Reads() as counted:
            train_classifier(net, config, steps, losses({}, net), phase_context(0, "classifier"))
        return counted.count

    assert reads(250) - reads(50) == 4


def test_the_game_takes_numbers_from_the_device_at_every_fiftieth_step_only():
    """Without adaptive augmentation, which looks at its signs every fourth step."""

    def reads(steps: int) -> int:
        with Reads() as counted:
            run_phase("genifer", 0, "generator", base_state(), {"steps": steps, "augmentation": "off", "r1_gamma": 0})
        return counted.count

    assert reads(120) - reads(20) == 2 * 2  # of each network's loss
