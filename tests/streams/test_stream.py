import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import tune_cl
from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams import DATASETS, LabelledImages, RawImages, Stream, open_stream, read_archive
from tune_cl.streams._split import split_class

DATA = Path(tune_cl.__file__).parent / "streams" / "data"


def opened(name: str = "fashion-b4-t3", **record: object) -> Stream:
    return open_stream(StreamRecord(name=name, **record))  # type: ignore[arg-type]


def rows(part: LabelledImages, stream_class: int) -> set[bytes]:
    return {image.numpy().tobytes() for image in part.images[part.labels == stream_class]}


@pytest.mark.parametrize(("name", "per_class"), [("fashion-b4-t3", (800, 200)), ("quickdraw-b50-t5", (64, 16))])
def test_increments_hold_their_classes_and_nothing_else(name: str, per_class: tuple[int, int]) -> None:
    stream = opened(name)
    for t in range(stream.horizon + 1):
        for part, size in zip((stream.training(t), stream.validation(t)), per_class, strict=True):
            assert part.images.dtype == torch.uint8 and part.labels.dtype == torch.int64
            assert part.images.shape == (len(part), *stream.image_shape)
            assert torch.bincount(part.labels, minlength=stream.n_classes).tolist() == [
                size if c in stream.classes(t) else 0 for c in range(stream.n_classes)
            ]
    assert [stream.n_seen(t) for t in range(stream.horizon + 1)][-1] == stream.n_classes


def test_stream_classes_are_places_in_the_class_order() -> None:
    order = (9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
    stream = opened(class_order=order)
    file = np.load(DATA / "fashion_train.npz")
    assert stream.class_names == tuple(file["class_names"][list(order)])
    of_label_3 = {image.tobytes() for image in file["images"][file["labels"] == 3]}
    t = next(t for t in range(4) if 6 in stream.classes(t))  # label 3 is the seventh to come
    assert rows(stream.training(t), 6) | rows(stream.validation(t), 6) == of_label_3


def test_training_and_validation_are_disjoint_and_together_the_whole_class() -> None:
    stream = opened("quickdraw-b50-t5")
    places = np.arange(80) * 3
    for fraction in (0.2, 0.001, 0.999):
        training, validation = split_class(places, label=5, seed=1, fraction=fraction)
        assert len(training) and len(validation)
        assert sorted([*training, *validation]) == places.tolist()
    total = sum(len(stream.training(t)) + len(stream.validation(t)) for t in range(6))
    assert total == len(stream.raw_labels)


def test_split_of_a_class_is_fixed_for_ever() -> None:
    # The identity of a stream names only the split's seed and fraction, so the rule itself must never change.
    _, validation = split_class(np.arange(50), label=3, seed=7, fraction=0.2)
    by_hand = sorted(range(50), key=lambda place: hashlib.sha256(b"validation/7/3/%d" % place).hexdigest())[:10]
    assert validation.tolist() == sorted(by_hand) == [4, 5, 9, 10, 19, 26, 36, 39, 41, 47]


def test_split_of_a_class_does_not_change_with_order_or_neighbours() -> None:
    one, other = opened("quickdraw-b50-t5"), opened("quickdraw-b10-t9", class_order="numpy-1993", order_seed=3)
    for label in (0, 41, 99):
        found = []
        for stream in (one, other):
            c = stream.class_order.index(label)
            t = next(t for t in range(stream.horizon + 1) if c in stream.classes(t))
            found.append(rows(stream.validation(t), c))
        assert found[0] == found[1]


def test_split_seed_and_class_change_the_split() -> None:
    places = np.arange(1000)
    splits = {tuple(split_class(places, label, seed, 0.2)[1]) for label in range(3) for seed in range(3)}
    assert len(splits) == 9


def test_identity_is_plain_json_and_ends_at_its_increment() -> None:
    identity = opened().identity(1)
    assert json.loads(json.dumps(identity)) == identity
    assert [len(classes) for classes in identity["classes"]] == [4, 2]


def test_streams_with_a_common_start_have_equal_identities_there() -> None:
    one = opened(class_order=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    other = opened(class_order=(0, 1, 2, 3, 4, 5, 8, 9, 7, 6))
    assert one.identity(1) == other.identity(1)
    assert one.identity(2) != other.identity(2)
    longer = opened("fashion-b4-t2", class_order=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    assert one.identity(0) == longer.identity(0) and one.identity(1) != longer.identity(1)


def test_identities_of_stored_stages_have_not_moved() -> None:
    # Stages are found by keys made of these: a field that came later is left out where it says what was done before.
    assert opened().identity(0)["preprocessing"] == {"mean": [0.286], "std": [0.353], "crop_padding": 2, "flip": True}
    assert DATASETS["cifar100"].preprocessing.identity() == {
        "mean": [0.507, 0.487, 0.441],
        "std": [0.267, 0.256, 0.276],
        "crop_padding": 4,
        "flip": True,
    }
    assert DATASETS["cub200"].preprocessing.identity() == {
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "crop_padding": 0,
        "flip": True,
        "stored_size": 256,
        "seen_size": 224,
        "crop": "random",
    }


def test_number_of_training_images_is_known_without_them() -> None:
    stream = opened("quickdraw-b50-t5")
    assert [stream.n_training(t) for t in range(6)] == [len(stream.training(t)) for t in range(6)]


def test_identity_changes_with_the_split_seed_and_the_data() -> None:
    assert opened().identity(0) != opened(split_seed=1).identity(0)
    assert opened().fingerprint != opened("quickdraw-b50-t5").fingerprint


def test_identity_does_not_change_with_how_the_same_order_was_named() -> None:
    seeded = opened(order_seed=4)
    assert seeded.identity(3) == opened(class_order=seeded.class_order, order_seed=9).identity(3)


def test_fingerprint_is_the_hash_of_pixels_and_labels() -> None:
    stream = opened()
    content = b"uint8 (10000, 1, 28, 28) int64" + stream.raw_images.tobytes() + stream.raw_labels.tobytes()
    assert stream.fingerprint == hashlib.sha256(content).hexdigest()


def test_fingerprint_changes_with_one_pixel_or_label() -> None:
    stream = opened()
    images, labels = stream.raw_images.copy(), stream.raw_labels.copy()
    images[777, 0, 14, 14] ^= 1
    labels[777] += 1
    changed = [(images, stream.raw_labels), (stream.raw_images, labels)]
    assert stream.fingerprint not in {RawImages(*raw, stream.class_names).fingerprint() for raw in changed}


def test_pickled_stream_shares_its_images_and_works_on_read_only_memory() -> None:
    stream = opened()
    buffers: list[pickle.PickleBuffer] = []
    inside = pickle.dumps(stream, protocol=5, buffer_callback=buffers.append)
    assert len(inside) < 10_000  # the images travel outside
    shared = [bytes(buffer.raw()) for buffer in buffers]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy = pickle.loads(inside, buffers=shared)
        part = copy.training(1)
        part.images.zero_()  # what is handed out is a copy
    assert not copy.raw_images.flags.owndata and not copy.raw_images.flags.writeable
    assert torch.equal(copy.training(1).images, stream.training(1).images)
    assert copy.identity(3) == stream.identity(3)


def test_damaged_or_missing_archive_ends_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "fashion_train.npz"
    with pytest.raises(TuneCLError, match=r"fashion_train\.npz: the package's data file is missing; install"):
        read_archive(path)
    content = (DATA / "fashion_train.npz").read_bytes()
    damaged = [content[:1000], b"", b"text", content[:50_000] + b"\0" * 100 + content[50_100:]]
    for part in damaged:
        path.write_bytes(part)
        with pytest.raises(TuneCLError, match=r"fashion_train\.npz: the package's data file is damaged"):
            read_archive(path)


@pytest.mark.parametrize("name", ["fashion", "quickdraw"])
def test_normalisation_constants_fit_the_shipped_images(name: str) -> None:
    pixels = np.load(DATA / f"{name}_train.npz")["images"] / 255
    constants = DATASETS[name].preprocessing
    assert pixels.mean() == pytest.approx(constants.mean[0], abs=1.1e-3)
    assert pixels.std() == pytest.approx(constants.std[0], abs=1.1e-3)


def test_streams_open_where_no_test_data_are_installed(tmp_path: Path) -> None:
    package = Path(tune_cl.__file__).parent
    shutil.copytree(package, tmp_path / "tune_cl", ignore=shutil.ignore_patterns("heldout", "__pycache__"))
    assert not list(tmp_path.rglob("*test*.npz"))
    script = (
        "import sys, tune_cl; from tune_cl.streams import open_stream; from tune_cl.records import StreamRecord\n"
        "for name in ('fashion-b4-t3', 'quickdraw-b50-t5'):\n"
        "    stream = open_stream(StreamRecord(name=name)); print(len(stream.training(1)), len(stream.validation(1)))\n"
        "print(tune_cl.__file__); print('tune_cl.heldout' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    location = str(tmp_path / "tune_cl" / "__init__.py")
    assert done.stdout.splitlines() == ["1600 400", "640 160", location, "False"]


def test_images_lie_in_memory_alike_whether_read_here_or_received_from_another_process() -> None:
    stream = open_stream(StreamRecord(name="fashion-b4-t3"))
    received = pickle.loads(pickle.dumps(stream, protocol=5))
    for t in range(stream.horizon + 1):
        here, there = stream.training(t).images, received.training(t).images
        assert here.stride() == there.stride()
        assert torch.equal(here, there)
