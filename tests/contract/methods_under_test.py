"""Every method with every loss that it can be told to use, at a size that learns within seconds on real images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tune_cl.chain import Chain, StageStore
from tune_cl.methods import get_method, leaves, unflatten
from tune_cl.records import IncrementRow, RunConfig, StreamRecord
from tune_cl.streams import Stream, open_stream

PER_CLASS = 100  # images of a class: 80 to train on, 20 to validate on
HORIZON = 2  # 4 + 2 + 2 classes
CHANCE = 1 / 8  # of the accuracy after the last increment

SMALL: dict[str, Any] = {
    "base.classifier.network": "small_cnn",
    "base.classifier.width": 8,
    "base.classifier.epochs": 8,
    "base.classifier.batch_size": 16,
    "base.classifier.optimizer": "adamw",
    "base.classifier.learning_rate": 5e-3,
    "base.classifier.schedule": "cosine",
    "base.classifier.scale": 10.0,
    "base.generator.steps": 60,
    "base.generator.batch_size": 16,
    "base.generator.channels": 16,
    "base.generator.start_size": 7,
    "base.generator.latent_dim": 16,
    "base.generator.style_dim": 16,
    "base.generator.embedding_dim": 8,
    "base.generator.discriminator_width": 8,
    "base.memory.size": 10,
    "increment.classifier.epochs": 6,
    "increment.classifier.batch_size": 16,
    "increment.classifier.optimizer": "adamw",
    "increment.classifier.learning_rate": 2e-3,
    "increment.classifier.schedule": "cosine",
    "increment.classifier.weight_ce": 0.3,
    "increment.finetune.epochs": 0,
    "increment.generator.steps": 30,
    "increment.generator.batch_size": 16,
}


@dataclass(frozen=True)
class Case:
    """A method under one loss, and by how much it must beat what in accuracy after the last increment."""

    method: str
    loss: str
    changes: Mapping[str, Any]
    bar: str  # 'fine-tune' or 'chance'
    margin: float

    def __str__(self) -> str:
        return f"{self.method}, {self.loss}"


def _cases(method: str, losses: Mapping[str, Mapping[str, Any]], bar: str, margin: float) -> list[Case]:
    return [
        Case(
            method,
            loss,
            {name if "." in name else f"increment.classifier.{name}": value for name, value in changes.items()},
            bar,
            margin,
        )
        for loss, changes in losses.items()
    ]


def _plain(*losses: str) -> dict[str, dict[str, Any]]:
    return {loss: {"loss": loss} for loss in losses}


REPLAY: dict[str, dict[str, Any]] = {
    "ce": {},
    "relaxed": {"loss": "relaxed"},
    "hard ce": {"replay_labels": "hard"},
    "balanced": {"loss": "balanced", "replay_labels": "hard"},
}

SIGMOIDS: dict[str, dict[str, Any]] = {
    loss: {"loss": loss, "base.classifier.loss": "bce"} for loss in ("bce", "balanced_bce")
}

CASES = [
    *_cases("finetune", {"ce": {}}, "chance", 0.05),
    *_cases("lwf", _plain("ce", "relaxed"), "chance", 0.1),
    *_cases("feature_replay", REPLAY, "chance", 0.1),
    *_cases("image_replay", REPLAY, "chance", 0.1),
    *_cases("genifer", REPLAY, "chance", 0.1),
    *_cases("oracle", REPLAY, "fine-tune", 0.1),
    *_cases("joint", {"ce": {}}, "fine-tune", 0.1),
    *_cases("il_baseline", _plain("ce"), "chance", 0.1),
    *_cases("il_baseline", _plain("balanced", "relaxed", "posthoc"), "fine-tune", 0.1),
    *_cases("icarl", _plain("ce"), "chance", 0.1),
    *_cases("icarl", {**_plain("balanced", "relaxed", "posthoc"), **SIGMOIDS}, "fine-tune", 0.1),
    *_cases("lucir", _plain("ce", "balanced", "relaxed", "posthoc"), "fine-tune", 0.1),
    *_cases("podnet", _plain("nca", "ce", "balanced", "relaxed", "posthoc"), "fine-tune", 0.1),
]
METHODS = tuple(dict.fromkeys(case.method for case in CASES))


@cache
def small_stream() -> Stream:
    """fashion-b4-t3 with 100 images of a class."""
    stream = open_stream(StreamRecord(name="fashion-b4-t3"))
    places = np.concatenate([np.flatnonzero(stream.raw_labels == label)[:PER_CLASS] for label in range(10)])
    return replace(stream, raw_images=stream.raw_images[places], raw_labels=stream.raw_labels[places])


def run_of(case: Case, changes: Mapping[str, Any] | None = None) -> RunConfig:
    """The configuration of a case."""
    known = leaves(get_method(case.method).config)
    values = {path: value for path, value in SMALL.items() if path in known} | dict(case.changes) | dict(changes or {})
    return RunConfig(
        method=case.method,
        stream=StreamRecord(name="fashion-b4-t3"),
        budget="quick",
        horizon=HORIZON,
        parameters=unflatten(values),
    )


def run_chain(run: RunConfig, stages: Path, stream: Stream | None = None) -> list[IncrementRow]:
    """Rows of a chain, on stages that lie in a folder and go on to lie there."""
    chain = Chain(run, stream or small_stream(), StageStore(stages), node="here")
    rows = []
    while not chain.done:
        rows.append(chain.advance().row)
    return rows
