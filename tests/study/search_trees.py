"""A small configuration tree, and searches over it: enough of a method to search, nothing to train."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import model_validator

from tune_cl.methods import Settings, parameter
from tune_cl.study import SearchSpace, SpaceFile, Study, StudySettings, load_space, resolve

LR = "increment.classifier.learning_rate"
LOSS = "increment.classifier.loss"
LABELS = "increment.classifier.replay_labels"
STEPS = "increment.classifier.steps"
NESTEROV = "increment.classifier.nesterov"
AUGMENTATION = "increment.generator.augmentation"
GAMMA = "increment.generator.r1_gamma"
BASE_LR = "base.classifier.learning_rate"
BASE_STEPS = "base.classifier.steps"


class BaseClassifier(Settings):
    learning_rate: float = parameter(0.1, "Learning rate.", source="test", gt=0, le=1)
    steps: int = parameter(100, "Steps of training.", source="test", ge=1, le=10_000)


class Classifier(Settings):
    learning_rate: float = parameter(1e-3, "Learning rate.", source="test", gt=0, le=1)
    loss: Literal["ce", "relaxed", "balanced"] = parameter("ce", "Loss on the logits.", source="test")
    replay_labels: Literal["soft", "hard"] = parameter("soft", "Labels of replay.", source="test")
    steps: int = parameter(50, "Steps of training.", source="test", ge=1, le=10_000)
    nesterov: bool = parameter(True, "Nesterov momentum.", source="test")

    @model_validator(mode="after")
    def _counts_exist(self) -> "Classifier":
        if self.loss == "balanced" and self.replay_labels == "soft":
            raise ValueError("loss 'balanced' needs replay_labels: hard")
        return self


class Generator(Settings):
    augmentation: Literal["off", "fixed", "adaptive"] = parameter("adaptive", "Augmentation.", source="test")
    r1_gamma: float = parameter(0.03, "Weight of R1.", source="test", ge=0)


class Base(Settings):
    classifier: BaseClassifier = BaseClassifier()


class Increment(Settings):
    classifier: Classifier = Classifier()
    generator: Generator = Generator()


class Config(Settings):
    base: Base = Base()
    increment: Increment = Increment()


PARAMETERS: dict[str, Any] = {
    GAMMA: {"log": [1e-3, 1], "when": {AUGMENTATION: ["fixed", "adaptive"]}},  # a child before its parent, on purpose
    LR: {"log": [1e-5, 1e-1]},
    STEPS: {"int": [10, 200]},
    AUGMENTATION: {"choice": ["off", "fixed", "adaptive"]},
}
SCALES: dict[str, Any] = {"small28": {"budgets": {"quick": {}, "full": {}}}}


def space_dict(parameters: dict[str, Any] | None = None, **top_level: Any) -> dict[str, Any]:
    return {
        "method": "toy",
        "parameters": PARAMETERS if parameters is None else parameters,
        "scales": SCALES,
        **top_level,
    }


def write_space(folder: Path, content: dict[str, Any] | str) -> SpaceFile:
    path = folder / "toy.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return load_space(str(path))


def resolved(
    folder: Path,
    content: dict[str, Any] | str,
    overrides: dict[str, Any] | None = None,
    scale: str = "small28",
    budget: str = "quick",
) -> SearchSpace:
    return resolve(write_space(folder, content), config=Config, scale=scale, budget=budget, overrides=overrides or {})


def settings(**changes: Any) -> StudySettings:
    defaults: dict[str, Any] = {
        "sampler": "tpe",
        "search_seed": 0,
        "trials": 12,
        "objective": "val/average_incremental_accuracy",
        "direction": "max",
        "horizon": 3,
        "stopping": "none",
    }
    return StudySettings(**{**defaults, **changes})


def quality(configuration: dict[str, Any], increment: int) -> float:
    """A made-up objective: best at some learning rate, falling as classes arrive."""
    classifier, generator = configuration["increment"]["classifier"], configuration["increment"]["generator"]
    distance = abs(classifier["steps"] - 120) / 200 + abs(classifier["learning_rate"] - 0.01) * 5
    return 1 / (1 + distance + generator["r1_gamma"]) - 0.1 * increment


def run_next(study: Study, horizon: int = 3) -> int | None:
    """Run one trial to its end; return its number, or None when there is none left."""
    proposal = study.ask()
    if proposal is None:
        return None
    for increment in range(horizon + 1):
        decision = study.report(proposal.number, increment, quality(proposal.configuration, increment))
        if decision == "stop":
            study.tell_stopped(proposal.number)
            return proposal.number
    study.tell_finished(proposal.number)
    return proposal.number


def run_all(study: Study) -> None:
    while run_next(study) is not None:
        pass
