"""Spaces that extend others: what is merged, what is refused, and which file a message names."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method
from tune_cl.study import SearchSpace, SpaceFile, load_space, resolve

RATE, CE, KD = (f"increment.classifier.{name}" for name in ("learning_rate", "weight_ce", "weight_kd"))


def put(folder: Path, name: str, content: dict[str, Any] | str) -> Path:
    """Write a file; its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def load(folder: Path, name: str, content: dict[str, Any] | str) -> SpaceFile:
    return load_space(str(put(folder, name, content)))


def resolved(space: SpaceFile, scale: str = "small28", budget: str = "quick") -> SearchSpace:
    return resolve(space, config=get_method(space.method).config, scale=scale, budget=budget, overrides={})


def refusal(folder: Path, content: dict[str, Any] | str, name: str = "mine.yaml") -> str:
    with pytest.raises(TuneCLError) as error:
        resolved(load(folder, name, content))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_two_lines_make_a_shipped_space_ones_own(tmp_path: Path) -> None:
    mine, shipped = load(tmp_path, "mine.yaml", "extends: lwf.yaml\ntrials: 3\n"), load_space("lwf")
    assert (mine.method, mine.trials, shipped.trials) == ("lwf", 3, 8)
    assert (mine.parameters, mine.scales) == (shipped.parameters, shipped.scales)
    assert load(tmp_path, "mine.yaml", "extends: lwf\n").scales == shipped.scales


def test_mappings_merge_and_values_and_ranges_are_replaced_whole(tmp_path: Path) -> None:
    content = {
        "extends": "lwf.yaml",
        "parameters": {KD: {"uniform": [0.5, 2]}, "increment.classifier.batch_size": 16},
        "scales": {"small28": {"defaults": {"base.classifier.width": 8}, "budgets": {"long": {RATE: 5e-4}}}},
    }
    mine, shipped = load(tmp_path, "mine.yaml", content), load_space("lwf")
    assert list(mine.parameters) == [*shipped.parameters, "increment.classifier.batch_size"]
    assert mine.parameters[KD] == {"uniform": [0.5, 2]} and "log" in shipped.parameters[KD]
    small = mine.scales["small28"]
    assert small.defaults == {**shipped.scales["small28"].defaults, "base.classifier.width": 8}
    assert list(small.budgets) == ["quick", "full", "long"]
    assert mine.scales["small32"].defaults["base.classifier.width"] == 32, "its own, over that of `like: small28`"
    assert mine.scales["small32"].budgets["long"] == {RATE: 5e-4}, "and what small28 has of the extending file"
    assert mine.scales["cub"] == shipped.scales["cub"]


def test_what_is_said_of_a_parameter_holds_at_every_scale_though_the_extended_file_has_a_range_for_one(
    tmp_path: Path,
) -> None:
    assert RATE in load_space("lwf").scales["small28"].parameters
    for said, searched in ((1e-3, False), ({"log": [1e-4, 1e-2]}, True), (None, False)):
        mine = load(tmp_path, "mine.yaml", {"extends": "lwf.yaml", "parameters": {RATE: said}})
        for scale in ("small28", "small32"):
            assert (RATE in resolved(mine, scale).ranges) == searched
    assert str(resolved(load(tmp_path, "x.yaml", "extends: lwf.yaml")).ranges[RATE]) == "log 3e-05 … 0.01"
    content = {"parameters": {RATE: 1e-3}, "scales": {"small28": {"parameters": {RATE: {"log": [1e-4, 1e-2]}}}}}
    mine = load(tmp_path, "mine.yaml", {"extends": "lwf.yaml", **content})
    assert RATE in resolved(mine).ranges, "unless it says otherwise of a scale itself"
    put(tmp_path, "part.yaml", {"parameters": {RATE: 1e-3}})
    beside = load(
        tmp_path, "mine.yaml", {"extends": ["lwf.yaml", "part.yaml"], "parameters": {RATE: {"log": [2e-5, 1e-3]}}}
    )
    assert str(resolved(beside).ranges[RATE]) == "log 2e-05 … 0.001"


def test_null_removes_what_was_extended(tmp_path: Path) -> None:
    content = {
        "extends": "lwf.yaml",
        "parameters": {KD: None},
        "scales": {"cub": None, "small28": {"budgets": {"full": None}, "defaults": {"base.classifier.width": None}}},
    }
    mine = load(tmp_path, "mine.yaml", content)
    assert KD not in mine.parameters and KD not in resolved(mine).ranges
    assert "cub" not in mine.scales and list(mine.scales["small28"].budgets) == ["quick"]
    own = get_method("lwf").config().base.classifier.width  # type: ignore[attr-defined]
    assert (
        resolved(mine).default["base.classifier.width"]
        == own
        != resolved(load_space("lwf")).default["base.classifier.width"]
    )


def test_a_section_with_nothing_but_comments_is_refused_and_removes_nothing(tmp_path: Path) -> None:
    told = refusal(tmp_path, "extends: lwf.yaml\nparameters:\n  # all is commented out\n")
    assert told == f"{tmp_path}/mine.yaml: parameters: empty, but parameters are a mapping of `key: value` lines"


def test_files_are_looked_for_beside_the_extending_one_and_then_among_the_shipped(tmp_path: Path) -> None:
    put(tmp_path, "lwf.yaml", "extends: lwf.yaml\ntrials: 5\n")  # its own name means the shipped one
    put(tmp_path, "parts/widths.yaml", {"scales": {"small28": {"defaults": {"base.classifier.width": 4}}}})
    put(
        tmp_path,
        "parts/ours.yaml",
        "extends: [widths.yaml, ../lwf.yaml]\nscales: {small28: {defaults: {base.classifier.width: 6}}}\n",
    )
    mine = load(tmp_path, "spaces/mine.yaml", "extends: ../parts/ours.yaml\nbudget: full\n")
    assert (mine.trials, mine.budget, mine.method) == (5, "full", "lwf")
    assert mine.scales["small28"].defaults["base.classifier.width"] == 6
    absolute = load(tmp_path, "spaces/mine.yaml", f"extends: {tmp_path}/parts/ours.yaml\n")
    assert absolute.scales == mine.scales


def test_several_files_are_merged_and_what_they_disagree_about_is_for_the_extending_one(tmp_path: Path) -> None:
    put(tmp_path, "a.yaml", {"method": "lwf", "trials": 4, "parameters": {KD: {"log": [0.25, 10]}}})
    put(tmp_path, "b.yaml", {"trials": 4, "parameters": {KD: {"log": [0.5, 10]}, RATE: 1e-3}})
    scales = {"small28": {"budgets": {"quick": {}}}}
    both = {"extends": ["a.yaml", "b.yaml"], "scales": scales}
    told = refusal(tmp_path, both)
    assert told == (
        f"{tmp_path}/mine.yaml: extends: two of the files differ in parameters.{KD} ({tmp_path}/a.yaml: "
        f"parameters.{KD}; {tmp_path}/b.yaml: parameters.{KD}); give its value in {tmp_path}/mine.yaml, or extend only "
        "one"
    )
    settled = load(tmp_path, "mine.yaml", {**both, "parameters": {KD: 1.0}})
    assert settled.parameters == {KD: 1.0, RATE: 1e-3} and settled.trials == 4
    assert load(tmp_path, "mine.yaml", {**both, "parameters": {KD: None}}).parameters == {RATE: 1e-3}


@pytest.mark.parametrize(
    ("extends", "complaint"),
    [
        ("lfw.yaml", "mine.yaml: extends: lfw.yaml: no such file beside it, and none among the shipped; did you mean"),
        ("Z9/Q8", "none among the shipped; these are: _base.yaml, "),
        ("minor.yaml", "did you mean 'mine.yaml' or 'minus.yaml'"),
        ("mine.yaml", "mine.yaml: extends: mine.yaml leads back to itself ("),
        ("there.yaml", "there.yaml: extends: mine.yaml leads back to itself ("),
        (3, "mine.yaml: extends: name a space file, such as genifer.yaml, or a list of several"),
        ([], "mine.yaml: extends: name a space file"),
        ([["lwf.yaml"]], "mine.yaml: extends: name a space file"),
        ("a\0b", "mine.yaml: extends: name a space file"),
        ("", "mine.yaml: extends: name a space file"),
        ("list.yaml", "list.yaml: a list, but a space file is a mapping"),
        ("raw.yaml", "raw.yaml: not UTF-8 text"),
        ("folder", "mine.yaml: extends: folder: no such file"),
        ("~nobody_here/x.yaml", "mine.yaml: extends: ~nobody_here/x.yaml: "),
    ],
)
def test_what_cannot_be_extended_is_refused_in_a_sentence(tmp_path: Path, extends: Any, complaint: str) -> None:
    put(tmp_path, "minus.yaml", {"trials": 3})
    put(tmp_path, "there.yaml", "extends: mine.yaml\n")
    put(tmp_path, "list.yaml", "[1, 2]\n")
    put(tmp_path, "folder/x.yaml", "")
    (tmp_path / "raw.yaml").write_bytes(b"\xff\xfe\x00")
    assert complaint in refusal(tmp_path, {"extends": extends, "method": "lwf"})


@pytest.mark.parametrize(
    ("below", "place", "complaint"),
    [
        ({"trials": 0}, "trials", "0, but"),
        ({"trails": 3}, "trails", "unknown key; did you mean 'trials'?"),
        ({"parameters": {KD: {"lag": [1, 2]}}}, f"parameters.{KD}", ""),
        ({"parameters": {f"{KD}x": 1}}, f"parameters.{KD}x", "did you mean"),
        ({"scales": {"small28": {"defaults": {RATE: -1}}}}, f"scales.small28.defaults.{RATE}", "-1"),
        ({"scales": {"small28": {"default": {}}}}, "scales.small28.default", "unknown key"),
        ({"scales": {"cub": {"budgets": {"quick": {RATE: "x"}}}}}, f"scales.cub.budgets.quick.{RATE}", ""),
        (
            {"scales": {"cub": {"presets": {"p": {"defaults": {RATE: "x"}}}}}},
            f"scales.cub.presets.p.defaults.{RATE}",
            "",
        ),
        ({"scales": {"cub": {"data_sets": {"cub20": {}}}}}, "scales.cub.data_sets.cub20", "did you mean 'cub200'"),
        ({"scales": {"cub": 3}}, "scales.cub", "a number, but a scale is a mapping"),
    ],
)
def test_a_message_names_the_file_in_which_the_value_stands(
    tmp_path: Path, below: dict[str, Any], place: str, complaint: str
) -> None:
    """The one between mine.yaml and the shipped space has the mistake."""
    between = put(tmp_path, "between.yaml", {"extends": "lwf.yaml", **below})
    told = refusal(
        tmp_path, {"extends": "between.yaml", "trials": 4} if "trials" not in below else {"extends": "between.yaml"}
    )
    assert told.startswith(f"{between}: {place}: ") and complaint in told


def test_a_default_outside_a_range_that_another_scale_has_by_like_is_told_where_it_stands(tmp_path: Path) -> None:
    below = put(
        tmp_path,
        "below.yaml",
        {"extends": "lwf.yaml", "scales": {"small28": {"parameters": {RATE: {"log": [1e-4, 1e-2]}}}}},
    )
    mine = load(tmp_path, "mine.yaml", {"extends": "below.yaml", "scales": {"small32": {"defaults": {RATE: 1e-5}}}})
    assert RATE in resolved(mine).ranges
    with pytest.raises(TuneCLError) as error:
        resolved(mine, "small32")
    assert str(error.value).startswith(f"{below}: scales.small28.parameters.{RATE}: the default 1e-05 lies outside")
