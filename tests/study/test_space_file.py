from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from search_trees import space_dict, write_space

from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method
from tune_cl.study import load_space, protocol_horizon, resolve, shipped_spaces
from tune_cl.study._options import check_option


def test_what_a_space_leaves_out_has_defaults(tmp_path: Path) -> None:
    space = write_space(tmp_path, space_dict())
    assert (space.method, space.stream, space.budget, space.trials) == ("toy", "fashion-b4-t3", "quick", 8)
    assert (space.sampler, space.scheduler, space.protocol) == ("auto", "halving", "stream")
    assert (space.objective, space.direction) == ("val/average_incremental_accuracy", "max")


def test_forgetting_is_minimised_and_accuracy_maximised_whether_the_space_says_so_or_not(tmp_path: Path) -> None:
    assert write_space(tmp_path, space_dict(objective="val/forgetting")).direction == "min"
    assert write_space(tmp_path, space_dict(objective="val/forgetting", direction="min")).direction == "min"
    assert write_space(tmp_path, space_dict(objective="val/accuracy", direction="max")).direction == "max"
    assert write_space(tmp_path, space_dict(objective="val/accuracy")).direction == "max"


def test_a_comment_line_with_the_command_may_come_first(tmp_path: Path) -> None:
    text = "# python launch/search.py --space toy.yaml\nmethod: toy\nscales: {small28: {budgets: {quick: }}}\n"
    assert write_space(tmp_path, text).scales["small28"].budgets == {"quick": {}}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "toy.yaml: empty, but a space file is a mapping"),
        ("# nothing\n", "empty, but a space file is a mapping"),
        ("[1, 2]", "a list, but a space file is a mapping"),
        ("just text", "a piece of text, but a space file is a mapping"),
        ({"scales": {"s": {"budgets": {"q": {}}}}}, "toy.yaml: method: missing"),
        (space_dict(method=3), "toy.yaml: method: 3 is not a name"),
        (space_dict(paramters={}), "toy.yaml: paramters: unknown key; did you mean 'parameters'?"),
        (space_dict(zzz=1), "toy.yaml: zzz: unknown key; a space file has method, stream"),
        (space_dict(trials=0), "toy.yaml: trials: 0, but it must be at least 1"),
        (space_dict(trials=-3), "toy.yaml: trials: -3, but it must be at least 1"),
        (space_dict(trials="many"), "toy.yaml: trials: 'many' is not a whole number"),
        (space_dict(trials=True), "toy.yaml: trials: True is not a whole number"),
        (space_dict(trials=2.5), "toy.yaml: trials: 2.5 is not a whole number"),
        (
            space_dict(sampler="tpee"),
            "toy.yaml: sampler: 'tpee' is unknown; it is 'auto', 'tpe',",
        ),
        (space_dict(scheduler="asha"), "toy.yaml: scheduler: 'asha' is unknown; it is 'halving', "),
        (
            space_dict(objective="test/accuracy"),
            "objective: 'test/accuracy' is of test data, which no search reads; use 'val/accuracy'",
        ),
        (space_dict(objective="val/forgeting"), "did you mean 'val/forgetting'"),
        (
            space_dict(direction="min"),
            "toy.yaml: direction: 'min' would search for the worst",
        ),
        (
            space_dict(direction="min", objective="val/accuracy"),
            "leave `direction` out, which means 'max' there",
        ),
        (space_dict(direction="max", objective="val/forgetting"), "'max' would search for the worst 'val/forgetting'"),
        (space_dict(direction="up"), "toy.yaml: direction: 'up' is unknown; it is 'max' or 'min'"),
        (
            space_dict(protocol="first_k"),
            "toy.yaml: protocol: 'first_k' is unknown; it is 'stream' (all increments) or",
        ),
        (space_dict(protocol="first_0"), "'first_0' is unknown"),
        (space_dict(parameters=[1]), "toy.yaml: parameters: a list, but parameters are a mapping"),
        (space_dict(scales=None), "toy.yaml: scales: missing"),
        ({"method": "toy"}, "toy.yaml: scales: missing"),
        (space_dict(scales={"s": 3}), "toy.yaml: scales.s: a number, but a scale is a mapping"),
        (space_dict(scales={"s": {"default": {}}}), "scales.s.default: unknown key; did you mean 'defaults'?"),
        (space_dict(scales={"s": {"budgets": {}}}), "toy.yaml: scales.s.budgets: missing"),
        (space_dict(scales={"s": {"budgets": {"q": [1]}}}), "toy.yaml: scales.s.budgets.q: a list, but a budget is"),
        (space_dict(scales={"s": {"note": 3, "budgets": {"q": {}}}}), "toy.yaml: scales.s.note: 3 is not text"),
    ],
)
def test_a_malformed_space_is_refused_in_a_sentence(
    tmp_path: Path, content: dict[str, Any] | str, complaint: str
) -> None:
    with pytest.raises(TuneCLError) as error:
        write_space(tmp_path, content)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_shipped_spaces_are_found_by_name_with_or_without_the_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tune_cl" / "spaces"
    package.mkdir(parents=True)
    (package / "_part.yaml").write_text("method: toy\n")
    (package / "toy.yaml").write_text("method: toy\nscales: {small28: {budgets: {quick: {}}}}\n")
    monkeypatch.setattr(resources, "files", lambda name: tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert shipped_spaces() == ["toy.yaml"]
    assert load_space("toy") == load_space("toy.yaml")
    assert load_space("toy").source == "tune_cl/spaces/toy.yaml"
    (tmp_path / "toy.yaml").write_text("method: mine\nscales: {small28: {budgets: {quick: {}}}}\n")
    assert load_space("toy.yaml").method == "mine", "a file at the path comes before a shipped one"
    with pytest.raises(
        TuneCLError, match=r"--space toi: no such file, and no shipped space.*did you mean 'toy.yaml'\?"
    ):
        load_space("toi")
    with pytest.raises(TuneCLError, match=r"these are shipped: toy\.yaml"):
        load_space("quite/different.yaml")


def test_every_shipped_space_begins_with_its_command_and_loads() -> None:
    for name in shipped_spaces():
        text = (resources.files("tune_cl") / "spaces" / name).read_text()
        assert text.startswith("# python launch/search.py --space ")
        assert load_space(name).method


@pytest.mark.parametrize("name", shipped_spaces())
def test_a_shipped_space_resolves_for_its_method_at_every_scale_and_budget(name: str) -> None:
    space = load_space(name)
    config = get_method(space.method).config
    for scale, settings in space.scales.items():
        for budget in settings.budgets:
            resolved = resolve(space, config=config, scale=scale, budget=budget, overrides={})
            assert resolved.configuration(resolved.default_sample()) == resolved.configuration({})


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 5000, "no/such/folder/space.yaml"])
def test_a_path_to_nothing_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(TuneCLError, match="no such file"):
        load_space(name)


def test_a_folder_a_large_file_and_bytes_are_no_space_files(tmp_path: Path) -> None:
    with pytest.raises(TuneCLError, match="not a file"):
        load_space(str(tmp_path))
    large = tmp_path / "large.yaml"
    large.write_text("# " + "x" * 1_000_000)
    with pytest.raises(TuneCLError, match="larger than 1 MB"):
        load_space(str(large))
    raw = tmp_path / "raw.yaml"
    raw.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TuneCLError, match="not UTF-8 text"):
        load_space(str(raw))


def test_a_flag_is_checked_like_a_key_and_named_as_the_flag() -> None:
    assert check_option("sampler", "random", "--sampler") == "random"
    with pytest.raises(TuneCLError, match=r"^--trials: 0, but"):
        check_option("trials", 0, "--trials")


def test_first_k_ends_the_horizon_early_and_may_not_go_beyond_the_stream() -> None:
    assert protocol_horizon("stream", 3) == 3
    assert protocol_horizon("first_2", 3) == 2
    with pytest.raises(TuneCLError, match="'first_4' goes beyond the stream, whose last increment is 3"):
        protocol_horizon("first_4", 3)
