"""The stage store: what is published is read again bit by bit, and what is damaged is set aside and trained again."""

import hashlib
import io
import json
import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_chains import chain_of, comparable, origins, rows_of, run_config

from tune_cl.nets import Component
from tune_cl.store import Stage, StageRecord, StageStore

KEY = "ab" + "c1" * 31


def stage(key: str = KEY, value: float = 1.5, **fields: Any) -> Stage:
    tensors = {"weight": torch.arange(6.0).view(2, 3) * value, "count": torch.tensor(7)}
    record = StageRecord(
        key=key,
        parent=None,
        ingredients={"hyperparameters": {"epsilon": 1e-06, "rate": 1e-05, "name": "x"}},
        seconds=2.5,
        images_trained=640,
        losses={"ce": 0.1 + 0.2, "tiny": 1e-07},
        metrics={"replay_accuracy": 1 / 3},
        checksum="",
    ).model_copy(update=fields)
    component = Component("classifier", {"network": "small_cnn", "width": 4, "image_shape": (1, 28, 28)}, tensors)
    return Stage(record, {"classifier": component}, torch.zeros(2, 8, 1, 28, 28, dtype=torch.uint8))


def folder_of(stages: Path, key: str = KEY) -> Path:
    return stages / key[:2] / key


def set_aside(stages: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in (stages / "damaged").glob("*"))


def drafts(stages: Path) -> list[Path]:
    return list((stages / "drafts").glob("*"))


def test_a_published_stage_is_loaded_as_it_was(tmp_path):
    store = StageStore(tmp_path)
    assert store.load(KEY) is None and KEY not in store
    published = store.publish(stage())
    loaded = StageStore(tmp_path).load(KEY)
    assert KEY in store and loaded is not None
    assert loaded.record == published.record
    assert loaded.record.checksum == hashlib.sha256((folder_of(tmp_path) / "state.pt").read_bytes()).hexdigest()
    # The numbers as numbers: 1e-06 is text to a YAML reader.
    assert loaded.record.ingredients == stage().record.ingredients
    one, other = loaded.changed["classifier"], stage().changed["classifier"]
    assert (one.kind, dict(one.settings)) == (other.kind, dict(other.settings))
    assert all(torch.equal(one.tensors[name], tensor) for name, tensor in other.tensors.items())
    assert loaded.preview is not None and stage().preview is not None and torch.equal(loaded.preview, stage().preview)
    assert drafts(tmp_path) == [] and set_aside(tmp_path) == []


def test_a_stage_without_images_to_look_at_is_stored_too(tmp_path):
    store = StageStore(tmp_path)
    store.publish(Stage(stage().record, stage().changed, None))
    loaded = store.load(KEY)
    assert loaded is not None and loaded.preview is None


def test_nothing_but_tensors_and_plain_values_is_in_a_stage(tmp_path):
    StageStore(tmp_path).publish(stage())
    content = torch.load(folder_of(tmp_path) / "state.pt", weights_only=True)
    assert set(content) == {"changed", "preview"}


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("file", ["state.pt", "stage.json"])
@pytest.mark.parametrize("damage", [cut_short, empty, Path.unlink])
def test_a_damaged_stage_is_set_aside_and_can_be_published_again(tmp_path, file, damage):
    store = StageStore(tmp_path)
    store.publish(stage())
    damage(folder_of(tmp_path) / file)
    assert store.load(KEY) is None
    assert set_aside(tmp_path) == [KEY] and KEY not in store
    store.publish(stage())
    assert store.load(KEY) is not None


def test_a_flipped_bit_in_the_tensors_is_noticed(tmp_path):
    store = StageStore(tmp_path)
    store.publish(stage())
    flip_a_bit(folder_of(tmp_path) / "state.pt")
    assert store.load(KEY) is None and set_aside(tmp_path) == [KEY]


def test_a_stage_under_anothers_key_is_set_aside(tmp_path):
    store = StageStore(tmp_path)
    store.publish(stage())
    other = "ab" + "00" * 31
    folder_of(tmp_path).rename(folder_of(tmp_path, other))
    assert store.load(other) is None and set_aside(tmp_path) == [other]


class Mischief:
    """Unpickles by touching a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def replace_content(stages: Path, content: Any) -> None:
    """Put other content under a stage, with the checksum that belongs to it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    folder = folder_of(stages)
    (folder / "state.pt").write_bytes(buffer.getvalue())
    record = json.loads((folder / "stage.json").read_text())
    record["checksum"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    (folder / "stage.json").write_text(json.dumps(record))


def test_a_pickle_with_code_in_it_is_not_run_but_set_aside(tmp_path):
    store, trace = StageStore(tmp_path), tmp_path / "code was run"
    store.publish(stage())
    replace_content(tmp_path, {"changed": {}, "preview": Mischief(trace)})
    assert store.load(KEY) is None
    assert not trace.exists() and set_aside(tmp_path) == [KEY]
    torch.load(next((tmp_path / "damaged").glob("*")) / "state.pt", weights_only=False)
    assert trace.exists()  # so it would have run without `weights_only`


@pytest.mark.parametrize(
    "content", [[1, 2], {"changed": {}}, {"changed": {"classifier": {"kind": "x"}}, "preview": None}]
)
def test_content_of_another_shape_is_set_aside(tmp_path, content):
    store = StageStore(tmp_path)
    store.publish(stage())
    replace_content(tmp_path, content)
    assert store.load(KEY) is None and set_aside(tmp_path) == [KEY]


def test_the_first_publisher_wins_and_the_second_does_no_harm(tmp_path):
    store = StageStore(tmp_path)
    store.publish(stage(seconds=1.0))
    store.publish(stage(seconds=2.0))
    loaded = store.load(KEY)
    assert loaded is not None and loaded.record.seconds == 1.0
    assert drafts(tmp_path) == []


def test_many_threads_publish_and_load_one_key_at_once(tmp_path):
    store, gate, found = StageStore(tmp_path), threading.Barrier(8), []

    def work() -> None:
        gate.wait()
        store.publish(stage())
        found.append(store.load(KEY))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(one is not None for one in found)
    assert drafts(tmp_path) == [] and set_aside(tmp_path) == []


def _publish(stages: Path, gate: Any) -> None:
    gate.wait()
    StageStore(stages).publish(stage())


def test_many_processes_publish_one_key_at_once(tmp_path):
    forked = multiprocessing.get_context("fork")
    gate = forked.Barrier(4)
    publishers = [forked.Process(target=_publish, args=(tmp_path, gate)) for _ in range(4)]
    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join()
    assert [publisher.exitcode for publisher in publishers] == [0] * 4
    assert StageStore(tmp_path).load(KEY) is not None
    assert drafts(tmp_path) == [] and set_aside(tmp_path) == []


def test_a_publish_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / KEY[:2]).write_text("a file where the folder should be")
    with pytest.raises(OSError):
        StageStore(tmp_path).publish(stage())
    assert drafts(tmp_path) == []


def test_a_chain_trains_a_damaged_stage_again_and_its_rows_are_the_same(tmp_path):
    run = run_config("genifer", horizon=1)
    before = rows_of(chain_of(run, tmp_path))
    key = before[0].stages[1].key
    flip_a_bit(folder_of(tmp_path, key) / "state.pt")
    after = rows_of(chain_of(run, tmp_path))
    assert origins(before) == ["trained"] * 3
    assert origins(after) == ["reused", "trained", "reused"]
    assert comparable(before) == comparable(after)
    assert set_aside(tmp_path) == [key]
