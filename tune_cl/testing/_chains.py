"""Chains at a size that learns within seconds on real images: what the contract of methods runs on."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tune_cl.chain import Chain
from tune_cl.methods import get_method, leaves, unflatten
from tune_cl.records import IncrementRow, RunConfig, StreamRecord
from tune_cl.store import StageStore
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
    "base.generator.label_scale": "unit",
    "base.generator.convolution_gain": "leaky_relu",
    "base.generator.learning_rate": 1e-2,
    "base.generator.r1_gamma": 1.0,
    "base.generator.augmentation": "off",
    "base.generator.weight_label": 3.0,
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
    "increment.generator.learning_rate": 1e-2,
    "increment.generator.r1_gamma": 1.0,
    "increment.generator.augmentation": "off",
    "increment.generator.weight_label": 3.0,
}


@cache
def small_stream() -> Stream:
    """fashion-b4-t3 with 100 images of a class."""
    stream = open_stream(StreamRecord(name="fashion-b4-t3"))
    assert isinstance(stream.raw_images, np.ndarray)
    places = np.concatenate([np.flatnonzero(stream.raw_labels == label)[:PER_CLASS] for label in range(10)])
    return replace(stream, raw_images=stream.raw_images[places], raw_labels=stream.raw_labels[places])


def small_run(method: str, changes: Mapping[str, Any]) -> RunConfig:
    """The configuration of a method at these sizes, with changes (path -> value)."""
    known = leaves(get_method(method).config)
    values = {path: value for path, value in SMALL.items() if path in known} | dict(changes)
    return RunConfig(
        method=method,
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


def keep_stages(rows: list[IncrementRow], stages: Path, store: Path) -> None:
    """Put the stages of some increments, and no others, into another store."""
    for use in (use for row in rows for use in row.stages):
        stage = StageStore(stages).load(use.key)
        assert stage is not None
        StageStore(store).publish(stage)


def run_again(run: RunConfig, t: int, expected: list[IncrementRow], stages: Path, store: Path) -> None:
    """Run increment t again in another store, on the stages of those before it and blinded, and compare to the bit."""
    keep_stages(expected[:t], stages, store)
    chain = Chain(run, blinded(run, t, stages), StageStore(store), node="here")
    for i in range(t + 1):
        row = chain.advance().row
        known = small_stream().n_seen(i if _trains(run) else 0)
        assert chain.classifier().shape.n_classes == chain.classifier().head.weight.shape[0] == known
        assert row.comparable() == expected[i].comparable()
    for use in expected[t].stages:
        one, other = (StageStore(path).load(use.key) for path in (stages, store))
        assert one is not None and other is not None
        assert one.record.checksum == other.record.checksum


def blinded(run: RunConfig, t: int, stages: Path, spare_past: bool = True) -> Stream:
    """The stream with noise for every training image that increment t may not see; what is scored stays.

    It may see its own images where it trains at all, the exemplars that the memory names before it, and for a control
    that declares it the past.
    """
    own = range(0) if t and not _trains(run) else small_stream().classes(t)
    stream = small_stream()
    before = Chain(run, stream, StageStore(stages))
    for _ in range(t):
        before.advance()
    memory = before.state().get("memory")
    kept = {} if memory is None else _positions(memory.tensors["labels"], memory.tensors["positions"])
    sees_past = spare_past and any(phase.sees_past for phase in get_method(run.method).increment)
    assert isinstance(stream.raw_images, np.ndarray)
    images = stream.raw_images.copy()
    random = np.random.default_rng(0)
    for c in range(stream.n_classes):
        if c in own or (sees_past and c < stream.classes(t).start):
            continue
        training, _ = stream._split(stream.class_order[c])
        hidden = np.delete(training, kept.get(c, []))
        images[hidden] = random.integers(0, 256, images[hidden].shape, dtype=np.uint8)
    assert not np.array_equal(images, stream.raw_images)
    return replace(stream, raw_images=images)


def _trains(run: RunConfig) -> bool:
    """Whether increments after the base task train anything."""
    return bool(get_method(run.method).increment)


def _positions(labels: torch.Tensor, positions: torch.Tensor) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for label, position in zip(labels.tolist(), positions.tolist(), strict=True):
        found.setdefault(label, []).append(position)
    return found
