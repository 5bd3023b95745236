"""Chains on a folder of images from a script: in memory and from files alike, from the record alone, as a Trainable."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import tune_cl
from tune_cl.errors import TuneCLError
from tune_cl.records import IncrementRow, RunConfig, read_record, write_run

sys.path.insert(0, str(Path(__file__).parents[1] / "streams"))
from image_folders import write_folder

SMALL = {
    "base.classifier.width": 4,
    **{f"{part}.classifier.epochs": 2 for part in ("base", "increment")},
    **{f"{part}.classifier.batch_size": 16 for part in ("base", "increment")},
}


def configured(source: Any, space: str = "finetune", **changes: Any) -> RunConfig:
    overrides = {**SMALL, **changes}
    return tune_cl.configure(space, stream="glyphs-b2-t2", data_sets={"glyphs": source}, overrides=overrides)


def run(config: RunConfig | Path, stages: Path, **settings: Any) -> list[IncrementRow]:
    return tune_cl.run_chain(config, stages=stages, **settings)


def comparable(rows: list[IncrementRow]) -> list[dict[str, Any]]:
    return [row.comparable() for row in rows]


@pytest.mark.parametrize("crop", ["shift", "random", "resized"])
def test_images_in_memory_and_in_files_train_the_same(tmp_path: Path, crop: str) -> None:
    root = write_folder(tmp_path / "glyphs", training=8, test=1, colour=True)
    settings = {"folder": str(root), "crop": crop, "mirror": True}
    whole = run(configured(settings), tmp_path / "stages")
    files = run(configured({**settings, "in_memory": False}), tmp_path / "others", loader_workers=1)
    assert comparable(whole) == comparable(files)


def test_a_memory_takes_what_an_uneven_class_has(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "glyphs", training=5, test=1)  # 4, 6, 7 and 9 of each to train on
    changes = {"base.memory.size": 6, "base.memory.budget": "per_class", "increment.classifier.loss": "balanced"}
    config = configured({"folder": str(root)}, "il_baseline", **changes)
    rows = run(config, tmp_path / "stages")
    assert len(rows) == 3 and sum(rows[2].images_scored) == 1 + 1 + 2 + 2


def test_a_written_configuration_has_all_that_is_to_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_folder(tmp_path / "glyphs", training=6, test=1)
    monkeypatch.chdir(tmp_path)
    config = configured("glyphs")  # relative to the current folder
    first = run(config, tmp_path / "stages")
    write_run(tmp_path / "run.yaml", config)
    assert read_record(tmp_path / "run.yaml", RunConfig) == config
    monkeypatch.chdir("/")
    again = run(tmp_path / "run.yaml", tmp_path / "stages")
    assert comparable(again) == comparable(first) and all(s.origin == "reused" for row in again for s in row.stages)
    moved = shutil.move(root, tmp_path / "moved")
    with pytest.raises(TuneCLError, match=r"data set glyphs: there is no folder .*/glyphs on "):
        run(tmp_path / "run.yaml", tmp_path / "stages")
    again = run(tmp_path / "run.yaml", tmp_path / "stages", data_sets={"glyphs": moved})
    assert comparable(again) == comparable(first)


def test_what_is_given_for_data_sets_is_checked(tmp_path: Path) -> None:
    for given in ("glyphs", {"glyphs": 5}, {5: "glyphs"}):
        with pytest.raises(TuneCLError, match=r"data_sets .*: not a mapping of names to folders"):
            tune_cl.configure("finetune", data_sets=given)  # type: ignore[arg-type]
    with pytest.raises(TuneCLError, match="nowhere: no such folder"):
        configured(tmp_path / "nowhere")
    with pytest.raises(TuneCLError, match="data set glyphs: folder: missing"):
        configured({"size": 24})


def test_a_trainable_takes_a_folder(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "glyphs", training=4, test=1)
    given = {"stream": "glyphs-b2-t2", "data_sets": {"glyphs": root}, "overrides": SMALL, "stages": tmp_path / "stages"}
    trainable = tune_cl.trainable("finetune", **given)
    assert trainable is not None
    with pytest.raises(TuneCLError, match="b4 is impossible, since glyphs has 4 classes"):
        tune_cl.trainable("finetune", **{**given, "stream": "glyphs-b4-t1"})
