"""A data set that is not as its entry in `DATASETS` says, or lacks one of its parts, is refused in a sentence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams import DATASETS, Stream, _embedded, download, open_stream

GOOD: dict[str, Any] = {
    "images": np.zeros((80, 28, 28), np.uint8),
    "labels": np.arange(80) % 8,
    "class_names": np.array([f"class {c}" for c in range(8)]),
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the archives of embedded data sets are looked for; one of 8 classes, 'tiny', is known."""
    monkeypatch.setitem(DATASETS._members, "tiny", replace(DATASETS["fashion"], name="tiny", n_classes=8))
    monkeypatch.setattr(_embedded, "__file__", str(tmp_path / "_embedded.py"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def opened(data: Path, **changes: Any) -> Stream:
    np.savez(data / "tiny_train.npz", **{**GOOD, **changes})
    return open_stream(StreamRecord(name="tiny-b4-t2"))


def test_data_as_described_are_taken(data: Path) -> None:
    assert opened(data).raw_images.shape == (80, 1, 28, 28)
    assert opened(data, labels=GOOD["labels"].astype(np.uint8)).raw_labels.dtype == np.int64


@pytest.mark.parametrize(
    ("changes", "found", "described"),
    [
        ({"images": np.zeros((80, 32, 32), np.uint8)}, "images of uint8 1 x 32 x 32", "images of uint8 1 x 28 x 28"),
        ({"images": np.zeros((80, 28, 28, 3), np.uint8)}, "images of uint8 1 x 28 x 28 x 3", "images of uint8 1"),
        ({"images": np.zeros((80, 28, 28), np.float32)}, "images of float32", "images of uint8"),
        ({"labels": np.arange(80) % 10}, "the label 8", "labels from 0 to 7"),
        ({"labels": np.arange(80) % 8 - 1}, "the label -1", "labels from 0 to 7"),
        ({"labels": np.arange(78) % 8}, "78 labels of 80 images", "a label of each image"),
        ({"class_names": np.array(["one", "two"])}, "2 class names", "8 classes"),
        ({"class_names": np.array([str(c) for c in range(10)])}, "10 class names", "8 classes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_differs_is_named_as_found_and_as_described(
    data: Path, changes: dict[str, Any], found: str, described: str
) -> None:
    with pytest.raises(TuneCLError) as caught:
        opened(data, **changes)
    sentence = str(caught.value)
    assert sentence.startswith(f"tiny: its files hold {found}") and f"describes {described}" in sentence
    assert "\n" not in sentence


def test_labels_are_whole_numbers_and_names_are_text(data: Path) -> None:
    with pytest.raises(TuneCLError, match=r"tiny_train\.npz: its labels are float64"):
        opened(data, labels=GOOD["labels"] * 1.0)
    with pytest.raises(TuneCLError, match=r"tiny_train\.npz: the package's data file is damaged"):
        opened(data, class_names=GOOD["class_names"].astype(object))


def test_images_that_come_larger_than_networks_see_them_are_compared_as_stored(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preprocessing = replace(DATASETS["tiny"].preprocessing, stored_size=32, seen_size=28, crop="random")
    monkeypatch.setitem(DATASETS._members, "tiny", replace(DATASETS["tiny"], preprocessing=preprocessing))
    assert opened(data, images=np.zeros((80, 32, 32), np.uint8)).image_shape == (1, 28, 28)
    with pytest.raises(TuneCLError, match=r"1 x 28 x 28.* describes images of uint8 1 x 32 x 32"):
        opened(data)


def test_data_set_without_a_reader_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS._members, "svhn", replace(DATASETS["cifar10"], name="svhn", reader=None))
    with pytest.raises(TuneCLError, match=r"^svhn: nothing reads its training images; give its Dataset a `reader`"):
        open_stream(StreamRecord(name="svhn-b5-t5"))


def test_data_set_that_is_not_fetched_says_where_it_is_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cub200", "imagenet", "imagenet100"):
        with pytest.raises(TuneCLError, match=rf"--download: {name} is not fetched; put .*, from .*, into {tmp_path}"):
            download(DATASETS[name], tmp_path)
    monkeypatch.setitem(DATASETS._members, "svhn", replace(DATASETS["cub200"], name="svhn", origin=""))
    with pytest.raises(TuneCLError, match=rf"--download: svhn is not fetched; put its files into {tmp_path}"):
        download(DATASETS["svhn"], tmp_path)
