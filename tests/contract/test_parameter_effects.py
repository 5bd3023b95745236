"""Each declared parameter, changed, changes what its phase computes, under at least one loss of its method.

Of a number another value is tried; of a choice all are, and each must be told from each other one. What a phase
computes are its tensors: that its settings say something else does not count.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import chain, combinations, product, zip_longest
from typing import Any

import numpy as np
import pytest
import torch
from methods_under_test import CASES, METHODS, Case

from tune_cl.chain import phase_data
from tune_cl.methods import Leaf, Method, Phase, PhaseContext, Settings, get_method, leaves, unflatten
from tune_cl.nets import Component
from tune_cl.streams import RandomKey, Stream
from tune_cl.testing._chains import small_stream

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
    "increment.student.steps": 2,
    "increment.classifier.epochs": 2,
    "increment.classifier.batch_size": 8,
    "increment.classifier.learning_rate": 0.01,
    "increment.finetune.epochs": 2,
    "increment.finetune.batch_size": 8,
    "increment.generator.steps": 9,
    "increment.generator.batch_size": 8,
}

# Where a parameter acts only beside another value: what else is set, in its own group; several ways, where one does not
# do for all choices. A whole path is set in the phases before, too.
BESIDE: dict[str, list[dict[str, Any]]] = {
    "augmentation": [{"augmentation_speed": 0.9, "augmentation_target": -0.9}],
    "augmentation_p": [{"augmentation": "fixed"}],
    "augmentation_speed": [{"augmentation_target": -0.9}],
    "augmentation_target": [{"augmentation_speed": 0.3}],
    "augmentation_limit": [{"augmentation_speed": 0.9, "augmentation_target": -0.9}],
    "ema_half_life": [{"ema_ramp": 1.0}],
    "feature_replay/start_size": [{"replay_layer": 3}],  # whose maps can be reached from more than one size
    "il_baseline/weight_kd": [{"weighting": "fixed"}],
    "lucir/increment.finetune.weight_feature": [{"trains": "all"}],
    # Where the margin's gradient is the same for every margin, it decides which samples lead by enough.
    "podnet/base.classifier.margin": [{"loss": "nca_formula", "scale": 10.0, "epochs": 10}],
    "podnet/increment.classifier.margin": [{"loss": "nca_formula", "base.classifier.scale": 10.0, "epochs": 10}],
    "podnet/increment.finetune.margin": [{"loss": "nca_formula", "base.classifier.scale": 10.0, "epochs": 20}],
    "feature_replay/increment.classifier.distillation_layer": [{"base.generator.replay_layer": 3}],
    "network": [{"width": width, "epochs": 1} for width in (16, 64)],  # small_cnn has both; the others have one of them
}
PER_CLASS = 20  # images of a class: 16 to train on
FEWER_PER_CLASS = {"network": 5}  # of some parameters, since a step takes long
NOT_HERE = {
    "base.classifier.pretrained": "needs a file of weights: tests/engine/test_backbone_weights.py",
    "image_replay/base.generator.matching_layer": "has one choice, out of those of genifer, which are told apart",
}


def _owned_leaves(of_choice: bool) -> list[tuple[str, str]]:
    """(method, path) of every parameter; one that several methods have in one kind of phase comes once."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for method in METHODS:
        kinds: dict[str, str] = {}
        for part, phases in get_method(method).parts().items():
            for phase in phases:
                kinds[f"{part}.{phase.name}"] = f"{kinds.get(f'{part}.{phase.name}', '')} {phase.kind}".strip()
        for path, leaf in leaves(get_method(method).config).items():
            group, _, name = path.rpartition(".")
            if not {path, f"{method}/{path}"} & NOT_HERE.keys() and bool(choices_of(leaf)) == of_choice:
                found.setdefault((kinds[group], name), (method, path))
    return list(found.values())


def choices_of(leaf: Leaf) -> tuple[Any, ...]:
    return (False, True) if leaf.kind is bool else leaf.choices or ()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("method", "path"), _owned_leaves(of_choice=False))
def test_a_changed_number_changes_the_result(method, path):
    leaf = leaves(get_method(method).config)[path]
    (beside,) = besides(method, path)
    of_each_case = (
        [(case, value) for value in others(leaf, values_of(method, case.changes, beside).get(path, leaf.default))]
        for case in cases_of(method)
    )
    tried = 0
    for case, value in filter(None, chain.from_iterable(zip_longest(*of_each_case))):
        changed = run_owner(case, path, {**beside, path: value})
        tried += changed is not None
        if changed is not None and not equal(run_owner(case, path, beside), changed):
            return
    pytest.fail(f"{path} changes nothing: {tried} values tried")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param(method, path, marks=pytest.mark.slow if path.endswith(".network") else ())
        for method, path in _owned_leaves(of_choice=True)
    ],
)
def test_each_choice_gives_a_result_of_its_own(method, path):
    choices = choices_of(leaves(get_method(method).config)[path])
    assert len(choices) > 1, f"{path} leaves no choice; say in NOT_HERE what it is for"
    untold, allowed, met = set(combinations(choices, 2)), set(), set()
    for case, beside in product(cases_of(method), besides(method, path)):
        wanted = [value for value in choices if any(value in pair for pair in untold)]
        results = {value: run_owner(case, path, {**beside, path: value}) for value in wanted}
        results = {value: changed for value, changed in results.items() if changed is not None}
        pairs = set(combinations(results, 2))
        untold -= {(one, other) for one, other in pairs if not equal(results[one], results[other])}
        allowed |= results.keys()
        met |= pairs
        if not untold:
            return
    assert allowed == set(choices)
    assert not untold & met, f"choices of {path} that give one result: {untold & met}"


def cases_of(method: str) -> list[Case]:
    return [case for case in CASES if case.method == method]


def besides(method: str, path: str) -> list[dict[str, Any]]:
    """What else is set while a parameter is tried, by path."""
    group, _, name = path.rpartition(".")
    ways = BESIDE.get(f"{method}/{path}") or BESIDE.get(f"{method}/{name}") or BESIDE.get(name, [{}])
    return [{key if "." in key else f"{group}.{key}": value for key, value in way.items()} for way in ways]


def others(leaf: Leaf, value: Any) -> list[Any]:
    """Other values of a number, the likeliest to matter first."""
    if leaf.kind is int:
        candidates: list[Any] = [2 * value, value + 1, value - 1, 14]
    else:
        candidates = [-0.9, 1.5 * value, 10.0, 1.0, value / 2, 0.01 * value, 0.0, 1e-3 * value, 1e-5 * value]
    return [candidate for candidate in candidates if candidate != value and leaf.allows(candidate)]


def values_of(method: str, own: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    known = leaves(get_method(method).config)
    return {path: value for path, value in TINY.items() if path in known} | dict(own) | dict(changes)


def run_owner(case: Case, path: str, changes: Mapping[str, Any]) -> Mapping[str, Component] | None:
    """Run the phase that a parameter belongs to, with changes to its group, after phases as the case has them.

    None where the values are not allowed (under this loss, or for want of a network of that size), or where the
    configuration has no such phase.
    """
    part, name, parameter = path.split(".")
    t = 0 if part == "base" else 1
    elsewhere = {key: value for key, value in changes.items() if not key.startswith(f"{part}.{name}.")}
    own = {**(case.changes if t else _of_base(case.method, case.changes)), **elsewhere}
    try:
        return _run(case.method, freeze(own), t, name, freeze(changes), FEWER_PER_CLASS.get(parameter, PER_CLASS))
    except ValueError:
        return None


@cache
def _run(
    method: str,
    own: tuple[tuple[str, Any], ...],
    t: int,
    name: str,
    changes: tuple[tuple[str, Any], ...],
    per_class: int = PER_CLASS,
) -> Mapping[str, Component] | None:
    found = get_method(method)
    config = _config(method, own, changes, finetuned=name == "finetune")
    phase = next((phase for phase in _phases(found, config, t) if phase.name == name), None)
    if phase is None:
        return None
    state = _state_before(method, own, t, name)
    before = _state_before(method, own, t, "classifier")
    context = PhaseContext(RandomKey(0, t, phase.name), CPU, before=before)
    data = phase_data(_stream(per_class), phase, t, state)
    return phase.run(found.subtree(config, t, phase), data, state, context).changed


def _phases(method: Method, config: Settings, t: int) -> list[Phase]:
    """Those of an increment, after the judge beside them."""
    judges = [method.judge] if t and method.judge is not None and method.judge.needed(config) else []
    return [*judges, *method.phases(config, t, 3)]


@cache
def _config(
    method: str, own: tuple[tuple[str, Any], ...], changes: tuple[tuple[str, Any], ...], finetuned: bool
) -> Settings:
    """A whole configuration; finetuned only where that phase is looked at, since some losses refuse it."""
    values = values_of(method, dict(own), {})
    if not finetuned and "increment.finetune.epochs" in values:
        values["increment.finetune.epochs"] = 0
    return get_method(method).config.model_validate(unflatten({**values, **dict(changes)}))


@cache
def _state_before(method: str, own: tuple[tuple[str, Any], ...], t: int, name: str) -> Mapping[str, Component]:
    config = _config(method, own, (), finetuned=name == "finetune")
    state: dict[str, Component] = {}
    for increment in (0, 1):
        phases = get_method(method).phases(config, increment, 3)
        if increment == t and name not in [phase.name for phase in phases]:
            return state  # the judge comes before them
        for phase in phases:
            if (increment, phase.name) == (t, name):
                return state
            of_phase = own if increment else freeze(_of_base(method, dict(own)))
            state.update(_run(method, of_phase, increment, phase.name, ()) or {})
    return state


def _of_base(method: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a case changes of the base task, so that cases share it; all, where that is no configuration by itself."""
    base = {path: value for path, value in changes.items() if path.startswith("base.")}
    try:
        _config(method, freeze(base), (), finetuned=False)
    except ValueError:
        return dict(changes)
    return base


@cache
def _stream(per_class: int) -> Stream:
    stream = small_stream()
    places = np.concatenate([np.flatnonzero(stream.raw_labels == label)[:per_class] for label in range(10)])
    return replace(stream, raw_images=stream.raw_images[places], raw_labels=stream.raw_labels[places])


def freeze(changes: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(changes.items()))


def equal(one: Mapping[str, Component], other: Mapping[str, Component]) -> bool:
    return all(
        one[name].tensors.keys() == other[name].tensors.keys()
        and all(torch.equal(tensor, other[name].tensors[key]) for key, tensor in one[name].tensors.items())
        for name in one
    )
