"""A small configuration tree and searches over it that take no training: what contracts of search parts run on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from tune_cl.methods import Settings, parameter
from tune_cl.study import Proposal, ScaleSettings, SearchSpace, SpaceFile, Study, StudySettings, TrialView, resolve

HORIZON = 4
RATE = "increment.classifier.learning_rate"
STEPS = "increment.classifier.steps"
LOSS = "increment.classifier.loss"
LABELS = "increment.classifier.labels"
WEIGHT = "increment.classifier.weight"
BASE_RATE = "base.classifier.learning_rate"


class _Base(Settings):
    learning_rate: float = parameter(0.1, "Learning rate.", source="test", gt=0, le=1)


class _Increment(Settings):
    learning_rate: float = parameter(1e-3, "Learning rate.", source="test", gt=0, le=1)
    steps: int = parameter(50, "Steps of training.", source="test", ge=1, le=10_000)
    loss: Literal["ce", "kd", "balanced"] = parameter("ce", "Loss.", source="test")
    labels: Literal["soft", "hard"] = parameter("soft", "Labels of replay.", source="test")
    weight: float = parameter(0.5, "Weight of distillation.", source="test", ge=0, le=1)

    @model_validator(mode="after")
    def _counts_exist(self) -> "_Increment":
        if self.loss == "balanced" and self.labels == "soft":
            raise ValueError("loss 'balanced' needs labels: hard")
        return self


class _Bases(Settings):
    classifier: _Base = _Base()


class _Increments(Settings):
    classifier: _Increment = _Increment()


class _Config(Settings):
    base: _Bases = _Bases()
    increment: _Increments = _Increments()


# A log range, whole numbers, choices of which one pair is not allowed, a number that only some trials have, and a base.
ALL_RANGES: dict[str, Any] = {
    BASE_RATE: {"log": [1e-3, 1.0]},
    RATE: {"log": [1e-5, 1e-1]},
    STEPS: {"int": [10, 200]},
    LOSS: {"choice": ["ce", "kd", "balanced"]},
    LABELS: {"choice": ["soft", "hard"]},
    WEIGHT: {"uniform": [0.0, 1.0], "when": {LOSS: "kd"}},
}


def small_space(ranges: Mapping[str, Any] = ALL_RANGES) -> SearchSpace:
    """A space over the small tree; path -> range as in a space file."""
    file = SpaceFile("small space", "small", parameters=ranges, scales={"small": ScaleSettings({}, "", {"quick": {}})})
    return resolve(file, config=_Config, scale="small", budget="quick", overrides={})


def made_value(configuration: Mapping[str, Any], increment: int) -> float:
    """A made-up objective: best at some learning rate and number of steps, falling as classes arrive."""
    base, own = configuration["base"]["classifier"], configuration["increment"]["classifier"]
    distance = abs(own["steps"] - 120) / 200 + abs(own["learning_rate"] - 0.01) * 5 + abs(base["learning_rate"] - 0.1)
    return float(1 / (1 + distance + (0.2 if own["loss"] == "ce" else 0.0)) - 0.05 * increment)


def open_study(folder: Path, space: SearchSpace, **changes: Any) -> Study:
    """A study of a small space in a folder; the same one where it is there already."""
    settings: dict[str, Any] = {"sampler": "random", "stopping": "none", "search_seed": 0, "trials": 14}
    settings |= {"objective": "val/accuracy", "direction": "max", "horizon": HORIZON}
    return Study.open(folder / "study.journal", "small", space, StudySettings(**{**settings, **changes}))


def run_trial(study: Study, proposal: Proposal) -> None:
    """Run a proposed trial to its end."""
    for increment in range(HORIZON + 1):
        value = made_value(proposal.configuration, increment)
        if study.report(proposal.number, increment, value) == "stop":
            study.tell_stopped(proposal.number)
            return
    study.tell_finished(proposal.number)


def searched(folder: Path, space: SearchSpace | None = None, **changes: Any) -> list[TrialView]:
    """The trials of a whole search."""
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(folder, space or small_space(), **changes)
    while isinstance(proposal := study.ask(), Proposal):
        run_trial(study, proposal)
    return study.trials()
