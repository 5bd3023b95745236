"""No step waits for the device: it makes no tensor of a list, and reads no number back. Counted on the CPU."""

import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from tiny_phases import base_state, mid_state, run_phase
from torch.utils._python_dispatch import TorchDispatchMode

_WAITS = {
    "lift_fresh": "a tensor made of a list or a number, copied to the device",
    "_local_scalar_dense": "a number read back",
}


class Waits(TorchDispatchMode):
    """Counts what would wait for a GPU, by the function of the package that it happened in."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (name := func.name().removeprefix("aten::").partition(".")[0]) in _WAITS:
            self.counts[f"{_WAITS[name]}, in {_caller()}"] += 1
        return func(*args, **(kwargs or {}))


def _caller() -> str:
    frame = sys._getframe(2)
    while frame.f_back is not None and "/tune_cl/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame.f_code.co_qualname


def waits_per_step(method: str, t: int, phase: str, changes: Mapping[str, Any], unit: str) -> dict[str, int]:
    """What four further steps add: what happens once, or once in fifty steps, falls out."""
    counts = []
    for n in (8, 12):
        with Waits() as waits:
            run_phase(method, t, phase, mid_state() if t else base_state(), {**changes, unit: n})
        counts.append(waits.counts)
    return {where: n for where, n in (counts[1] - counts[0]).items() if n >= 4}


@pytest.mark.parametrize("t", [0, 1])
def test_a_step_of_the_game_does_not_wait(t):
    changes = {"augmentation": "fixed", "augmentation_p": 0.5, "weight_label": 1.0}
    assert waits_per_step("genifer", t, "generator", changes, "steps") == {}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_step_of_the_replay_classifier_does_not_wait(
    optimizer,
):  # radam reads its count of steps, which lies on the CPU
    changes = {"optimizer": optimizer, "loss": "balanced", "replay_labels": "hard", "schedule": "cosine"}
    assert waits_per_step("genifer", 1, "classifier", changes, "epochs") == {}


def test_what_waits_is_counted():
    with Waits() as waits:
        float(torch.tensor([1.0]).sum())
    assert sum(waits.counts.values()) == 2
