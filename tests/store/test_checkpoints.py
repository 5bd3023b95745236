"""Checkpoints inside phases: a phase that was killed goes on to the same numbers, bit by bit."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_chains import TIMES, chain_of, comparable, rows_of, run_config, tiny_stream

from tune_cl.chain import Chain, Progress
from tune_cl.methods import Diverged
from tune_cl.records import RunConfig
from tune_cl.store import PhaseCheckpoint, StageStore

LONGER = {"base.generator.steps": 9, "increment.generator.steps": 9, "increment.classifier.epochs": 2}


class Killed(BaseException):
    """What stands for a kill inside one process: nothing of the product catches it."""


def strike_at(increment: int, phase: str, step: int) -> Callable[[Progress], None]:
    def strike(progress: Progress) -> None:
        if (progress.increment, progress.phase, progress.step) == (increment, phase, step):
            raise Killed

    return strike


def chain_on(run: RunConfig, stages: Path, on_progress: Callable[[Progress], None], every: float) -> Chain:
    return Chain(run, tiny_stream(), StageStore(stages, TIMES, checkpoint_every=every), on_progress, node="here")


def weights(stages: Path, keys: list[str]) -> dict[str, str]:
    """Key -> checksum of the stored tensors."""
    store = StageStore(stages)
    return {key: stage.record.checksum for key in keys if (stage := store.load(key)) is not None}


def interrupted(run: RunConfig, stages: Path, where: tuple[int, str, int]) -> list[Progress]:
    """Run a chain with a checkpoint after every step until it is killed there; return all signs of life."""
    seen: list[Progress] = []
    strike = strike_at(*where)

    def look(progress: Progress) -> None:
        seen.append(progress)
        strike(progress)

    with pytest.raises(Killed):
        rows_of(chain_on(run, stages, look, every=0.0))
    return seen


def checkpoints(stages: Path) -> list[str]:
    return sorted(path.stem for path in (stages / "checkpoints").glob("*"))


MOMENTS = [(0, "classifier", 3), (0, "generator", 5), (1, "classifier", 6), (1, "generator", 7)]
VARIANTS: dict[str, dict[str, Any]] = {
    "sgd, steps": {"base.classifier.optimizer": "sgd", "base.classifier.schedule": "steps"},
    "adamw, cosine": {"base.classifier.optimizer": "adamw", "increment.classifier.schedule": "cosine"},
    "radam": {"increment.classifier.optimizer": "radam", "increment.classifier.teacher_batch_norm": "train"},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_phase_killed_at_any_of_four_moments_goes_on_to_the_same_weights(tmp_path: Path, variant: dict[str, Any]):
    run = run_config("genifer", LONGER | variant, horizon=2)
    whole = chain_on(run, tmp_path / "whole", lambda progress: None, math.inf)
    keys = [key for _, _, key in whole.planned_keys()]
    rows = rows_of(whole)
    reached = 1
    for moment in MOMENTS:
        # A kill while step n is being reported comes before that step's checkpoint: n is done again.
        assert interrupted(run, tmp_path / "killed", moment)[0].step == reached
        reached = moment[2]
        (key,) = checkpoints(tmp_path / "killed")
        assert (moment[0], moment[1], key) in whole.planned_keys()
    again = rows_of(chain_on(run, tmp_path / "killed", lambda progress: None, math.inf))
    assert comparable(again) == comparable(rows)
    assert weights(tmp_path / "killed", keys) == weights(tmp_path / "whole", keys)
    assert len(weights(tmp_path / "whole", keys)) == len(keys) == 5


@pytest.mark.parametrize(
    ("method", "moments"),
    [
        ("il_baseline", [(1, "classifier", 5)]),
        ("lucir", [(1, "classifier", 5), (1, "finetune", 2)]),
        ("podnet", [(1, "classifier", 5), (1, "finetune", 2)]),
    ],
)
def test_a_host_killed_inside_a_phase_goes_on_to_the_same_weights(tmp_path: Path, method: str, moments: list[Any]):
    run = run_config(method, {"increment.classifier.epochs": 2}, horizon=1)
    whole = chain_on(run, tmp_path / "whole", lambda progress: None, math.inf)
    keys = [key for _, _, key in whole.planned_keys()]
    rows = rows_of(whole)
    for moment in moments:
        interrupted(run, tmp_path / "killed", moment)
        assert len(checkpoints(tmp_path / "killed")) == 1
    assert comparable(rows_of(chain_on(run, tmp_path / "killed", lambda progress: None, math.inf))) == comparable(rows)
    assert weights(tmp_path / "killed", keys) == weights(tmp_path / "whole", keys) != {}


def test_the_adaptive_augmentation_and_the_running_means_are_part_of_a_checkpoint(tmp_path: Path):
    """A fast controller, so that p has moved by the time of the kill; the losses come from the last steps."""
    run = run_config("genifer", LONGER | {"base.generator.augmentation_speed": 0.2, "base.generator.steps": 40})
    whole = chain_on(run, tmp_path / "whole", lambda progress: None, math.inf).advance().row
    assert whole.losses["generator/augmentation_p"] > 0
    interrupted(run, tmp_path / "killed", (0, "generator", 39))
    again = chain_on(run, tmp_path / "killed", lambda progress: None, math.inf).advance().row
    assert again.losses == whole.losses


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another's"])
def test_a_damaged_checkpoint_is_not_used(tmp_path: Path, damage: str):
    run = run_config("genifer", LONGER, horizon=1)
    interrupted(run, tmp_path, (0, "generator", 5))
    (path,) = (tmp_path / "checkpoints").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    if damage == "another's":
        path.write_bytes(another_stages_checkpoint(run, tmp_path / "other"))
    else:
        path.write_bytes({"cut": data[:-30], "flipped": data, "empty": b""}[damage])
    seen: list[Progress] = []
    rows = rows_of(chain_on(run, tmp_path, seen.append, math.inf))
    assert next(sign.step for sign in seen if (sign.increment, sign.phase) == (0, "generator")) == 1
    assert comparable(rows) == comparable(rows_of(chain_of(run, tmp_path / "alone")))


def another_stages_checkpoint(run: RunConfig, stages: Path) -> bytes:
    """A sound checkpoint, but of the same phase with another seed."""
    interrupted(run.model_copy(update={"train_seed": 1}), stages, (0, "generator", 5))
    return next((stages / "checkpoints").iterdir()).read_bytes()


def test_time_before_a_kill_counts_as_the_stages_cost(tmp_path: Path):
    def slowly(progress: Progress) -> None:
        time.sleep(0.05)
        strike_at(0, "classifier", 4)(progress)

    run = run_config("finetune", horizon=1)
    with pytest.raises(Killed):
        chain_on(run, tmp_path, slowly, every=0.0).advance()
    row = chain_on(run, tmp_path, lambda progress: None, every=0.0).advance().row
    assert row.stages[0].seconds > 3 * 0.05


def test_checkpoints_are_written_at_their_pace_and_not_after_the_last_step(tmp_path: Path):
    net = torch.nn.Linear(2, 2)
    never = PhaseCheckpoint(tmp_path / "never", "k", every=1000.0)
    always = PhaseCheckpoint(tmp_path / "always", "k", every=0.0)
    for step in (1, 2, 3):
        never.step(step, 3, {"net": net})
        always.step(step, 3, {"net": net})
    assert not never.path.exists()
    assert PhaseCheckpoint(always.path, "k", 0.0).resume({"net": torch.nn.Linear(2, 2)}) == 2
    assert PhaseCheckpoint(always.path, "another", 0.0).resume({"net": net}) == 0


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_phase(tmp_path: Path):
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    run = run_config("finetune", horizon=1)
    rows = rows_of(chain_on(run, tmp_path, lambda progress: None, every=0.0))
    assert comparable(rows) == comparable(rows_of(chain_of(run, tmp_path / "alone")))


def test_a_phase_that_diverges_leaves_no_checkpoint(tmp_path: Path):
    changes = {"increment.classifier.optimizer": "sgd", "increment.classifier.learning_rate": 10.0}
    changes |= {"increment.classifier.weight_decay": 1.0, "increment.classifier.epochs": 60}
    chain = chain_on(run_config("finetune", changes), tmp_path, lambda progress: None, every=0.0)
    chain.advance()
    with pytest.raises(Diverged):
        chain.advance()
    assert checkpoints(tmp_path) == []
