import json
from pathlib import Path

import pytest

import tune_cl
from tune_cl.errors import TuneCLError
from tune_cl.records import (
    SCHEMA_VERSION,
    RunConfig,
    SearchRecord,
    SearchSeeds,
    StreamRecord,
    read_record,
    write_json,
    write_yaml,
)


def search(**fixed: float) -> SearchRecord:
    return SearchRecord(
        name="s", method="lwf", stream=StreamRecord(name="fashion-b4-t3"), scale="small28", budget="quick",
        protocol="stream", horizon=3, objective="val/accuracy", seeds=SearchSeeds(), sampler="tpe", scheduler="none",
        threads=1, device="cpu", fixed=fixed, ranges={}, default=fixed, data_fingerprint="0", trials=2,
    )  # fmt: skip


def test_small_numbers_survive_search_json(tmp_path: Path) -> None:
    record = search(epsilon=1e-6, tiny=5e-324, plain=0.5)
    write_json(tmp_path / "search.json", record)
    assert read_record(tmp_path / "search.json", SearchRecord).definition() == record.definition()


def test_small_numbers_survive_best_yaml(tmp_path: Path) -> None:
    stream = StreamRecord(name="fashion-b4-t3")
    parameters = {"increment": {"classifier": {"epsilon": 1e-6, "tau": 1e22}}}
    run = RunConfig(method="lwf", stream=stream, budget="q", horizon=1, parameters=parameters)
    write_yaml(tmp_path / "best.yaml", run, "python launch/train.py\nsecond line")
    assert read_record(tmp_path / "best.yaml", RunConfig) == run


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", '{"name": '), ("a.yaml", "name: [1,"), ("b.json", '{"no": 1}')]
)
def test_file_that_is_no_record_is_one_sentence_that_names_it(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(TuneCLError, match=name) as caught:
        read_record(tmp_path / name, SearchRecord)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["search.json", "search.yaml"])
def test_record_of_a_newer_version_is_refused_whatever_else_it_holds(tmp_path: Path, name: str) -> None:
    newer = {**search().model_dump(mode="json"), "schema_version": SCHEMA_VERSION + 1, "of_the_future": 1}
    (tmp_path / name).write_text(json.dumps(newer) + "\n")
    with pytest.raises(TuneCLError, match=rf"{name}: written by a newer tune_cl \(schema_version 2") as caught:
        read_record(tmp_path / name, SearchRecord)
    assert "\n" not in str(caught.value)


def test_misspelt_key_of_a_record_gets_a_near_match_in_its_own_group(tmp_path: Path) -> None:
    content = search().model_dump(mode="json")
    for group, wrong, right in ((content, "metod", "method"), (content["seeds"], "serch", "search")):
        changed = dict(group)
        changed[wrong] = changed.pop(right)
        whole = changed if group is content else {**content, "seeds": changed}
        (tmp_path / "search.json").write_text(json.dumps(whole))
        with pytest.raises(TuneCLError, match=rf"search\.json: (seeds\.)?{wrong}: unknown key; did you mean '{right}'"):
            read_record(tmp_path / "search.json", SearchRecord)


def test_a_configuration_changed_by_hand_is_read_as_a_space_file_is(tmp_path: Path) -> None:
    write_yaml(tmp_path / "best.yaml", tune_cl.configure("genifer"))
    text = (tmp_path / "best.yaml").read_text()
    for old, new in (("augmentation: 'off'", "augmentation: off"), ("learning_rate: 0.01", "learning_rate: 1e-4")):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "best.yaml").write_text(text)
    read = read_record(tmp_path / "best.yaml", RunConfig).parameters["base"]["generator"]
    assert (read["augmentation"], read["learning_rate"]) == ("off", 1e-4)


@pytest.mark.parametrize("text", ["method: 2024-99-99\n", "method: " + "[" * 3000, "method: &a lwf\nbudget: *a\n"])
def test_yaml_of_any_kind_ends_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(TuneCLError, match=r"run\.yaml: ") as caught:
        read_record(tmp_path / "run.yaml", RunConfig)
    assert "\n" not in str(caught.value)
