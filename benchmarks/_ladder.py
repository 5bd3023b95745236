"""The ladder of one stream and budget: equal networks, classifier steps and real images on every rung."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from _chains import Job

import tune_cl
from tune_cl.methods import flatten
from tune_cl.records import IncrementRow, RunConfig
from tune_cl.streams import Stream, open_stream

Rung = tuple[str, Mapping[str, Any]]  # method, and what differs from its space's default
Rows = Mapping[str, Sequence[IncrementRow]]

# With its discriminator on pixels, a step of image replay costs several times one of Genifer's.
EQUAL_CPU = {"base.generator.steps": 150, "increment.generator.steps": 75}
RUNGS: dict[str, Rung] = {
    "frozen": ("frozen", {}),
    "finetune": ("finetune", {}),
    "lwf": ("lwf", {}),
    "feature_replay": ("feature_replay", {}),
    "image_replay, equal CPU": ("image_replay", EQUAL_CPU),
    "genifer": ("genifer", {}),
    "oracle": ("oracle", {}),
    "joint": ("joint", {}),
}
DEAREST = ("image_replay", "genifer", "feature_replay")
HIGHER = (  # a rung, and one that is expected above it
    *((rung, "genifer") for rung in ("frozen", "lwf", "feature_replay", "image_replay, equal CPU")),
    ("frozen", "lwf"),
    ("frozen", "oracle"),
    ("genifer", "oracle"),
    ("oracle", "joint"),
)
COLUMNS = (
    "rung",
    "generator steps (base / increment)",
    "accuracy per seed",
    "accuracy",
    "average incremental accuracy",
    "forgetting",
    "replay: accuracy of the classifier",
    "of the student",
    "spread",
    "core-minutes",
)


@dataclass(frozen=True)
class Ladder:
    """Rungs on one stream, under one budget of the shipped spaces."""

    stream: str
    budget: str
    seeds: int = 3
    rungs: Sequence[str] = field(default_factory=lambda: tuple(RUNGS))  # from the lower end up
    data: Mapping[str, Any] = field(default_factory=dict)  # where images lie that are not embedded

    def jobs(self) -> list[Job]:
        """The chains, the dearest ones first."""
        methods = {rung: RUNGS[rung][0] for rung in self.rungs}
        order = sorted(self.rungs, key=lambda rung: (*DEAREST, methods[rung]).index(methods[rung]))
        return [
            Job(self.name(rung, seed), self.run(rung, seed), self.data) for rung in order for seed in range(self.seeds)
        ]

    def run(self, rung: str, seed: int) -> RunConfig:
        """The default of a method's space, but for what the rung says."""
        method, changes = RUNGS[rung]
        return tune_cl.configure(
            method, stream=self.stream, budget=self.budget, train_seed=seed, overrides=dict(changes)
        )

    def stream_of_images(self) -> Stream:
        """The stream with its images."""
        return open_stream(self.run("frozen", 0).stream, **self.data)

    def name(self, rung: str, seed: int) -> str:
        """Of a job."""
        return f"{rung} {self.stream} {self.budget} seed {seed}"

    def report(self, rows: Rows) -> list[str]:
        """A table and what holds of it."""
        run = self.run("oracle", 0)
        values = flatten(run.parameters)
        batch = values["increment.classifier.batch_size"]
        steps = values["increment.classifier.epochs"] * math.ceil(
            len(self.stream_of_images().training(1).labels) / batch
        )
        lines = [
            f"## {self.stream}, budget `{self.budget}`",
            "",
            f"{steps} classifier steps per increment, {batch} new images in each.",
            "",
            "| " + " | ".join(COLUMNS) + " |",
            "|" + "---|" * len(COLUMNS),
        ]
        chains = {rung: [rows[self.name(rung, seed)] for seed in range(self.seeds)] for rung in self.rungs}
        lines += ["| " + " | ".join(self._cells(rung, chains[rung])) + " |" for rung in self.rungs]
        scores = {rung: [last(chain, "val/accuracy") for chain in chains[rung]] for rung in self.rungs}
        lines.append("")
        lines += [
            verdict(f"{low} < {high}", scores[low], scores[high])
            for low, high in HIGHER
            if low in scores and high in scores
        ]
        if {"frozen", "genifer", "oracle"} <= scores.keys():
            way = statistics.mean(scores["genifer"]) - statistics.mean(scores["frozen"])
            whole = statistics.mean(scores["oracle"]) - statistics.mean(scores["frozen"])
            lines.append(f"- Genifer is {100 * way / whole:.0f} % of the way from never training again to the oracle.")
        return lines

    def _cells(self, rung: str, chains: Sequence[Sequence[IncrementRow]]) -> list[str]:
        scores = [last(chain, "val/accuracy") for chain in chains]
        values = flatten(self.run(rung, 0).parameters)
        steps = values.get("base.generator.steps")
        return [
            rung,
            "–" if steps is None else f"{steps} / {values['increment.generator.steps']}",
            " ".join(f"{score:.4f}" for score in scores),
            mean_and_error(scores),
            f"{statistics.mean(last(chain, 'val/average_incremental_accuracy') for chain in chains):.4f}",
            f"{statistics.mean(last(chain, 'val/forgetting') for chain in chains):.4f}",
            *(_over_increments(chains, name) for name in ("replay_accuracy", "val/replay_student", "replay_spread")),
            core_minutes(chains),
        ]


def _over_increments(chains: Sequence[Sequence[IncrementRow]], metric: str) -> str:
    """Mean over increments and seeds."""
    found = [value for chain in chains for row in chain if (value := row.metrics.get(metric)) is not None]
    return f"{statistics.mean(found):.3f}" if found else "–"


def last(rows: Sequence[IncrementRow], metric: str) -> float:
    """A metric after the last increment."""
    value = rows[-1].metrics[metric]
    assert value is not None
    return value


def core_minutes(chains: Sequence[Sequence[IncrementRow]]) -> str:
    """CPU time of the costliest chain as if trained alone, over the seeds for which it was measured."""
    uses = [[use.cpu_seconds for row in rows for use in row.stages] for rows in chains]
    measured = [sum(filter(None, chain)) / 60 for chain in uses if None not in chain]
    return f"{max(measured):.1f}" if measured else "–"


def standard_error(scores: Sequence[float]) -> float:
    """Of the mean."""
    return statistics.stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else math.nan


def mean_and_error(scores: Sequence[float]) -> str:
    """As tables have it."""
    return f"{statistics.mean(scores):.4f} ± {standard_error(scores):.4f}"


def verdict(claim: str, low: Sequence[float], high: Sequence[float]) -> str:
    """Whether one is above the other beyond two standard errors."""
    gap, error = difference(low, high)
    holds = "holds" if gap > error else "does NOT hold"
    return f"- {claim}: {holds}, difference {gap:+.4f}, two standard errors of it {error:.4f}."


def difference(low: Sequence[float], high: Sequence[float]) -> tuple[float, float]:
    """Of the means, and two standard errors of it."""
    error = math.hypot(standard_error(low), standard_error(high))
    return statistics.mean(high) - statistics.mean(low), 2 * error
