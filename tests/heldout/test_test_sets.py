import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision import datasets

import tune_cl
from tune_cl.errors import TuneCLError
from tune_cl.heldout import TestSet, open_test_set
from tune_cl.heldout._shipped import _CIFAR_TEST
from tune_cl.records import StreamRecord
from tune_cl.streams import DATASETS, imagenet_subset, open_stream

Everything = tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]
DATA = Path(tune_cl.__file__).parent / "heldout" / "data"


def everything(test: TestSet) -> Everything:
    """Images (N, C, H, W), labels (N,) and class names."""
    labels = test.images.labels
    return test.images.gather(torch.arange(len(labels))).numpy(), labels.numpy(), test.class_names


@pytest.mark.parametrize(("dataset", "n_classes", "per_class"), [("fashion", 10, 200), ("quickdraw", 100, 20)])
def test_embedded_test_sets_are_whole(dataset: str, n_classes: int, per_class: int) -> None:
    images, labels, class_names = everything(open_test_set(DATASETS[dataset]))
    file = np.load(DATA / f"{dataset}_test.npz")
    assert images.dtype == np.uint8 and images.shape == (2000, 1, 28, 28)
    assert np.array_equal(images[:, 0], file["images"]) and np.array_equal(labels, file["labels"])
    assert np.bincount(labels).tolist() == [per_class] * n_classes and len(class_names) == n_classes


@pytest.mark.parametrize("name", ["fashion-b4-t3", "quickdraw-b50-t5"])
def test_streams_and_test_sets_share_class_names_and_no_image(name: str) -> None:
    stream = open_stream(StreamRecord(name=name))
    images, _, class_names = everything(open_test_set(stream.shape.dataset))
    assert tuple(class_names[label] for label in stream.class_order) == stream.class_names
    training = {hashlib.sha256(image.tobytes()).digest() for image in stream.raw_images}
    shared = sum(hashlib.sha256(image.tobytes()).digest() in training for image in images)
    assert shared == 0


@pytest.mark.parametrize(
    ("dataset", "file", "label_bytes"),
    [("cifar10", "cifar-10-batches-bin/test_batch.bin", 1), ("cifar100", "cifar-100-binary/test.bin", 2)],
)
def test_binary_test_files_decode_to_what_was_written(
    tmp_path: Path, dataset: str, file: str, label_bytes: int
) -> None:
    rows = np.random.default_rng(0).integers(0, 10, (30, label_bytes + 3072), dtype=np.uint8)
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_bytes(rows.tobytes())
    images, labels, class_names = everything(open_test_set(DATASETS[dataset], tmp_path, accept_modified_data=True))
    assert np.array_equal(images.reshape(30, 3072), rows[:, label_bytes:])
    assert np.array_equal(labels, rows[:, label_bytes - 1])
    assert len(class_names) == int(dataset.removeprefix("cifar"))
    with pytest.raises(TuneCLError, match="holds 30 images where the published file holds 10000"):
        open_test_set(DATASETS[dataset], tmp_path)


@pytest.mark.parametrize(
    ("dataset", "file", "key"),
    [("cifar10", "cifar-10-batches-py/test_batch", "labels"), ("cifar100", "cifar-100-python/test", "fine_labels")],
)
def test_python_test_files_decode_to_what_was_written(tmp_path: Path, dataset: str, file: str, key: str) -> None:
    data = np.random.default_rng(0).integers(0, 256, (30, 3072), dtype=np.uint8)
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_bytes(pickle.dumps({"data": data, key: list(range(10)) * 3}, protocol=2))
    images, labels, _ = everything(open_test_set(DATASETS[dataset], tmp_path, accept_modified_data=True))
    assert np.array_equal(images.reshape(30, 3072), data) and labels.tolist() == list(range(10)) * 3
    with pytest.raises(TuneCLError, match="not the published file"):
        open_test_set(DATASETS[dataset], tmp_path)


def test_checksums_are_those_that_torchvision_holds() -> None:
    for name, published in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        version = _CIFAR_TEST[name][0]
        assert version.folder == published.base_folder
        assert [[file.name, file.md5] for file in version.files] == published.test_list


def test_training_of_cifar_opens_no_test_file(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    rows = np.zeros((200, 3074), dtype=np.uint8)
    rows[:, 1] = np.arange(200) % 100
    (folder / "train.bin").write_bytes(rows.tobytes())
    (folder / "test.bin").mkdir()  # whoever opens it fails
    open_stream(StreamRecord(name="cifar100-b50-t5"), tmp_path, accept_modified_data=True)
    with pytest.raises(TuneCLError, match=r"test\.bin: cannot be read"):
        open_test_set(DATASETS["cifar100"], tmp_path, accept_modified_data=True)


def write_cub_by_hand(root: Path) -> None:
    """Four images, two of them to test on; all of another grey."""
    folder = root / "CUB_200_2011"
    classes = ["001.name", "001.name", "200.name", "200.name"]
    for i, name in enumerate(classes, 1):
        (folder / "images" / name).mkdir(parents=True, exist_ok=True)
        Image.new("L", (300, 280), 50 * i).save(folder / "images" / name / f"{i}.jpg")
    lists = {
        "images.txt": [f"{i} {name}/{i}.jpg" for i, name in enumerate(classes, 1)],
        "image_class_labels.txt": ["1 1", "2 1", "3 200", "4 200"],
        "train_test_split.txt": ["1 1", "2 0", "3 1", "4 0"],
        "classes.txt": [f"{c} {c:03d}.name" for c in range(1, 201)],
    }
    for name, lines in lists.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))


def test_cubs_test_images_are_those_not_to_train_on(tmp_path: Path) -> None:
    write_cub_by_hand(tmp_path)
    test = open_test_set(DATASETS["cub200"], tmp_path, accept_modified_data=True)
    assert test.images.labels.tolist() == [0, 199] and test.class_names[199] == "200.name"
    images = test.images.gather(torch.tensor([0, 1]))
    assert images.shape == (2, 3, 256, 256)
    assert images.flatten(1).float().mean(1).tolist() == pytest.approx([100, 200], abs=1)
    with pytest.raises(TuneCLError, match="lists 4 images where the published one lists 11788"):
        open_test_set(DATASETS["cub200"], tmp_path)


@pytest.mark.parametrize("dataset", ["imagenet", "imagenet100"])
def test_imagenets_test_images_are_its_validation_half_by_sorted_wnid(tmp_path: Path, dataset: str) -> None:
    image = tmp_path / "image.JPEG"
    Image.new("RGB", (300, 280), (9, 90, 200)).save(image, "JPEG")
    for c in range(1000):
        folder = tmp_path / "imagenet" / "val" / f"n{c + 1:08d}"
        folder.mkdir(parents=True)
        (folder / "ILSVRC_7.JPEG").write_bytes(image.read_bytes())
    place, first = (0, 0) if dataset == "imagenet" else (1, imagenet_subset()[1])
    test = open_test_set(DATASETS[dataset], tmp_path, accept_modified_data=True)
    assert test.images.labels.tolist() == list(range(1000 if dataset == "imagenet" else 100))
    assert test.class_names[place] == f"n{first + 1:08d}"
    assert test.images.gather(torch.tensor([place])).shape == (1, 3, 256, 256)
    with pytest.raises(TuneCLError, match=r"holds \d files \*\.JPEG where published classes have 50 to 50"):
        open_test_set(DATASETS[dataset], tmp_path)


def test_data_set_without_a_reader_of_its_test_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS._members, "svhn", replace(DATASETS["cifar10"], name="svhn"))
    with pytest.raises(TuneCLError, match=r"^svhn: nothing reads its test images; .*heldout/_shipped\.py"):
        open_test_set(DATASETS["svhn"], tmp_path)


def test_test_images_that_are_not_as_described_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS._members, "fashion", replace(DATASETS["fashion"], n_classes=8))
    with pytest.raises(TuneCLError, match=r"^fashion: its files hold the label [89], .* labels from 0 to 7"):
        open_test_set(DATASETS["fashion"])
