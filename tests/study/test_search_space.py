from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from search_trees import (
    AUGMENTATION,
    BASE_LR,
    BASE_STEPS,
    GAMMA,
    LOSS,
    LR,
    NESTEROV,
    STEPS,
    Config,
    resolved,
    space_dict,
    write_space,
)

from tune_cl.errors import TuneCLError
from tune_cl.methods import Settings, flatten, get_method, leaves, method_names, parameter, unflatten
from tune_cl.study import SearchSpace, load_space, parse_override, resolve
from tune_cl.study._ranges import check_value


def scaled(parameters: dict[str, Any], defaults: dict[str, Any], quick: dict[str, Any]) -> dict[str, Any]:
    return space_dict(parameters, scales={"small28": {"defaults": defaults, "budgets": {"quick": quick, "full": {}}}})


def test_without_entries_everything_is_the_methods_default(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict({}))
    assert space.ranges == {}
    assert space.configuration({}) == Config().model_dump()
    assert dict(space.fixed) == flatten(Config().model_dump()) == dict(space.default)


def test_later_sources_win(tmp_path: Path) -> None:
    content = scaled({STEPS: 3, LR: 0.3}, {STEPS: 1, LR: 0.1, BASE_LR: 0.5, BASE_STEPS: 1}, {STEPS: 2, BASE_STEPS: 2})
    space = resolved(tmp_path, content, {LR: 0.4})
    assert space.default[BASE_LR] == 0.5, "the scale comes before the method"
    assert space.default[BASE_STEPS] == 2, "the budget comes before the scale"
    assert space.default[STEPS] == 3, "parameters come before the budget"
    assert space.default[LR] == 0.4, "overrides come before parameters"
    assert resolved(tmp_path, content, budget="full").default[BASE_STEPS] == 1


def test_a_value_replaces_a_range_and_a_range_a_value(tmp_path: Path) -> None:
    fixed = resolved(tmp_path, space_dict({LR: {"log": [1e-4, 1e-2]}}), {LR: 0.5})
    assert fixed.fixed[LR] == 0.5
    assert fixed.ranges == {}
    searched = resolved(tmp_path, space_dict({LR: 0.5}), {LR: {"uniform": [0.1, 0.9]}})
    assert searched.default[LR] == 0.5, "the default of a range that names none is the value before it"
    assert LR not in searched.fixed
    assert str(searched.ranges[LR]) == "uniform 0.1 … 0.9"


def test_a_range_keeps_the_default_of_the_range_that_it_replaces(tmp_path: Path) -> None:
    content = space_dict({LR: {"log": [0.01, 1], "default": 0.2}})
    assert resolved(tmp_path, content, {LR: {"log": [0.1, 0.5]}}).default[LR] == 0.2


def test_a_whole_number_becomes_a_float_where_the_field_is_one(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict({LR: 1, GAMMA: {"log": [1, 4], "default": 2}}))
    assert type(space.default[LR]) is float
    assert [type(end) for end in space.ranges[GAMMA].values] == [float, float]
    assert type(space.default[GAMMA]) is float


def test_a_space_file_may_write_1e_minus_4(tmp_path: Path) -> None:
    text = (
        f"method: toy\nparameters:\n  {LR}: {{log: [1e-4, 1e-2]}}\nscales: {{small28: {{budgets: {{quick: {{}}}}}}}}\n"
    )
    assert resolved(tmp_path, text).ranges[LR].values == (1e-4, 1e-2)


def test_parents_come_before_their_conditional_children(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict())
    assert list(space.ranges) == [LR, STEPS, AUGMENTATION, GAMMA]


def test_a_condition_looks_at_the_value_in_the_configuration(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict())
    assert space.is_searched(GAMMA, {}), "the default augmentation is adaptive"
    assert space.is_searched(GAMMA, {AUGMENTATION: "fixed"})
    assert not space.is_searched(GAMMA, {AUGMENTATION: "off"})
    assert space.default_sample() == {LR: 1e-3, STEPS: 50, AUGMENTATION: "adaptive", GAMMA: 0.03}


def test_a_parameter_that_does_not_count_takes_its_default(tmp_path: Path) -> None:
    configuration = resolved(tmp_path, space_dict()).configuration({AUGMENTATION: "off", LR: 0.01, STEPS: 20})
    assert configuration["increment"]["generator"] == {"augmentation": "off", "r1_gamma": 0.03}
    assert configuration["increment"]["classifier"]["steps"] == 20


def test_fixing_the_parent_at_another_value_leaves_the_child_fixed_too(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict(), {AUGMENTATION: "off"})
    assert GAMMA in space.fixed
    assert GAMMA in resolved(tmp_path, space_dict(), {AUGMENTATION: "fixed"}).ranges
    narrowed = {GAMMA: {"log": [1e-3, 1], "when": {AUGMENTATION: "adaptive"}}, AUGMENTATION: "adaptive"}
    override = {AUGMENTATION: {"choice": ["off", "fixed"], "default": "off"}}
    assert GAMMA in resolved(tmp_path, space_dict(narrowed), override).fixed


def test_conditions_may_be_chained_and_an_idle_parent_idles_its_child(tmp_path: Path) -> None:
    chained = {
        STEPS: {"int": [10, 100], "when": {NESTEROV: True}},
        NESTEROV: {"choice": [True, False], "when": {LOSS: "relaxed"}, "default": False},
        LOSS: {"choice": ["ce", "relaxed"]},
    }
    space = resolved(tmp_path, space_dict(chained))
    assert list(space.ranges) == [LOSS, NESTEROV, STEPS]
    assert space.default_sample() == {LOSS: "ce"}
    assert resolved(tmp_path, space_dict(chained), {LOSS: "ce"}).ranges == {}


def test_only_ranges_below_base_make_trials_differ_in_their_base_task(tmp_path: Path) -> None:
    assert not resolved(tmp_path, space_dict()).searched_changes_base()
    assert not resolved(tmp_path, space_dict({BASE_LR: 0.2})).searched_changes_base()
    assert resolved(tmp_path, space_dict({BASE_LR: {"log": [0.01, 1]}})).searched_changes_base()


def test_the_description_has_every_parameter_once_the_searched_ones_first(tmp_path: Path) -> None:
    rows = resolved(tmp_path, space_dict()).describe()
    assert sorted(row.path for row in rows) == sorted(leaves(Config))
    assert [row.path for row in rows if row.searched] == [LR, STEPS, AUGMENTATION, GAMMA]
    assert [row.searched for row in rows] == sorted((row.searched for row in rows), reverse=True)
    by_path = {row.path: row for row in rows}
    assert by_path[LR].value == "log 1e-05 … 0.1"
    assert by_path[GAMMA].value == f"log 0.001 … 1, when {AUGMENTATION} is fixed or adaptive"
    assert (by_path[BASE_STEPS].value, by_path[BASE_STEPS].default) == ("100", 100)
    assert by_path[LR].description == "Learning rate."


def test_written_ranges_resolve_to_the_same_ranges(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict())
    again = resolved(tmp_path, space_dict(space.written_ranges()))
    assert dict(again.ranges) == dict(space.ranges)


def test_a_combination_that_the_method_refuses_is_refused_in_its_words(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict({LOSS: {"choice": ["ce", "balanced"]}}))
    assert space.complaint({LOSS: "ce"}) is None
    assert space.complaint({LOSS: "balanced"}) == "increment.classifier: loss 'balanced' needs replay_labels: hard"
    with pytest.raises(TuneCLError, match=r"toy.yaml: increment.classifier: loss 'balanced' needs replay_labels: hard"):
        space.configuration({LOSS: "balanced"})
    with pytest.raises(ValueError, match="not searched"):
        space.configuration({LR: 0.1})


def test_an_override_reads_numbers_words_and_ranges() -> None:
    assert parse_override(f"{LR}=1e-4") == (LR, 1e-4)
    assert parse_override(f" {LOSS} = ce ") == (LOSS, "ce")
    assert parse_override(f"{AUGMENTATION}=off") == (AUGMENTATION, "off")
    assert parse_override(f"{NESTEROV}=false") == (NESTEROV, False)
    assert parse_override(f"{LR}={{log: [1e-4, 1e-2], when: {{a: b}}}}") == (
        LR,
        {"log": [1e-4, 1e-2], "when": {"a": "b"}},
    )
    assert parse_override("a=b=c") == ("a", "b=c")


@pytest.mark.parametrize("text", ["", "path", "=1", "path=", "path= "])
def test_an_override_that_is_not_path_and_value_is_refused(text: str) -> None:
    with pytest.raises(TuneCLError, match="write path=value"):
        parse_override(text)


def test_an_override_with_broken_yaml_is_refused_under_its_path() -> None:
    with pytest.raises(TuneCLError, match=f"^--set {LR}: line 1"):
        parse_override(f"{LR}={{log: [1")


BAD_ENTRIES: list[tuple[str, Any, str]] = [
    ("increment.classifier.learning_rat", 0.1, f"unknown parameter; did you mean '{LR}'"),
    ("zzz", 0.1, "unknown parameter; the method's parameters are base.classifier"),
    ("increment.generator", 1, f"a group of parameters; name one of them: {AUGMENTATION}, {GAMMA}"),
    ("increment.generator", {"r1_gamma": 1}, "a group of parameters"),
    (LR, "fast", "the text 'fast' is not allowed; it takes float, above 0 and at most 1"),
    (LR, "0.1", "the text '0.1' is not allowed"),
    (LR, 2, "2 is not allowed; it takes float, above 0 and at most 1"),
    (LR, 0, "0 is not allowed"),
    (LR, True, "True is not allowed"),
    (LR, None, "empty; it takes float"),
    (LR, [0.1], "[0.1] is no single value"),
    (GAMMA, 10**400, "is not allowed; it takes float, at least 0"),
    (STEPS, 1.5, "1.5 is not allowed; it takes int, at least 1 and at most 10000"),
    (STEPS, True, "True is not allowed; it takes int"),
    (LOSS, "focal", "'focal' is not allowed; it takes one of ce, relaxed, balanced"),
    (NESTEROV, 1, "1 is not allowed; it takes bool"),
    (LR, {"log": [1e-2, 1e-4]}, "log: [0.01, 0.0001] is reversed; write [0.0001, 0.01]"),
    (
        LR,
        {"log": [1e-3, 0.0010000000000000002]},
        "is too narrow to search; fix the value 0.001",
    ),
    (LR, {"uniform": [0.1, 0.10000000000000002]}, "uniform: [0.1, 0.10000000000000002] is too narrow to search"),
    (LR, {"log": [0.1, 0.1]}, "log: [0.1, 0.1] is empty; fix the value 0.1, or widen the range"),
    (LR, {"log": [0, 0.1]}, "log: 0 has no logarithm; begin above 0, or use {uniform: [low, high]}"),
    (LR, {"log": [-1, 0.1]}, "log: -1 has no logarithm"),
    (LR, {"log": [1e-4, 2]}, "log: 2 is out of bounds; it takes float, above 0 and at most 1"),
    (LR, {"uniform": [0, 0.5]}, "uniform: 0 is out of bounds; it takes float, above 0"),
    (LR, {"log": [1e-4]}, "log: [0.0001] has 1 ends; write {log: [low, high]}"),
    (LR, {"log": 1e-4}, "log: 0.0001 is not a list; write {log: [low, high]}"),
    (LR, {"log": [1e-4, "x"]}, "log: 'x' is not a number"),
    (LR, {"log": [False, True]}, "log: False is not a number"),
    (LR, {"log": [1e-4, 1e-2], "uniform": [0, 1]}, "log and uniform at once; give exactly one of log, uniform, int"),
    (LR, {"when": {LOSS: "ce"}}, "a range without a kind; give exactly one of log, uniform, int, choice"),
    (LR, {}, "a range without a kind"),
    (LR, {"logg": [1, 2]}, "logg: unknown key of a range; a range is written {log: [1, 2]}"),
    (LR, {"int": [1, 2]}, "int: any number is allowed here; use {log: [low, high]} or {uniform: [low, high]}"),
    (STEPS, {"log": [1, 20]}, "log: whole numbers are wanted here; use {int: [low, high]}"),
    (STEPS, {"int": [1, 20.5]}, "int: 20.5 is out of bounds; it takes int"),
    (STEPS, {"int": [0, 20]}, "int: 0 is out of bounds; it takes int, at least 1"),
    (LOSS, {"uniform": [0, 1]}, "uniform: no number is wanted here; use {choice: [...]} with one of ce, relaxed"),
    (NESTEROV, {"int": [0, 1]}, "int: no number is wanted here; use {choice: [...]} with bool"),
    (LOSS, {"choice": ["ce", "focal"]}, "choice: 'focal' is not allowed; it takes one of ce, relaxed, balanced"),
    (LOSS, {"choice": ["ce"]}, "choice: ['ce'] leaves nothing to choose; list at least two values, or fix one"),
    (LOSS, {"choice": []}, "choice: [] leaves nothing to choose"),
    (LOSS, {"choice": ["ce", "ce"]}, "choice: 'ce' is listed twice"),
    (LOSS, {"choice": "ce"}, "choice: 'ce' is not a list; write {choice: [first, second, ...]}"),
    (LR, {"log": [0.01, 0.1]}, "the default 0.001 lies outside the range (log 0.01 … 0.1); add `default: v`"),
    (LR, {"log": [0.01, 0.1], "default": 0.5}, "the default 0.5 lies outside the range"),
    (LR, {"log": [0.01, 0.1], "default": "x"}, "default: the text 'x' is not allowed"),
    (LOSS, {"choice": ["relaxed", "balanced"]}, "the default 'ce' lies outside the range (relaxed | balanced); add"),
    (LR, {"log": [1e-4, 1e-2], "when": 3}, "when: 3 is no condition; write when: {another.parameter: value}"),
    (LR, {"log": [1e-4, 1e-2], "when": {}}, "when: {} is no condition"),
    (
        LR,
        {"log": [1e-4, 1e-2], "when": {"increment.classifier.los": "ce"}},
        f"unknown parameter; did you mean '{LOSS}'",
    ),
    (LR, {"log": [1e-4, 1e-2], "when": {"increment": "ce"}}, "when: increment: a group of parameters"),
    (LR, {"log": [1e-4, 1e-2], "when": {LR: 1e-3}}, "the condition is cyclic, the parameter waits for itself"),
    (LR, {"log": [1e-4, 1e-2], "when": {LOSS: "focal"}}, f"when: {LOSS}: 'focal' is not allowed; it takes one of"),
    (LR, {"log": [1e-4, 1e-2], "when": {LOSS: []}}, "an empty list never holds; it takes one of ce"),
]


@pytest.mark.parametrize(("path", "raw", "complaint"), BAD_ENTRIES)
def test_a_bad_entry_is_refused_with_file_key_and_what_would_be_right(
    tmp_path: Path, path: str, raw: Any, complaint: str
) -> None:
    with pytest.raises(TuneCLError) as error:
        resolved(tmp_path, space_dict({path: raw}))
    assert f"toy.yaml: parameters.{path}: " in str(error.value)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("path", "raw", "complaint"), BAD_ENTRIES)
def test_a_bad_override_is_refused_under_its_flag(tmp_path: Path, path: str, raw: Any, complaint: str) -> None:
    with pytest.raises(TuneCLError) as error:
        resolved(tmp_path, space_dict({}), {path: raw})
    assert str(error.value).startswith(f"--set {path}: ")
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        (
            {LR: {"log": [1e-4, 1e-2], "when": {LOSS: "ce"}}, LOSS: {"choice": ["ce", "relaxed"], "when": {LR: 1e-3}}},
            f"the conditions are cyclic ({LR}, {LOSS} wait for each other)",
        ),
        (
            {
                GAMMA: {"log": [1e-3, 1], "when": {AUGMENTATION: "off"}},
                AUGMENTATION: {"choice": ["fixed", "adaptive"]},
            },
            f"when: {AUGMENTATION}: never 'off', since it is searched in fixed | adaptive",
        ),
        (
            {GAMMA: {"log": [1e-3, 1], "when": {LR: 1e-3}}, LR: {"log": [1e-4, 1e-2]}},
            f"when: {LR}: is searched continuously",
        ),
        (
            {LOSS: "balanced"},
            "the default configuration (trial 0) is not allowed: increment.classifier: loss 'balanced'",
        ),
    ],
)
def test_entries_that_contradict_each_other_are_refused(
    tmp_path: Path, parameters: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(TuneCLError) as error:
        resolved(tmp_path, space_dict(parameters))
    assert str(error.value).startswith(f"{tmp_path}/toy.yaml: ")
    assert complaint in str(error.value)


def test_an_int_may_be_a_condition(tmp_path: Path) -> None:
    parameters = {LR: {"log": [1e-4, 1e-2], "when": {STEPS: [50, 51]}}, STEPS: {"int": [10, 60]}}
    space = resolved(tmp_path, space_dict(parameters))
    assert space.is_searched(LR, {STEPS: 51})
    assert not space.is_searched(LR, {STEPS: 52})


def test_an_unknown_scale_or_budget_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(TuneCLError, match=r"toy.yaml: scales: no scale 'cub'; this space has small28"):
        resolved(tmp_path, space_dict(), scale="cub")
    with pytest.raises(
        TuneCLError, match=r"scales.small28.budgets: no budget 'quik'; .* quick, full; did you mean 'quick'"
    ):
        resolved(tmp_path, space_dict(), budget="quik")


@pytest.mark.parametrize(
    ("scale", "complaint"),
    [
        ({"defaults": {"x.y": 1}, "budgets": {"q": {}}}, "scales.cifar.defaults.x.y: unknown parameter"),
        ({"defaults": {STEPS: 0}, "budgets": {"q": {}}}, f"scales.cifar.defaults.{STEPS}: 0 is not allowed"),
        ({"budgets": {"q": {STEPS: "x"}}}, f"scales.cifar.budgets.q.{STEPS}: the text 'x' is not allowed"),
        (
            {"budgets": {"q": {STEPS: {"int": [1, 2]}}}},
            f"scales.cifar.budgets.q.{STEPS}: a range belongs under `parameters`",
        ),
    ],
)
def test_scales_that_are_not_chosen_are_checked_too(tmp_path: Path, scale: dict[str, Any], complaint: str) -> None:
    scales = {"small28": {"budgets": {"quick": {}}}, "cifar": scale}
    with pytest.raises(TuneCLError) as error:
        resolved(tmp_path, space_dict({}, scales=scales))
    assert complaint in str(error.value)


def test_a_scale_is_like_another_but_for_what_it_says(tmp_path: Path) -> None:
    preset = {"defaults": {LR: 0.5}}
    first = {
        "defaults": {LR: 1e-2, STEPS: 20},
        "parameters": {LR: {"log": [1e-3, 1]}},
        "budgets": {"quick": {STEPS: 30}, "full": {STEPS: 50}},
        "presets": {"fast": preset},
    }
    second = {"like": "first", "defaults": {LR: 1e-1}, "budgets": {"full": {STEPS: 60}, "long": {}}}
    space = write_space(tmp_path, space_dict({}, scales={"first": first, "second": second}))
    scale = space.scales["second"]
    assert scale.defaults == {LR: 1e-1, STEPS: 20} and scale.parameters == first["parameters"]
    assert scale.budgets == {"quick": {STEPS: 30}, "full": {STEPS: 60}, "long": {}}
    assert scale.presets["fast"].defaults == preset["defaults"]
    for like, known in (("secnd", "first"), ("third", "first"), (3, "first")):
        complaint = rf"second.like: {like!r} is no scale further up in this file; .*{known}"
        with pytest.raises(TuneCLError, match=complaint):
            scales = {"first": first, "second": {"like": like}, "third": {"budgets": {"quick": {}}}}
            write_space(tmp_path, space_dict({}, scales=scales))


@pytest.mark.parametrize("name", method_names())
def test_the_defaults_of_every_method_pass_the_checks_that_entries_pass(name: str) -> None:
    config = get_method(name).config
    known = leaves(config)
    defaults = {path: check_value(leaf, leaf.default, path) for path, leaf in known.items()}
    assert config.model_validate(unflatten(defaults)) == config()


def test_true_is_not_one() -> None:
    class Stages(Settings):
        stage: Literal[0, 1] = parameter(1, "Stage.", source="test")

    leaf = leaves(Stages)["stage"]
    assert check_value(leaf, 1, "stage") == 1
    with pytest.raises(TuneCLError, match="True is not allowed; it takes one of 0, 1"):
        check_value(leaf, True, "stage")


def test_a_search_space_cannot_be_changed(tmp_path: Path) -> None:
    space: SearchSpace = resolved(tmp_path, space_dict())
    with pytest.raises(AttributeError):
        space.source = "other"  # type: ignore[misc]


PRESETS = {
    "gentle": {
        "defaults": {"increment.classifier.learning_rate": 3e-4},
        "parameters": {"increment.classifier.weight_ce": {"log": [0.01, 0.1]}},
    }
}


def test_a_preset_comes_over_scale_and_budget_and_under_what_is_set(tmp_path: Path) -> None:
    scales: dict[str, Any] = {
        "small28": {"defaults": {"increment.classifier.learning_rate": 2e-3}, "budgets": {"quick": {}}}
    }
    scales["small28"]["presets"] = PRESETS
    file: dict[str, Any] = {"method": "genifer", "preset": "gentle", "scales": scales}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(file))
    space, config = load_space(str(tmp_path / "s.yaml")), get_method("genifer").config
    place: dict[str, Any] = {"config": config, "scale": "small28", "budget": "quick"}
    chosen = resolve(space, overrides={}, **place)
    assert chosen.default["increment.classifier.learning_rate"] == 3e-4
    assert str(chosen.ranges["increment.classifier.weight_ce"]) == "log 0.01 … 0.1"
    changed = resolve(space, overrides={"increment.classifier.learning_rate": 1e-3}, **place)
    assert changed.default["increment.classifier.learning_rate"] == 1e-3
    with pytest.raises(TuneCLError, match=r"presets: no preset 'gentel'; this space has gentle; did you mean"):
        resolve(space, overrides={}, preset="gentel", **place)
    scales["small28"]["presets"] = {"gentle": {"default": {}}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(file))
    with pytest.raises(TuneCLError, match=r"presets\.gentle\.default: unknown key.*defaults"):
        load_space(str(tmp_path / "s.yaml"))
    scales["small28"]["presets"] = {"gentle": {"defaults": {"increment.classifier.learning_rat": 1}}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(file))
    with pytest.raises(TuneCLError, match=r"presets\.gentle\.defaults.*learning_rate"):
        resolve(load_space(str(tmp_path / "s.yaml")), overrides={}, **place)
