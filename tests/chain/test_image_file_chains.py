"""Whole chains on images that lie in one file each, decoded once (CUB-200) or by loader workers (ImageNet-Subset)."""

import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_chains import TIMES, comparable, rows_of, run_config

from tune_cl.chain import Chain
from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method, leaves, method_names
from tune_cl.records import IncrementRow, StreamRecord
from tune_cl.store import StageStore
from tune_cl.streams import Stream, open_stream

sys.path.append(str(Path(__file__).parents[1] / "streams"))
import image_trees as trees

SMALL = {"base.classifier.batch_size": 32, "increment.classifier.batch_size": 16}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    trees.shrink(monkeypatch, stored=32, seen=28)


@pytest.fixture
def cub(tmp_path: Path) -> Stream:
    trees.write_cub(tmp_path / "data", training=3, test=0)
    return open_stream(StreamRecord(name="cub200-b150-t2"), tmp_path / "data", accept_modified_data=True)


@pytest.fixture
def imagenet(tmp_path: Path) -> Stream:
    folder = trees.write_imagenet(tmp_path / "data", per_class=3, classes=100)
    folder.parent.rename(tmp_path / "data" / "imagenet100")
    return open_stream(StreamRecord(name="imagenet100-b80-t2"), tmp_path / "data", accept_modified_data=True)


def run(stream: Stream, stages: Path, method: str = "finetune", workers: int = 0, **changes: Any) -> list[IncrementRow]:
    record = StreamRecord(name=stream.name)
    small = {path: value for path, value in SMALL.items() if path in leaves(get_method(method).config)}
    config = run_config(method, {**small, **changes}, stream=record, horizon=stream.horizon)
    rows = rows_of(Chain(config, stream, StageStore(stages, times=TIMES), node="here", loader_workers=workers))
    assert not multiprocessing.active_children()
    return rows


def test_a_chain_runs_on_cub(cub: Stream, tmp_path: Path) -> None:
    rows = run(cub, tmp_path / "stages")
    assert [len(row.accuracy_row) for row in rows] == [1, 2, 3]
    assert all(row.metrics["val/accuracy"] is not None for row in rows)


@pytest.mark.parametrize("method", method_names())
def test_a_chain_on_files_is_the_same_with_any_number_of_workers(imagenet: Stream, tmp_path: Path, method: str) -> None:
    alone = run(imagenet, tmp_path / "alone", method)
    assert [len(row.accuracy_row) for row in alone] == [1, 2, 3]
    assert comparable(run(imagenet, tmp_path / "two", method, workers=2)) == comparable(alone)


def test_a_chain_on_files_equals_one_on_the_same_images_in_memory(imagenet: Stream, tmp_path: Path) -> None:
    files = imagenet.raw_images
    decoded = files.decode(range(len(files))).transpose(0, 3, 1, 2).copy()
    in_memory = replace(imagenet, raw_images=decoded)
    assert in_memory.resident and not imagenet.resident
    one, other = run(imagenet, tmp_path / "files", workers=1), run(in_memory, tmp_path / "memory")
    assert comparable(one) == comparable(other)


def test_genifer_runs_with_a_generator_of_its_own_size(cub: Stream, tmp_path: Path) -> None:
    size = {"base.generator.image_size": 16, "base.generator.start_size": 4}
    rows = run(cub, tmp_path / "stages", "genifer", **size)
    assert len(rows) == 3 and rows[1].metrics["replay_accuracy"] is not None


def test_a_damaged_image_ends_the_chain_in_a_sentence_and_leaves_no_workers(imagenet: Stream, tmp_path: Path) -> None:
    training = imagenet.training(0)
    training.files.path(len(training) - 1).write_bytes(b"nothing")
    with pytest.raises(TuneCLError, match=r"^[^\n]*\.JPEG: cannot be decoded as an image[^\n]*$"):
        run(imagenet, tmp_path / "stages", workers=2)
    assert not multiprocessing.active_children()
