"""Damaged files: whatever is read is what stands there, complete and in its own types, or a sentence refuses it."""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tune_cl
from tune_cl.chain import read_run
from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method, method_names
from tune_cl.records import (
    Failure,
    IncrementRow,
    Reading,
    Record,
    RunConfig,
    SearchRecord,
    SearchSeeds,
    StageUse,
    StreamRecord,
    Summary,
    TrialFolder,
    TrialSummary,
    append_line,
    read_lines,
    read_record,
    write_json,
    write_run,
)
from tune_cl.study import load_space, resolve, shipped_spaces

USE = StageUse(phase="classifier", key="0" * 64, origin="trained", seconds=1.5, cpu_seconds=1.0, images_trained=8)
ROW = IncrementRow(
    trial=0, increment=0, metrics={"val/accuracy": 0.5, "val/forgetting": None}, accuracy_row=[0.5],
    losses={"classifier/ce": 1.0}, stages=[USE], node="n",
)  # fmt: skip
STREAM = StreamRecord(name="fashion-b4-t3", class_order=(3, 1, 2, 0, 4, 5, 6, 7, 8, 9))
SEARCH = SearchRecord(
    name="s", method="lwf", stream=STREAM, scale="small28", budget="quick", protocol="stream", horizon=3,
    objective="val/accuracy", seeds=SearchSeeds(), sampler="tpe", scheduler="none", threads=1, device="cpu",
    fixed={"a.b": 0.5}, ranges={}, default={"a.b": 0.5}, data_fingerprint="0", trials=2,
)  # fmt: skip
SUMMARY = Summary(
    trials={"finished": 1}, stages={"trained": 1}, seconds=1.0, seconds_as_if_alone=1.0, idle_seconds=0.0,
    images_trained=8, images_trained_as_if_alone=8, sharing=None, best=None,
    table=[TrialSummary(trial=0, state="finished", increment=3, value=0.5)],
)  # fmt: skip
READING = Reading(event="opened", run="trial-0000-seed-1001-train-1001", trial=0, time="2026-01-01", dataset="fashion")
RECORDS = [ROW, SEARCH, SUMMARY, READING, Failure(reason="why", increment=1, stages=[USE])]

examples = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@cache
def configuration(method: str) -> RunConfig:
    return tune_cl.configure(method)


def refused_or(read: Callable[[], Any]) -> Any:
    """What is read, or None where a sentence refuses it; any other exception passes, and fails the test."""
    try:
        return read()
    except TuneCLError as error:
        assert "\n" not in str(error)
        return None


def alike(one: Any, other: Any) -> bool:
    """Equality that tells true from 1 and text from numbers, and takes 1 for 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in inner for place in [(*path, key), *places(value, (*path, key))]]


def changed(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of a tree with another value at a place; `...` takes the place away."""
    tree = deepcopy(tree)
    node = tree
    for key in place[:-1]:
        node = node[key]
    if value is ...:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return tree


VALUES = st.sampled_from(
    [..., True, False, None, "", "8", "1e-3", "no", -1, 0, 1, 8, 2.0, 2.5, 1e308, [], [1], {}, {"a": 1}]
)


@examples
@given(data=st.data(), record=st.sampled_from(RECORDS))
def test_a_record_with_a_changed_value_is_read_as_it_stands_or_refused(
    tmp_path: Path, data: st.DataObject, record: Record
) -> None:
    content = record.model_dump(mode="json")
    damaged = changed(content, data.draw(st.sampled_from(places(content))), data.draw(VALUES))
    (tmp_path / "record.json").write_text(json.dumps(damaged))
    read = refused_or(lambda: read_record(tmp_path / "record.json", type(record)))
    if read is not None:
        now = read.model_dump(mode="json")
        allowed = {name: now[name] for name in record.later if name not in damaged}
        for use in (use for tree in (damaged, now) for use in tree.get("stages", []) if isinstance(use, dict)):
            for name in StageUse.later:
                use.setdefault(name, {"cpu_seconds": None, "idle_seconds": 0.0}[name])
        assert alike(now, {**damaged, **allowed})


@examples
@given(data=st.data())
def test_a_configuration_with_a_changed_value_is_read_as_it_stands_or_refused(
    tmp_path: Path, data: st.DataObject
) -> None:
    content = configuration("finetune").model_dump(mode="json")
    place = data.draw(st.sampled_from(places(content)))
    damaged = changed(content, place, data.draw(VALUES))
    file = tmp_path / "best.yaml"
    file.write_text(json.dumps(damaged) + "\n")  # JSON is YAML
    read = refused_or(lambda: read_run(file))
    if read is not None and place != ("schema_version",):
        now = read.model_dump(mode="json")
        assert alike(now, {**damaged, **{name: now[name] for name in RunConfig.later & now.keys() - damaged.keys()}})


@examples
@given(data=st.data(), junk=st.binary(max_size=6))
def test_bytes_of_any_kind_in_a_file_of_lines_end_in_a_sentence(
    tmp_path: Path, data: st.DataObject, junk: bytes
) -> None:
    folder = TrialFolder(tmp_path, 0)
    lines = b"".join(ROW.model_copy(update={"increment": t}).model_dump_json().encode() + b"\n" for t in range(2))
    start = data.draw(st.integers(0, len(lines)))
    end = data.draw(st.integers(start, min(start + 6, len(lines))))
    folder.increments.write_bytes(lines[:start] + junk + lines[end:])
    rows = refused_or(folder.rows)
    assert rows is None or [row.increment for row in rows] == list(range(len(rows)))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([{}], r"line 1: trial: missing"),
        ([None, {"extra": 1}], r"line 2: extra: unknown key"),
        ([None, {"trial": True}], r"line 2: trial: should be a valid integer, not true"),
        ([None, {"increment": "1"}], r'line 2: increment: should be a valid integer, not "1"'),
        ([None, {"increment": 0}], "the row of increment 0 is there twice"),
        ([None, {"increment": 2}], "the row of increment 1 is missing"),
        ([{"trial": 7}], "holds a row of trial 7"),
        ([{"accuracy_row": float("inf")}], "line 1: holds a number that is not finite"),
    ],
)  # fmt: skip
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, lines: list[Any], words: str) -> None:
    folder = TrialFolder(tmp_path, 0)
    row = ROW.model_dump(mode="json")
    text = "".join(json.dumps({**row, **line} if line else row if line is None else line) + "\n" for line in lines)
    folder.increments.write_text(text)
    with pytest.raises(TuneCLError, match=r"increments\.jsonl.*" + words):
        folder.rows()


def test_a_key_given_twice_is_refused_in_json_too(tmp_path: Path) -> None:
    write_json(tmp_path / "search.json", SEARCH)
    text = (tmp_path / "search.json").read_text()
    (tmp_path / "search.json").write_text(text.replace('"trials": 2,', '"trials": 2, "trials": 3,'))
    with pytest.raises(TuneCLError, match="'trials' is given twice"):
        read_record(tmp_path / "search.json", SearchRecord)


def test_a_folder_in_place_of_a_file_of_lines_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "readings.jsonl").mkdir()
    with pytest.raises(TuneCLError, match=r"readings\.jsonl: cannot be read"):
        list(read_lines(tmp_path / "readings.jsonl", Reading))


def test_a_torn_last_line_is_left_out_and_cut_off_by_the_next(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path, 0)
    append_line(folder.increments, ROW)
    whole = folder.increments.read_bytes()
    for end in range(1, len(whole), 40):
        folder.increments.write_bytes(whole + whole[:end])
        assert folder.rows() == [ROW]
    append_line(folder.increments, ROW.model_copy(update={"increment": 1}))
    assert [row.increment for row in folder.rows()] == [0, 1]


def test_wherever_a_configuration_is_cut_off_it_is_refused_or_the_same(tmp_path: Path) -> None:
    run = configuration("finetune")
    write_run(tmp_path / "whole.yaml", run)
    whole, cut = (tmp_path / "whole.yaml").read_bytes(), tmp_path / "cut.yaml"
    read = set()
    for end in range(len(whole)):
        cut.write_bytes(whole[:end])
        got = refused_or(lambda: read_run(cut))
        assert got in (None, run), f"cut off after {end} bytes it is another configuration"
        read.add(got is not None)
    assert read == {False}
    cut.write_bytes(whole)
    assert read_run(cut) == run


@pytest.mark.parametrize("method", method_names())
def test_a_configuration_that_lost_a_line_is_refused_by_the_name_of_the_key(tmp_path: Path, method: str) -> None:
    write_run(tmp_path / "best.yaml", configuration(method))
    lines = (tmp_path / "best.yaml").read_text().splitlines(keepends=True)
    assert read_run(tmp_path / "best.yaml") == configuration(method)
    for number in range(1, len(lines)):  # the first is the comment
        (tmp_path / "best.yaml").write_text("".join(lines[:number] + lines[number + 1 :]))
        key = lines[number].split(":")[0].strip()
        if key in RunConfig.later:
            continue
        with pytest.raises(TuneCLError) as caught:
            read_run(tmp_path / "best.yaml")
        if not lines[number].endswith(":\n"):  # of a group's heading, what lay below it is complained of
            group = lines[number - 1].strip().rstrip(":")  # of its only line: now it is empty
            assert key in str(caught.value) or f".{group}: not a mapping" in str(caught.value)


def test_a_configuration_of_the_first_version_is_read_without_the_parameters_that_came_later(tmp_path: Path) -> None:
    run = configuration("genifer")
    write_run(tmp_path / "best.yaml", run)
    text = (tmp_path / "best.yaml").read_text()
    lines = [line for line in text.splitlines(keepends=True) if line.strip() != "alpha: 1.0"]
    assert len(lines) == len(text.splitlines()) - 1
    (tmp_path / "best.yaml").write_text("".join(lines))
    with pytest.raises(TuneCLError, match=r"alpha: missing; a configuration names every parameter of genifer"):
        read_run(tmp_path / "best.yaml")
    (tmp_path / "best.yaml").write_text("".join(lines).replace("schema_version: 2", "schema_version: 1"))
    assert read_run(tmp_path / "best.yaml") == run


def test_an_edited_configuration_is_read_with_the_edit(tmp_path: Path) -> None:
    write_run(tmp_path / "best.yaml", configuration("finetune"))
    text = (tmp_path / "best.yaml").read_text()
    (tmp_path / "best.yaml").write_text(text.replace("learning_rate: 0.001", "learning_rate: 1e-4"))
    assert read_run(tmp_path / "best.yaml").parameters["increment"]["classifier"]["learning_rate"] == 1e-4


@examples
@given(data=st.data(), name=st.sampled_from(shipped_spaces()))
def test_a_damaged_space_file_ends_in_a_sentence_or_in_a_space(tmp_path: Path, data: st.DataObject, name: str) -> None:
    text = shipped(name)
    lines = text.splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    how = data.draw(st.sampled_from(["lost", "twice", "cut", "junk"]))
    line = lines[number]
    if how == "junk":
        place = data.draw(st.integers(0, len(line)))
        line = line[:place] + data.draw(st.text(max_size=4)) + line[place + data.draw(st.integers(0, 4)) :]
    replaced = {"lost": "", "twice": line * 2, "cut": line[: len(line) // 2], "junk": line}[how]
    damaged = "".join([*lines[:number], replaced, *lines[number + 1 :]])
    (tmp_path / "space.yaml").write_bytes(damaged.encode("utf-8", "surrogatepass"))

    def read() -> Any:
        file = load_space(str(tmp_path / "space.yaml"))
        method = get_method(file.method)
        scale = next(iter(file.scales), "small28")
        return resolve(file, config=method.config, scale=scale, budget="quick", overrides={})

    space = refused_or(read)
    if space is not None:
        assert space.complaint({}) is None, "the default is allowed"


@cache
def shipped(name: str) -> str:
    return (Path(__file__).parent.parent / "search_spaces" / name).read_text()


def test_what_a_failed_attempt_left_is_put_aside_whole_even_if_a_crash_comes_between(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "trials" / "0000", 0)
    for attempt in (1, 2):
        append_line(folder.increments, ROW)
        write_json(folder.failure, Failure(reason=f"attempt {attempt}", increment=1))
        folder.replay_grid(0).write_bytes(b"picture")
        unfinished = folder.path / ".attempt"
        unfinished.mkdir()
        folder.failure.rename(unfinished / "failure.json")  # the crash came here
        assert folder.attempts() == attempt - 1
        folder.put_aside()
        assert folder.attempts() == attempt and folder.rows() == [] and not folder.failure.exists()
        aside = TrialFolder(folder.path / f"attempt-{attempt}", 0)
        assert read_record(aside.failure, Failure).reason == f"attempt {attempt}" and aside.rows() == [ROW]
        assert aside.replay_grid(0).exists() and not unfinished.exists()


# With a default for who makes one in Python; every file has had them from the first.
FROM_THE_FIRST = {
    "schema_version", "class_order", "order_seed", "split_seed", "train_seed", "threads", "device", "search", "order",
    "split", "train", "direction", "versions", "git_commit", "command", "created", "traceback", "stages", "reason",
    "default_value", "fingerprint", "images", "difference", "test_fingerprint", "nearest_mean",
}  # fmt: skip


def test_a_field_that_came_later_is_declared_so_that_older_files_are_read() -> None:
    for record in Record.__subclasses__():
        if record.__module__.startswith("tune_cl.records."):
            optional = {name for name, field in record.model_fields.items() if not field.is_required()}
            assert record.later <= optional, record.__name__
            new = optional - record.later - FROM_THE_FIRST
            assert not new, f"{record.__name__}: files without {new} exist; name them in its `later`"
