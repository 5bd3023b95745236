"""Phases at a size that trains in milliseconds: a few real images of the embedded stream, networks of four channels."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from tune_cl.methods import Method, Phase, PhaseContext, PhaseData, PhaseResult, get_method, unflatten
from tune_cl.nets import Component
from tune_cl.records import StreamRecord
from tune_cl.streams import LabelledImages, RandomKey, Stream, open_stream

CPU = torch.device("cpu")

TINY: dict[str, Any] = {
    "base.classifier.network": "small_cnn",
    "base.classifier.width": 4,
    "base.classifier.epochs": 2,
    "base.classifier.batch_size": 16,
    "base.classifier.learning_rate": 0.05,
    "base.generator.steps": 3,
    "base.generator.batch_size": 8,
    "base.generator.channels": 8,
    "base.generator.start_size": 7,
    "base.generator.latent_dim": 8,
    "base.generator.style_dim": 8,
    "base.generator.embedding_dim": 4,
    "base.generator.discriminator_width": 4,
    "base.generator.deviation_group": 4,
    "increment.classifier.epochs": 1,
    "increment.classifier.batch_size": 8,
    "increment.classifier.learning_rate": 0.01,
    "increment.finetune.epochs": 0,
    "increment.finetune.batch_size": 8,
    "base.memory.size": 3,
    "increment.generator.steps": 3,
    "increment.generator.batch_size": 8,
}


@cache
def tiny_stream(per_class: int = 20) -> Stream:
    """fashion-b4-t3 with few images per class: 16 to train on and 4 to validate on."""
    stream = open_stream(StreamRecord(name="fashion-b4-t3"))
    places = np.concatenate([np.flatnonzero(stream.raw_labels == label)[:per_class] for label in range(10)])
    return replace(stream, raw_images=stream.raw_images[places], raw_labels=stream.raw_labels[places])


def tiny_config(method: Method, changes: Mapping[str, Any] | None = None) -> Any:
    """The method's configuration tree at this size; changes are by path."""
    known = {path: value for path, value in TINY.items() if _is_leaf(method, path)}
    return method.config.model_validate(unflatten({**known, **(changes or {})}))


def subtree(method: str, path: str, changes: Mapping[str, Any] | None = None) -> Any:
    """One phase's own configuration, e.g. `subtree("genifer", "increment.generator", {"steps": 1})`."""
    node: Any = get_method(method).config()
    for name in path.split("."):
        node = getattr(node, name)
    prefix = f"{path}."
    known = {p.removeprefix(prefix): v for p, v in TINY.items() if p.startswith(prefix)}
    return type(node).model_validate({**{n: v for n, v in known.items() if hasattr(node, n)}, **(changes or {})})


def phase_data(t: int, with_past: bool = False, memory: Component | None = None) -> PhaseData:
    """What a phase receives at increment t of the tiny stream; `memory` names the exemplars that it sees."""
    stream = tiny_stream()
    n_old = stream.n_seen(t - 1) if t else 0
    past = [stream.training(i) for i in range(t)] if with_past else []
    return PhaseData(
        increment=t,
        new=stream.training(t),
        n_old=n_old,
        n_new=stream.n_seen(t) - n_old,
        n_stream=stream.n_classes,
        preprocessing=stream.preprocessing,
        image_shape=stream.image_shape,
        past=LabelledImages(torch.cat([p.images for p in past]), torch.cat([p.labels for p in past])) if past else None,
        memory=None if memory is None else exemplars(memory),
    )


def exemplars(memory: Component) -> LabelledImages:
    """The images that a memory names, picked one by one."""
    stream = tiny_stream()
    picked = []
    for label, position in zip(memory.tensors["labels"].tolist(), memory.tensors["positions"].tolist(), strict=True):
        own = next(t for t in range(stream.horizon + 1) if label in stream.classes(t))
        data = stream.training(own)
        picked.append(data.images[data.labels == label][position])
    return LabelledImages(torch.stack(picked), memory.tensors["labels"].clone())


def phase_context(
    t: int, phase: str, train_seed: int = 0, before: Mapping[str, Component] | None = None
) -> PhaseContext:
    return PhaseContext(RandomKey(train_seed, t, phase), CPU, before=before or {})


def phase_of(method: str, t: int, name: str, loss: str = "") -> Phase:
    """The phase of that name; of iCaRL's two, that on sigmoids for the losses that it computes."""
    phases = get_method(method).base if t == 0 else get_method(method).increment
    return next(p for p in phases if p.name == name and ("sigmoid" in p.kind) == loss.endswith("bce"))


def run_phase(
    method: str, t: int, name: str, state: Mapping[str, Component], changes: Mapping[str, Any] | None = None
) -> PhaseResult:
    """Run one phase on the tiny stream; changes are to its own subtree."""
    phase = phase_of(method, t, name, (changes or {}).get("loss", ""))
    config = subtree(method, f"{'base' if t == 0 else 'increment'}.{name}", changes)
    memory = state.get("memory") if phase.sees_memory else None
    data = phase_data(t, with_past=phase.sees_past and t > 0, memory=memory)
    return phase.run(config, data, dict(state), phase_context(t, name))


@cache
def base_state() -> Mapping[str, Component]:
    """The state after Genifer's base task: classifier, generator and discriminator."""
    state: dict[str, Component] = {}
    for name in ("classifier", "generator"):
        state.update(run_phase("genifer", 0, name, state).changed)
    return state


@cache
def mid_state() -> Mapping[str, Component]:
    """The state in the middle of increment 1: its classifier is trained, its generator is not."""
    return {**base_state(), **run_phase("genifer", 1, "classifier", base_state()).changed}


def same(one: Component, other: Component) -> bool:
    """Whether two components hold bit-equal tensors."""
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items()
    )


def _is_leaf(method: Method, path: str) -> bool:
    node: Any = method.config()
    for name in path.split("."):
        if not hasattr(node, name):
            return False
        node = getattr(node, name)
    return True
