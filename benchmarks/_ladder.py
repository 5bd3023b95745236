"""The ladder from fine-tuning to joint training: equal networks, classifier steps and real images on every rung."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from _chains import Job
from ladder import classifier_budget, core_minutes, generator_steps, last, mean_and_error, verdict

import tune_cl
from tune_cl.records import IncrementRow, RunConfig

FROZEN = "frozen"
RELAXED = "genifer, relaxed"
MANY = "genifer, for many classes"
CONTROLS = ("feature_replay", "image_replay")
RUNGS: dict[str, tuple[str, dict[str, Any]]] = {  # rung -> method, and what differs from its space's default
    FROZEN: ("frozen", {}),
    "finetune": ("finetune", {}),
    "lwf": ("lwf", {}),
    "feature_replay": ("feature_replay", {}),
    "image_replay": ("image_replay", {}),
    "genifer": ("genifer", {}),
    RELAXED: ("genifer", {"increment.classifier.loss": "relaxed"}),
    MANY: (
        "genifer",
        {
            "base.generator.label_scale": "unit",
            "base.generator.latent_dim": 16,
            "base.generator.embedding_dim": 64,
            "base.generator.steps": 3000,
            "base.generator.learning_rate": 5e-3,
            "base.generator.augmentation": "off",
            "increment.generator.steps": 1000,
            "increment.generator.augmentation": "off",
            "increment.generator.weight_image": 30.0,
            "increment.classifier.weight_ce": 0.05,
            "increment.classifier.loss": "relaxed",
        },
    ),
    "oracle": ("oracle", {}),
    "joint": ("joint", {}),
}


@dataclass(frozen=True)
class Ladder:
    """The rungs on one stream, under one budget of the shipped spaces."""

    stream: str
    budget: str
    seeds: int
    without: tuple[str, ...] = ()  # rungs that are left out

    @property
    def rungs(self) -> list[str]:
        """From the lower end up."""
        return [rung for rung in RUNGS if rung not in self.without]

    def jobs(self) -> list[Job]:
        """The chains, the dearest ones last."""
        order = sorted(self.rungs, key=lambda rung: ("genifer" in rung) + 2 * ("image_replay" in rung))
        return [Job(self.name(rung, seed), self.run(rung, seed)) for rung in order for seed in range(self.seeds)]

    def run(self, rung: str, seed: int) -> RunConfig:
        """The default of a method's space, but for what the rung says."""
        method, changes = RUNGS[rung]
        return tune_cl.configure(
            method, stream=self.stream, budget=self.budget, train_seed=seed, overrides=dict(changes)
        )

    def name(self, rung: str, seed: int) -> str:
        """Of a job."""
        return f"{rung} {self.stream} {self.budget} seed {seed}"

    def report(self, rows: Mapping[str, list[IncrementRow]]) -> list[str]:
        """A table and what holds of it."""
        lines = [
            f"### {self.stream}, budget `{self.budget}`",
            "",
            "| rung | classifier steps per increment | real new images per step "
            "| generator steps (base / increment) | accuracy per seed | accuracy | standard deviation "
            "| average incremental accuracy | forgetting | accuracy of the classifier on replay | core-minutes |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        scores = {}
        for rung in self.rungs:
            mine = [rows[self.name(rung, seed)] for seed in range(self.seeds)]
            scores[rung] = [last(row, "val/accuracy") for row in mine]
            run = self.run(rung, 0)
            judged = [row[1].metrics["replay_accuracy"] for row in mine]
            cells = [
                rung,
                *(("–", "–") if rung == FROZEN else classifier_budget(run)),
                generator_steps(run),
                " ".join(f"{score:.4f}" for score in scores[rung]),
                mean_and_error(scores[rung]),
                f"{statistics.stdev(scores[rung]):.4f}",
                f"{statistics.mean(last(row, 'val/average_incremental_accuracy') for row in mine):.4f}",
                f"{statistics.mean(last(row, 'val/forgetting') for row in mine):.4f}",
                f"{statistics.mean(value for value in judged if value is not None):.3f}" if any(judged) else "–",
                core_minutes(mine),
            ]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
        fine, oracle, frozen = scores["finetune"], scores["oracle"], scores[FROZEN]
        lines += ["", "Binding:", "", verdict("fine-tune < LwF", fine, scores["lwf"])]
        for rung in (rung for rung in self.rungs if "genifer" in rung):
            lines += [
                verdict(f"fine-tune < {rung}", fine, scores[rung]),
                verdict(f"{rung} < oracle", scores[rung], oracle),
            ]
        lines += ["", "Against never training again:", ""]
        lines += [verdict(f"{FROZEN} < {rung}", frozen, scores[rung]) for rung in self.rungs if rung != FROZEN]
        lines += ["", "Expected:", ""]
        lines += [verdict(f"{rung} < genifer", scores[rung], scores["genifer"]) for rung in CONTROLS]
        return [*lines, verdict("oracle < joint (at most equal is expected)", oracle, scores["joint"])]
