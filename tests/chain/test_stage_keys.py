"""Stage keys: exactly the stages that depend on a thing change with it, and everything after them."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_chains import METHODS, TINY, chain_of, run_config, tiny_stream

import tune_cl.methods as methods_room
from tune_cl.chain import Chain, stage_ingredients
from tune_cl.errors import TuneCLError
from tune_cl.methods import Leaf, get_method, leaves, method_names
from tune_cl.options import Numerics
from tune_cl.records import RunConfig
from tune_cl.store import StageStore, stage_key
from tune_cl.streams import Stream

Keys = list[tuple[int, str, str]]
NOWHERE = Path("/nonexistent")

# Not here: iCaRL's sigmoids, which are of the base and of the increments or of neither (test_exemplar_methods.py), and
# pretrained weights, which need a file (test_backbone_weights.py).
ALL_LEAVES = [
    (method, path)
    for method in method_names()
    for path, leaf in leaves(get_method(method).config).items()
    if len(leaf.choices or ()) != 1  # a constant
    and path != "base.classifier.pretrained"
    and (method, path) != ("icarl", "base.classifier.loss")
]


# At which every network exists, a total memory has room for each class, and features are reached from two sizes.
WIDE = {"base.classifier.width": 64, "base.memory.size": 10, "base.generator.replay_layer": 3}


def wide(method: str, changes: dict[str, Any] | None = None, **fields: Any) -> RunConfig:
    """A tiny configuration that allows another value of each leaf."""
    known = leaves(get_method(method).config)
    here = {path: value for path, value in WIDE.items() if path in known}
    return run_config(method, {**here, **(changes or {})}, **fields)


def keys_of(run: RunConfig, stream: Stream | None = None) -> Keys:
    return Chain(run, stream or tiny_stream(), StageStore(NOWHERE)).planned_keys()


def changed(before: Keys, after: Keys) -> list[tuple[int, str]]:
    assert [key[:2] for key in before] == [key[:2] for key in after]
    return [(t, phase) for (t, phase, one), (_, _, other) in zip(before, after, strict=True) if one != other]


def from_first(keys: Keys, first: tuple[int, str] | None) -> list[tuple[int, str]]:
    """The stages from the first one on."""
    stages = [key[:2] for key in keys]
    return stages if first is None else stages[stages.index(first) :]


def mutated(method: str, leaf: Leaf) -> Any:
    """Another value of a leaf that makes a valid configuration."""
    value = WIDE.get(leaf.path, TINY.get(leaf.path, leaf.default))
    if leaf.choices is not None:
        candidates: list[Any] = [choice for choice in leaf.choices if choice != value]
    elif leaf.kind is bool:
        candidates = [not value]
    else:
        candidates = [value + 1, value - 1, 2 * value, value / 2, value + 0.125, value + 28]
    for candidate in candidates:
        if candidate == value or not leaf.allows(candidate):
            continue
        try:
            keys_of(wide(method, {leaf.path: candidate}))
        except TuneCLError:
            continue
        return candidate
    raise AssertionError(f"no other value of {leaf.path} found")


def owners(method: str, path: str) -> list[tuple[int, str]]:
    """The stages that a leaf belongs to, by its path alone."""
    part, phase, _ = path.split(".")
    return [(t, name) for t, name, _ in keys_of(wide(method)) if name == phase and (t == 0) == (part == "base")]


def own_ingredients(run: RunConfig) -> dict[tuple[int, str], str]:
    """What each stage depends on, its parent left out."""
    method, stream = get_method(run.method), tiny_stream()
    config = method.config.model_validate(run.parameters)
    return {
        (t, phase.name): stage_key(
            stage_ingredients(None, stream.identity(t), 0, phase, method.subtree(config, t, phase), run.numerics)
        )
        for t in range(run.horizon + 1)
        for phase in method.phases(config, t, run.horizon)
    }


@pytest.mark.parametrize(("method", "path"), ALL_LEAVES)
def test_a_leaf_changes_the_keys_of_the_phases_that_own_it_and_of_what_follows(method, path):
    value = mutated(method, leaves(get_method(method).config)[path])
    before, after = wide(method), wide(method, {path: value})
    expected = owners(method, path)
    judge = get_method(method).judge
    if judge is not None and path.startswith(f"increment.{judge.name}."):  # beside the chain
        assert not expected and keys_of(before) == keys_of(after)
        return
    assert expected, f"{path} belongs to no stage"
    one, other = own_ingredients(before), own_ingredients(after)
    assert [stage for stage in one if one[stage] != other[stage]] == expected
    assert changed(keys_of(before), keys_of(after)) == from_first(keys_of(before), expected[0])


def test_a_default_that_is_written_out_is_the_same_configuration():
    config = get_method("genifer").config.model_validate(run_config("genifer").parameters)
    written = run_config("genifer").model_copy(update={"parameters": config.model_dump()})
    assert keys_of(written) == keys_of(run_config("genifer"))
    whole = run_config("genifer", {"base.classifier.learning_rate": 1})
    assert keys_of(whole) == keys_of(run_config("genifer", {"base.classifier.learning_rate": 1.0}))


@pytest.mark.parametrize("method", METHODS)
def test_train_seed_and_threads_change_every_key(method):
    before = keys_of(run_config(method))
    for fields in ({"train_seed": 1}, {"threads": 2}):
        assert changed(before, keys_of(run_config(method, **fields))) == from_first(before, None)


@pytest.mark.parametrize("method", METHODS)
def test_another_seed_over_the_same_base_task_changes_the_keys_of_the_increments_alone(method):
    before, again = keys_of(run_config(method)), keys_of(run_config(method, train_seed=1, base_seed=0))
    assert changed(before, again) == [key[:2] for key in before if key[0] > 0]
    whole = keys_of(run_config(method, train_seed=1))
    assert changed(whole, again) == from_first(before, None), "an increment knows which base task it is over"


def test_budget_names_and_the_streams_name_are_in_no_key():
    assert keys_of(run_config("genifer")) == keys_of(run_config("genifer", budget="full"))


def test_a_split_seed_or_other_data_change_every_key():
    before = keys_of(run_config("genifer"))
    for stream in (tiny_stream(split_seed=1), replace(tiny_stream(), fingerprint="other")):
        assert changed(before, keys_of(run_config("genifer"), stream)) == from_first(before, None)


@pytest.mark.parametrize("increment", [0, 1, 2, 3])
def test_streams_that_differ_from_an_increment_on_share_all_earlier_keys(increment):
    """Classes of `increment` and of a later one change places (at the last, its own two)."""
    order = list(tiny_stream().class_order)
    at = tiny_stream().classes(increment).start
    order[at], order[9 if at < 8 else at + 1] = order[9 if at < 8 else at + 1], order[at]
    before, after = keys_of(run_config("genifer")), keys_of(run_config("genifer"), tiny_stream(tuple(order)))
    assert changed(before, after) == from_first(before, (increment, "classifier"))


def test_a_stream_cut_otherwise_after_its_base_shares_the_base():
    """b4-t3 and b4-t6 have the same base task."""
    before = keys_of(run_config("genifer"))
    after = keys_of(run_config("genifer", horizon=6), tiny_stream(name="fashion-b4-t6"))
    assert before[:2] == after[:2]
    assert not {key for _, _, key in before[2:]} & {key for _, _, key in after}


def test_a_shorter_horizon_is_a_prefix_without_the_generator_that_nobody_needs():
    long, short = keys_of(run_config("genifer")), keys_of(run_config("genifer", horizon=1))
    assert [stage[:2] for stage in short] == [(0, "classifier"), (0, "generator"), (1, "classifier")]
    assert short == long[:3]


def test_all_methods_share_the_base_classifier():
    assert len({keys_of(run_config(method))[0] for method in METHODS}) == 1


@pytest.mark.parametrize(
    ("part", "index", "first"), [("base", 1, (0, "generator")), ("increment", 0, (1, "classifier"))]
)
def test_a_raised_phase_version_changes_its_keys_and_what_follows(monkeypatch, part, index, first):
    before = keys_of(run_config("genifer"))
    method = get_method("genifer")
    phases = list(getattr(method, part))
    phases[index] = replace(phases[index], version=phases[index].version + 1)
    monkeypatch.setitem(methods_room.METHODS._members, "genifer", replace(method, **{part: tuple(phases)}))
    assert changed(before, keys_of(run_config("genifer"))) == from_first(before, first)


def test_no_two_stages_share_a_key_and_a_key_is_a_sha256():
    keys = [key for method in METHODS for _, _, key in keys_of(run_config(method))[1:]]
    assert len(set(keys)) == len(keys) and all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)


def test_a_key_depends_on_its_parent_and_not_on_the_order_of_names():
    ingredients = {"parent": None, "b": 1, "a": {"y": 1.5, "x": [1, 2]}}
    assert stage_key(ingredients) == stage_key(json.loads(json.dumps(dict(reversed(ingredients.items())))))
    assert stage_key(ingredients) != stage_key({**ingredients, "parent": "0"})


def test_planned_keys_are_those_of_the_stages_that_are_trained(tmp_path):
    chain = chain_of(run_config("genifer", horizon=1), tmp_path)
    planned = chain.planned_keys()
    used = [
        (row.increment, stage.phase, stage.key)
        for row in (chain.advance().row, chain.advance().row)
        for stage in row.stages
    ]
    assert used == planned


def test_every_numeric_is_in_the_key():
    method, stream = get_method("finetune"), tiny_stream()
    config = method.config()
    start = Numerics().resolved()
    others = [
        replace(start, device="cuda"),
        replace(start, device="cuda", deterministic=True),
        replace(start, precision="bfloat16"),
        replace(start, memory_format="contiguous"),
        replace(start, threads=2),
    ]
    keys = {
        stage_key(stage_ingredients(None, stream.identity(0), 0, method.base[0], config.base.classifier, numerics))
        for numerics in [start, *others]
    }
    assert len(keys) == 6
    assert all(a != b for a, b in itertools.pairwise(sorted(keys)))
