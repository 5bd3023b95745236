"""Each declared parameter, changed, changes what its phase computes, under at least one loss of its method."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from methods_under_test import CASES, METHODS, Case, small_stream

from tune_cl.chain import phase_data
from tune_cl.methods import Leaf, Phase, PhaseContext, get_method, leaves, unflatten
from tune_cl.nets import Component
from tune_cl.streams import Place, Stream

CPU = torch.device("cpu")

# A few steps of each phase.
TINY: dict[str, Any] = {
    "base.classifier.network": "small_cnn",
    "base.classifier.width": 4,
    "base.classifier.epochs": 2,
    "base.classifier.batch_size": 16,
    "base.classifier.learning_rate": 0.05,
    "base.memory.size": 3,
    "base.generator.steps": 9,
    "base.generator.batch_size": 8,
    "base.generator.channels": 8,
    "base.generator.start_size": 7,
    "base.generator.latent_dim": 4,
    "base.generator.style_dim": 4,
    "base.generator.embedding_dim": 4,
    "base.generator.discriminator_width": 4,
    "base.generator.deviation_group": 4,
    "increment.classifier.epochs": 2,
    "increment.classifier.batch_size": 8,
    "increment.classifier.learning_rate": 0.01,
    "increment.finetune.epochs": 2,
    "increment.finetune.batch_size": 8,
    "increment.generator.steps": 9,
    "increment.generator.batch_size": 8,
}

# Where a parameter acts only beside another value: what else is set, in its own group.
BESIDE: dict[str, dict[str, Any]] = {
    "augmentation_p": {"augmentation": "fixed"},
    "augmentation_speed": {"augmentation_target": -0.9},
    "augmentation_target": {"augmentation_speed": 0.3},
    "augmentation_limit": {"augmentation_speed": 0.9, "augmentation_target": -0.9},
    "il_baseline/weight_kd": {"weighting": "fixed"},
    "feature_replay/start_size": {"replay_stage": 3},  # whose maps can be reached from more than one size
    "network": {"width": 16},  # at which small_cnn and resnet32_cifar exist
}
ELSEWHERE = {"base.classifier.pretrained": "tests/engine/test_backbone_weights.py"}


def _owned_leaves() -> list[tuple[str, str]]:
    """(method, path) of every parameter; one that several methods have in one kind of phase comes once."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for method in METHODS:
        kinds = {
            f"{part}.{phase.name}": phase.kind
            for part in ("base", "increment")
            for phase in getattr(get_method(method), part)
        }
        for path, leaf in leaves(get_method(method).config).items():
            group, _, name = path.rpartition(".")
            if path not in ELSEWHERE and not (leaf.choices and len(leaf.choices) == 1):
                found.setdefault((kinds[group], name), (method, path))
    return list(found.values())


LEAVES = _owned_leaves()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("method", "path"), LEAVES)
def test_a_changed_parameter_changes_the_result(method, path):
    leaf = leaves(get_method(method).config)[path]
    group, _, name = path.rpartition(".")
    beside = {f"{group}.{key}": v for key, v in (BESIDE.get(f"{method}/{name}") or BESIDE.get(name, {})).items()}
    tried = 0
    for case in (case for case in CASES if case.method == method):
        before = values_of(case, beside)
        for value in others(leaf, before.get(path, leaf.default)):
            try:
                changed = run_owner(case, path, {**beside, path: value})
            except ValueError:  # not allowed under this loss, or no network of that size
                continue
            tried += 1
            if not equal(run_owner(case, path, beside), changed):
                return
    pytest.fail(f"{path} changes nothing: {tried} values tried")


def others(leaf: Leaf, value: Any) -> list[Any]:
    """Other values of a leaf, the likeliest to matter first."""
    if leaf.choices is not None:
        return [choice for choice in leaf.choices if choice != value]
    if leaf.kind is bool:
        return [not value]
    if leaf.kind is int:
        candidates: list[Any] = [2 * value, value + 1, value - 1, 14]
    else:
        candidates = [1.5 * value, value / 2, 0.01 * value, 10.0, 1.0, 0.0, -0.9, 1e-3 * value, 1e-5 * value]
    return [candidate for candidate in candidates if candidate != value and leaf.allows(candidate)]


def values_of(case: Case, changes: Mapping[str, Any]) -> dict[str, Any]:
    known = leaves(get_method(case.method).config)
    return {path: value for path, value in TINY.items() if path in known} | dict(case.changes) | dict(changes)


def run_owner(case: Case, path: str, changes: Mapping[str, Any]) -> Mapping[str, Component]:
    """Run the phase that a parameter belongs to, with changes to its group, after phases as the case has them."""
    part, name, _ = path.split(".")
    t = 0 if part == "base" else 1
    method = get_method(case.method)
    phases = method.base if t == 0 else method.increment
    index = next(i for i, phase in enumerate(phases) if phase.name == name)
    return _run(case.method, freeze(case.changes), t, index, freeze(changes))


@cache
def _run(
    method: str, own: tuple[tuple[str, Any], ...], t: int, index: int, changes: tuple[tuple[str, Any], ...]
) -> Mapping[str, Component]:
    case = next(case for case in CASES if case.method == method and freeze(case.changes) == own)
    phases = get_method(method).base if t == 0 else get_method(method).increment
    phase = phases[index]
    group = f"{'base' if t == 0 else 'increment'}.{phase.name}"
    given: Any = unflatten(values_of(case, dict(changes)))
    for name in group.split("."):
        given = given.get(name, {})
    config = _settings(method, group).model_validate(given)
    state = _state_before(method, own, t, index)
    context = PhaseContext(Place(0, t, phase.name), CPU)
    return phase.run(config, phase_data(_stream(), phase, t, state), state, context).changed


@cache
def _state_before(method: str, own: tuple[tuple[str, Any], ...], t: int, index: int) -> Mapping[str, Component]:
    found = get_method(method)
    state: dict[str, Component] = {}
    order: list[tuple[int, int, Phase]] = [(0, i, phase) for i, phase in enumerate(found.base)]
    order += [(1, i, phase) for i, phase in enumerate(found.increment)]
    for increment, i, _ in order:
        if (increment, i) == (t, index):
            return state
        base_changes = tuple(item for item in own if item[0].startswith("base."))
        state.update(_run(method, own, increment, i, base_changes))
    return state


def _settings(method: str, group: str) -> Any:
    node: Any = get_method(method).config()
    for name in group.split("."):
        node = getattr(node, name)
    return type(node)


@cache
def _stream() -> Stream:
    """20 images of a class: 16 to train on."""
    stream = small_stream()
    places = np.concatenate([np.flatnonzero(stream.raw_labels == label)[:20] for label in range(10)])
    return replace(stream, raw_images=stream.raw_images[places], raw_labels=stream.raw_labels[places])


def freeze(changes: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(changes.items()))


def equal(one: Mapping[str, Component], other: Mapping[str, Component]) -> bool:
    return all(
        dict(one[name].settings) == dict(other[name].settings)
        and one[name].tensors.keys() == other[name].tensors.keys()
        and all(torch.equal(tensor, other[name].tensors[key]) for key, tensor in one[name].tensors.items())
        for name in one
    )
