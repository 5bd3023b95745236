"""Chains that run in a second: few real images of the embedded stream, networks of four channels.

As a script it runs one chain in a process of its own; see `main`.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tune_cl.chain import Chain, Progress
from tune_cl.methods import get_method, leaves, unflatten
from tune_cl.records import IncrementRow, RunConfig, StreamRecord
from tune_cl.store import LeaseTimes, StageStore
from tune_cl.streams import Stream, open_stream

METHODS = ("finetune", "lwf", "genifer", "oracle", "joint")
TIMES = LeaseTimes(beat=0.1, poll=0.05, stale=20.0)

TINY: dict[str, Any] = {
    "base.classifier.network": "small_cnn",
    "base.classifier.width": 4,
    "base.classifier.epochs": 1,
    "base.classifier.batch_size": 16,
    "base.generator.steps": 4,
    "base.generator.batch_size": 8,
    "base.generator.channels": 8,
    "base.generator.start_size": 7,
    "base.generator.latent_dim": 8,
    "base.generator.style_dim": 8,
    "base.generator.embedding_dim": 4,
    "base.generator.discriminator_width": 4,
    "increment.classifier.epochs": 1,
    "increment.classifier.batch_size": 8,
    "increment.classifier.learning_rate": 0.01,
    "increment.finetune.epochs": 1,
    "increment.finetune.batch_size": 8,
    "base.memory.size": 3,
    "increment.generator.steps": 4,
    "increment.generator.batch_size": 8,
}


@cache
def tiny_stream(order: tuple[int, ...] | None = None, split_seed: int = 0, name: str = "fashion-b4-t3") -> Stream:
    """A stream over 20 images per class: 16 to train on and 4 to validate on."""
    stream = open_stream(StreamRecord(name=name, class_order=order or "seed", split_seed=split_seed))
    places = np.concatenate([np.flatnonzero(stream.raw_labels == label)[:20] for label in range(10)])
    return replace(stream, raw_images=stream.raw_images[places], raw_labels=stream.raw_labels[places])


def run_config(method: str, changes: dict[str, Any] | None = None, **fields: Any) -> RunConfig:
    """A configuration at this size; changes are by path, fields are RunConfig's own."""
    known = leaves(get_method(method).config)
    values = {path: value for path, value in TINY.items() if path in known} | (changes or {})
    settings = {"stream": StreamRecord(name="fashion-b4-t3"), "budget": "quick", "horizon": 3, **fields}
    return RunConfig(method=method, parameters=unflatten(values), **settings)


def chain_of(
    run: RunConfig, stages: Path, on_progress: Callable[[Progress], None] = lambda progress: None, **store: Any
) -> Chain:
    return Chain(run, tiny_stream(), StageStore(stages, **{"times": TIMES, **store}), on_progress, node="here")


def rows_of(chain: Chain) -> list[IncrementRow]:
    """Run a chain to its horizon."""
    rows = []
    while not chain.done:
        rows.append(chain.advance().row)
    return rows


def comparable(rows: list[IncrementRow]) -> list[dict[str, Any]]:
    return [row.comparable() for row in rows]


def origins(rows: list[IncrementRow]) -> list[str]:
    return [stage.origin for row in rows for stage in row.stages]


def main() -> None:
    """Run one chain; print 'started' at its first step, stay there until a file exists, print the rows at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("stages", type=Path)
    parser.add_argument("method")
    parser.add_argument("--horizon", type=int, default=3)
    parser.add_argument("--until", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    told: list[bool] = []

    def tell(progress: Progress) -> None:
        if not told:
            told.append(True)
            print("started", flush=True)
        while arguments.until and not arguments.until.exists():
            time.sleep(0.02)

    rows = rows_of(chain_of(run_config(arguments.method, horizon=arguments.horizon), arguments.stages, tell))
    print(json.dumps({"rows": [row.model_dump(mode="json") for row in rows]}))


if __name__ == "__main__":
    main()
