"""One exemplar method on one stream: arms that differ in how they meet the bias to new classes, tuned over one grid."""

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from _chains import Job
from _ladder import difference, last, mean_and_error

import tune_cl
from tune_cl.records import IncrementRow, RunConfig

TUNING_SEED = 100  # of training, in the grid; the seeds that are reported are others
RATES = (1e-3, 3e-3)
_C = "increment.classifier"
VARIED: dict[str, dict[str, tuple[Any, ...]]] = {  # beside the rate: what the method's paper, or its code, varies
    "il_baseline": {f"{_C}.weighting": ("classes", "fixed")},
    "icarl": {f"{_C}.weight_kd": (0.25, 1.0)},
    "lucir": {f"{_C}.old_head": ("frozen", "trained")},
    "podnet": {f"{_C}.old_head": ("frozen", "trained")},
}
METHODS = tuple(VARIED)
WITHOUT = {"base.memory.size": 0}
CE, BALANCED, FINETUNED = "CE", "balanced", "CE, then balanced finetuning"
CE_WITHOUT, RELAXED = "CE, no memory", "relaxed, no memory"
ARMS: dict[str, dict[str, Any]] = {
    CE: {f"{_C}.loss": "ce", "increment.finetune.epochs": 0},
    BALANCED: {f"{_C}.loss": "balanced", "increment.finetune.epochs": 0},
    FINETUNED: {f"{_C}.loss": "ce", "increment.finetune.epochs": 20},
    CE_WITHOUT: {f"{_C}.loss": "ce", "increment.finetune.epochs": 0, **WITHOUT},
    # As lwf has it: its limit is the loss over the new classes alone.
    RELAXED: {f"{_C}.loss": "relaxed", f"{_C}.epsilon": 1e-6, "increment.finetune.epochs": 0, **WITHOUT},
}
PUBLISHED_LOSS = {"podnet": {f"{_C}.loss": "nca"}}  # what takes the place of cross-entropy there
PAIRS = ((CE, BALANCED), (CE, FINETUNED), (FINETUNED, BALANCED), (CE_WITHOUT, RELAXED))


@dataclass(frozen=True)
class Comparison:
    """The arms of a method over its grid, then over seeds."""

    method: str
    stream: str
    size: int  # exemplars of a class, in the arms with a memory
    budget: str
    seeds: int

    def grid(self) -> list[dict[str, Any]]:
        """The grid's points, the same for every arm."""
        values = {f"{_C}.learning_rate": RATES, **VARIED[self.method]}
        return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]

    def tuning_jobs(self) -> list[Job]:
        """Every arm at every point of the grid."""
        return [self._job(arm, point, TUNING_SEED) for arm in ARMS for point in self.grid()]

    def jobs(self, tuned: Mapping[str, list[IncrementRow]]) -> list[Job]:
        """Each arm at its best point, over the seeds."""
        return [self._job(arm, self.best(arm, tuned), seed) for arm in ARMS for seed in range(self.seeds)]

    def best(self, arm: str, tuned: Mapping[str, list[IncrementRow]]) -> dict[str, Any]:
        """The point of the grid with the largest average incremental accuracy; of equals the first."""
        return max(self.grid(), key=lambda point: _score(tuned[self._name(arm, point, TUNING_SEED)]))

    def of_arm(self, arm: str, rows: Mapping[str, list[IncrementRow]]) -> list[list[IncrementRow]]:
        """The chains of an arm at its best point, by seed."""
        best = self.best(arm, rows)
        return [rows[self._name(arm, best, seed)] for seed in range(self.seeds)]

    def report(self, rows: Mapping[str, list[IncrementRow]]) -> list[str]:
        """A line of the table for each arm."""
        return [self._line(arm, rows) for arm in ARMS]

    def verdicts(self, rows: Mapping[str, list[IncrementRow]]) -> list[str]:
        """What holds between the arms, in accuracy after the last increment."""
        lines = []
        for lower, upper in PAIRS:
            one, other = ([last(row, "val/accuracy") for row in self.of_arm(arm, rows)] for arm in (lower, upper))
            gap, error = difference(one, other)
            sign = "ahead of" if gap > error else "behind" if gap < -error else "level with"
            lines.append(
                f"- {self.method} on {self.stream}: *{upper}* is {sign} *{lower}*: {gap:+.4f}, two standard "
                f"errors {error:.4f}."
            )
        return lines

    def below(self, frozen: float, rows: Mapping[str, list[IncrementRow]]) -> list[str]:
        """The arms that end below never training again."""
        means = {arm: statistics.mean(last(row, "val/accuracy") for row in self.of_arm(arm, rows)) for arm in ARMS}
        arms = [f"*{arm}* ({mean:.3f})" for arm, mean in means.items() if mean < frozen]
        return (
            [f"- {self.method} on {self.stream}: below never training again ({frozen:.3f}): {', '.join(arms)}."]
            if arms
            else []
        )

    def run(self, arm: str, point: Mapping[str, Any], seed: int) -> RunConfig:
        """A configuration: the space's default but for the arm, the point and the memory."""
        published = PUBLISHED_LOSS.get(self.method, {}) if ARMS[arm][f"{_C}.loss"] == "ce" else {}
        changes = {"base.memory.size": self.size, **ARMS[arm], **published, **point}
        return tune_cl.configure(
            self.method, stream=self.stream, budget=self.budget, train_seed=seed, overrides=changes
        )

    def _line(self, arm: str, rows: Mapping[str, list[IncrementRow]]) -> str:
        mine = self.of_arm(arm, rows)
        grid = [f"{_text(p)}: {_score(rows[self._name(arm, p, TUNING_SEED)]):.3f}" for p in self.grid()]
        by_means = [last(row, "val/nme/accuracy") for row in mine if "val/nme/accuracy" in row[-1].metrics]
        cells = [
            self.method,
            arm,
            "; ".join(grid),
            _text(self.best(arm, rows)),
            " ".join(f"{last(row, 'val/accuracy'):.3f}" for row in mine),
            mean_and_error([last(row, "val/accuracy") for row in mine]),
            mean_and_error([last(row, "val/average_incremental_accuracy") for row in mine]),
            f"{statistics.mean(last(row, 'val/accuracy_old') for row in mine):.3f}",
            f"{statistics.mean(last(row, 'val/accuracy_new') for row in mine):.3f}",
            mean_and_error(by_means) if by_means else "–",
        ]
        return "| " + " | ".join(cells) + " |"

    def _job(self, arm: str, point: Mapping[str, Any], seed: int) -> Job:
        return Job(self._name(arm, point, seed), self.run(arm, point, seed))

    def _name(self, arm: str, point: Mapping[str, Any], seed: int) -> str:
        return f"{self.method} {self.stream} {self.size} {arm} {_text(point)} seed {seed}"


def _score(rows: list[IncrementRow]) -> float:
    return last(rows, "val/average_incremental_accuracy")


def _text(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{path.rpartition('.')[2].replace('learning_', '')} {value}" for path, value in point.items())
