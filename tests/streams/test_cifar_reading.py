import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import cifar_writers as cifar
import numpy as np
import pytest
from torchvision import datasets

from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams import DATASETS, CifarFile, CifarVersion, Stream, open_stream, read_cifar
from tune_cl.streams._cifar import cifar_training_version, read_cifar_training

Writer = Callable[[Path, str, list[cifar.Batch]], Path]


def small(dataset: str) -> list[cifar.Batch]:
    """Five files of 8 images of CIFAR-10, or one of 400 of CIFAR-100: every class has four."""
    if dataset == "cifar100":
        return [cifar.random_batch(400, 100)]
    images, labels = cifar.random_batch(40, 10)
    return [(images[i : i + 8], labels[i : i + 8]) for i in range(0, 40, 8)]


def opened(root: Path, dataset: str, accept: bool = True) -> Stream:
    return open_stream(StreamRecord(name=f"{dataset}-b5-t5"), root, accept_modified_data=accept)


def sentence(root: Path | None, dataset: str = "cifar10", accept: bool = False) -> str:
    with pytest.raises(TuneCLError) as caught:
        open_stream(StreamRecord(name=f"{dataset}-b5-t5"), root, accept_modified_data=accept)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_written_pickles_are_those_that_python_reads_too() -> None:
    images, labels = cifar.random_batch(8, 10)
    batch = pickle.loads(cifar.python2_pickle((images, labels), b"labels"), encoding="bytes")
    assert np.array_equal(batch[b"data"], images.reshape(8, 3072)) and batch[b"labels"] == labels.tolist()


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
@pytest.mark.parametrize("write", [cifar.write_python, cifar.write_binary])
def test_both_versions_decode_to_the_images_that_were_written(tmp_path: Path, dataset: str, write: Writer) -> None:
    batches = small(dataset)
    write(tmp_path, dataset, batches)
    stream = opened(tmp_path, dataset)
    assert np.array_equal(stream.raw_images, np.concatenate([images for images, _ in batches]))
    assert np.array_equal(stream.raw_labels, np.concatenate([labels for _, labels in batches]))
    assert stream.raw_images.dtype == np.uint8 and stream.image_shape == stream.raw_images.shape[1:]
    assert stream.scale == "cifar"
    for t in range(6):
        assert len(stream.training(t)) == 3 * len(stream.classes(t)) == 3 * len(stream.validation(t))


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_both_versions_have_one_fingerprint(tmp_path: Path, dataset: str) -> None:
    cifar.write_python(tmp_path / "py", dataset, small(dataset))
    cifar.write_binary(tmp_path / "bin", dataset, small(dataset))
    assert opened(tmp_path / "py", dataset).fingerprint == opened(tmp_path / "bin", dataset).fingerprint


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_batches_pickled_again_by_python_3_are_read(tmp_path: Path, protocol: int) -> None:
    images, labels = cifar.random_batch(400, 100)
    batch = {"data": images.reshape(-1, 3072), "fine_labels": labels.tolist(), "coarse_labels": [0] * 400}
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    (folder / "train").write_bytes(pickle.dumps(batch, protocol=protocol))
    assert np.array_equal(opened(tmp_path, "cifar100").raw_images, images)
    batch["data"] = np.asfortranarray(batch["data"])
    (folder / "train").write_bytes(pickle.dumps(batch, protocol=protocol))
    assert np.array_equal(opened(tmp_path, "cifar100").raw_images, images)


def test_python_version_is_preferred_since_its_checksums_are_published(tmp_path: Path) -> None:
    cifar.write_binary(tmp_path, "cifar100", [cifar.random_batch(400, 100, seed=1)])
    cifar.write_python(tmp_path, "cifar100", [cifar.random_batch(400, 100, seed=2)])
    assert np.array_equal(opened(tmp_path, "cifar100").raw_images, cifar.random_batch(400, 100, seed=2)[0])


def test_original_file_passes_its_checksum(tmp_path: Path) -> None:
    folder = cifar.write_python(tmp_path, "cifar100", small("cifar100"))
    md5 = hashlib.md5((folder / "train").read_bytes()).hexdigest()
    version = CifarVersion("cifar100", folder.name, (CifarFile("train", 400, md5),))
    assert len(read_cifar(DATASETS["cifar100"], (version,), tmp_path).labels) == 400


def test_checksums_are_those_that_torchvision_holds() -> None:
    for name, published in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        version = cifar_training_version(name)
        assert version.folder == published.base_folder
        assert [[file.name, file.md5] for file in version.files] == published.train_list


def test_full_size_binary_files_are_taken_without_a_flag(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rows = np.zeros((10_000, 3073), dtype=np.uint8)
    rows[:, 0] = np.arange(10_000) % 10
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(rows.tobytes())
    raw = read_cifar_training(DATASETS["cifar10"], tmp_path)
    assert np.bincount(raw.labels).tolist() == [5000] * 10
    rows[0, 0] = 1
    (folder / "data_batch_3.bin").write_bytes(rows.tobytes())
    assert "classes are equally large (here 4999 to 5001)" in sentence(tmp_path)
    shutil.rmtree(folder)  # 150 MB


def test_modified_data_need_the_flag_and_get_another_fingerprint(tmp_path: Path) -> None:
    folder = cifar.write_python(tmp_path, "cifar100", small("cifar100"))
    refusal = sentence(tmp_path, "cifar100")
    assert str(folder / "train") in refusal and "--accept-modified-data" in refusal and "--download" in refusal
    before = opened(tmp_path, "cifar100")
    images, labels = small("cifar100")[0]
    images[7, 0, 0, 0] ^= 1
    (folder / "train").write_bytes(cifar.python2_pickle((images, labels), b"fine_labels"))
    after = opened(tmp_path, "cifar100")
    assert before.fingerprint != after.fingerprint and before.identity(0) != after.identity(0)


def test_missing_data_name_the_flag_that_helps(tmp_path: Path) -> None:
    assert "give its folder with --data-root, or add --download" in sentence(None)
    assert f"--data-root {tmp_path / 'absent'}: no such folder" in sentence(tmp_path / "absent")
    empty = sentence(tmp_path)
    assert "holds neither cifar-10-batches-py nor cifar-10-batches-bin" in empty and "--download" in empty


@pytest.mark.parametrize("write", [cifar.write_python, cifar.write_binary])
def test_missing_file_is_named(tmp_path: Path, write: Writer) -> None:
    folder = write(tmp_path, "cifar10", small("cifar10"))
    victim = sorted(folder.iterdir())[3]
    victim.unlink()
    refusal = sentence(tmp_path, accept=True)
    assert f"{victim}: no such file" in refusal and "--download" in refusal


@pytest.mark.parametrize("write", [cifar.write_python, cifar.write_binary])
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_truncated_file_is_refused_even_with_the_flag(tmp_path: Path, dataset: str, write: Writer) -> None:
    folder = write(tmp_path, dataset, small(dataset))
    victim = sorted(folder.iterdir())[0]
    for end in (-1, 100, 0):
        victim.write_bytes(victim.read_bytes()[:end])
        assert str(victim) in sentence(tmp_path, dataset, accept=True)
        assert str(victim) in sentence(tmp_path, dataset)


def test_binary_file_of_another_size_is_told_the_published_size(tmp_path: Path) -> None:
    cifar.write_binary(tmp_path, "cifar100", small("cifar100"))
    assert "holds 400 images where the published file holds 50000" in sentence(tmp_path, "cifar100")


def test_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    images, labels = cifar.random_batch(400, 100)
    labels[5] = 200
    folder = cifar.write_python(tmp_path, "cifar100", [(images, labels)])
    assert f"{folder / 'train'}: holds the label 200" in sentence(tmp_path, "cifar100", accept=True)


def test_class_without_images_is_refused(tmp_path: Path) -> None:
    cifar.write_python(tmp_path, "cifar100", [cifar.random_batch(400, 99)])
    assert "label 99 has 0" in sentence(tmp_path, "cifar100", accept=True)


@pytest.mark.parametrize(
    "batch",
    [
        [1, 2],
        {"data": [1]},
        {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [1]},
        {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [1, "2"]},
        {"data": np.zeros((2, 3072), np.float32), "fine_labels": [1, 2]},
        {"data": np.zeros((2, 3071), np.uint8), "fine_labels": [1, 2]},
        {"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]},
    ],
)
def test_pickle_of_something_else_is_no_batch(tmp_path: Path, batch: object) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    (folder / "train").write_bytes(pickle.dumps(batch, protocol=2))
    assert "not a CIFAR batch" in sentence(tmp_path, "cifar100", accept=True)
