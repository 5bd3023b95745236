"""Hosts with a memory: balanced softmax cross-entropy against plain one, all else equal, both tuned over one grid."""

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from _chains import Job
from ladder import last, mean_and_error, verdict

import tune_cl
from tune_cl.methods import flatten
from tune_cl.records import IncrementRow, RunConfig

TUNING_SEED = 100  # of training, in the grid; the seeds that are reported are others
_C = "increment.classifier"
_RATES = {f"{_C}.learning_rate": (1e-3, 2e-3)}
_HEADS = {f"{_C}.old_head": ("frozen", "trained")}
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "il_baseline": _RATES,
    "icarl": _RATES,
    "lucir": _HEADS,
    "podnet": _HEADS,
}
ARMS: dict[str, dict[str, Any]] = {
    "CE": {f"{_C}.loss": "ce"},
    "balanced": {f"{_C}.loss": "balanced"},
}
ORIGINALS: dict[str, dict[str, Any]] = {  # with their balanced finetuning, at one memory size
    "lucir": {f"{_C}.loss": "ce", "increment.finetune.epochs": 6},
    "podnet": {f"{_C}.loss": "nca", "increment.finetune.epochs": 6},
}


@dataclass(frozen=True)
class Comparison:
    """One host on one stream with one size of memory: its arms, over its grid, then over seeds."""

    host: str
    stream: str
    size: int  # exemplars of a class
    budget: str
    seeds: int
    original: bool = False

    @property
    def arms(self) -> dict[str, dict[str, Any]]:
        """What is compared."""
        return {**ARMS, **({"original, finetuned": ORIGINALS[self.host]} if self.original else {})}

    def grid(self) -> list[dict[str, Any]]:
        """The grid's points, the same for every arm."""
        values = GRIDS[self.host]
        return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]

    def tuning_jobs(self) -> list[Job]:
        """Every arm at every point of the grid."""
        return [self._job(arm, point, TUNING_SEED) for arm in self.arms for point in self.grid()]

    def jobs(self, tuned: Mapping[str, list[IncrementRow]]) -> list[Job]:
        """Each arm at its best point, over the seeds."""
        return [self._job(arm, self.best(arm, tuned), seed) for arm in self.arms for seed in range(self.seeds)]

    def best(self, arm: str, tuned: Mapping[str, list[IncrementRow]]) -> dict[str, Any]:
        """The point of the grid with the largest average incremental accuracy; of equals the first."""
        return max(self.grid(), key=lambda point: self._score(tuned[self._name(arm, point, TUNING_SEED)]))

    def report(self, rows: Mapping[str, list[IncrementRow]]) -> list[str]:
        """Lines of the table: the arms at the grid's points, and over the seeds at their best one."""
        lines = []
        for arm in self.arms:
            best = self.best(arm, rows)
            mine = [rows[self._name(arm, best, seed)] for seed in range(self.seeds)]
            grid = [
                f"{_text(point)}: {self._score(rows[self._name(arm, point, TUNING_SEED)]):.3f}" for point in self.grid()
            ]
            cells = [
                self.host,
                self.stream,
                str(self.size),
                arm,
                "; ".join(grid),
                " ".join(f"{last(row, 'val/accuracy'):.4f}" for row in mine),
                mean_and_error([last(row, "val/accuracy") for row in mine]),
                mean_and_error([last(row, "val/average_incremental_accuracy") for row in mine]),
                f"{statistics.mean(last(row, 'val/accuracy_old') for row in mine):.3f}",
                f"{statistics.mean(last(row, 'val/accuracy_new') for row in mine):.3f}",
            ]
            if self.host == "icarl":
                cells[-4] += f" (NME {mean_and_error([last(row, 'val/nme/accuracy') for row in mine])})"
            lines.append("| " + " | ".join(cells) + " |")
        return lines

    def verdict(self, rows: Mapping[str, list[IncrementRow]]) -> str:
        """Whether balanced is ahead of CE beyond two standard errors, each at its best point."""
        scores = {
            arm: [last(rows[self._name(arm, self.best(arm, rows), seed)], "val/accuracy") for seed in range(self.seeds)]
            for arm in ARMS
        }
        return verdict(f"{self.host} on {self.stream}, {self.size} per class: CE < balanced", *scores.values())

    def run(self, arm: str, point: Mapping[str, Any], seed: int) -> RunConfig:
        """A configuration: the space's default but for the arm, the point and the memory."""
        changes = {**self.arms[arm], **point, "base.memory.size": self.size}
        return tune_cl.configure(self.host, stream=self.stream, budget=self.budget, train_seed=seed, overrides=changes)

    def settings(self) -> str:
        """What is the same in both arms, in words."""
        values = flatten(self.run("CE", self.grid()[0], 0).parameters)
        named = ("epochs", "batch_size", "weighting", "weight_kd", "temperature", "weight_feature", "weight_ranking")
        named += ("weight_spatial", "weight_flat")
        found = {name: values.get(f"{_C}.{name}") for name in named}
        if "base.classifier.scale" in values:
            found["scale"] = values["base.classifier.scale"]
        return f"- {self.host}, {self.stream}: " + ", ".join(f"{k} {v}" for k, v in found.items() if v is not None)

    def _job(self, arm: str, point: Mapping[str, Any], seed: int) -> Job:
        return Job(self._name(arm, point, seed), self.run(arm, point, seed))

    def _name(self, arm: str, point: Mapping[str, Any], seed: int) -> str:
        return f"{self.host} {self.stream} {self.size} {arm} {_text(point)} seed {seed}"

    def _score(self, rows: list[IncrementRow]) -> float:
        return last(rows, "val/average_incremental_accuracy")


def _text(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in point.items())
