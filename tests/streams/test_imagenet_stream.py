"""ImageNet and ImageNet-Subset as folders of classes: labels, the subset, counts, damage, exemplars."""

import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import image_trees as trees
import numpy as np
import pytest
import torch

from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams import FileImages, Stream, imagenet_subset, join, open_stream

NAMES = ("imagenet-b500-t5", "imagenet100-b50-t5")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    trees.shrink(monkeypatch)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with ImageNet's training half, two images a class, and a validation half that cannot be opened."""
    root = tmp_path_factory.mktemp("imagenet")
    trees.write_imagenet(root, per_class=2)
    (root / "imagenet" / "val").write_text("whoever lists it fails")
    return root


def opened(root: Path, name: str, **record: object) -> Stream:
    return open_stream(StreamRecord(name=name, **record), root, accept_modified_data=True)  # type: ignore[arg-type]


def colours(part: FileImages, places: list[int]) -> list[tuple[int, int, int]]:
    return [trees.told(image) for image in part.gather(torch.tensor(places)).numpy()]


def test_a_label_is_the_place_among_the_sorted_wnids(root: Path) -> None:
    order = tuple(reversed(range(1000)))
    stream = opened(root, "imagenet-b500-t5", class_order=order)
    assert stream.class_names == tuple(trees.wnid(c) for c in order)
    assert stream.scale == "imagenet" and stream.image_shape == (3, 12, 12) and not stream.resident
    for t in (0, 5):
        training, validation = stream.training(t), stream.validation(t)
        assert len(training) == len(validation) == len(stream.classes(t)) == stream.n_training(t)
        for place in (0, 17, len(training) - 1):
            c = order[int(training.labels[place])]
            both = {colours(part, [place])[0] for part in (training, validation)}
            assert both == {trees.colour(c, 0), trees.colour(c, 1)}


def test_decoded_batches_have_the_stored_size_and_one_memory_layout(root: Path) -> None:
    images = opened(root, "imagenet-b500-t5").training(0).gather(torch.tensor([3, 3, 400]))
    assert images.shape == (3, 3, 16, 16) and images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])


def test_the_subset_is_the_published_one() -> None:
    assert hashlib.sha256(json.dumps(list(imagenet_subset())).encode()).hexdigest()[:16] == "c1f5bd1628c02414"


def test_subset_labels_are_places_among_its_own_sorted_wnids(root: Path) -> None:
    stream = opened(root, "imagenet100-b50-t5", class_order="numpy-1993")
    wnids = [trees.wnid(c) for c in imagenet_subset()]
    assert stream.class_order[:3] == (68, 56, 78)
    assert stream.class_names[:3] == (wnids[68], wnids[56], wnids[78])
    assert colours(stream.training(0), [0])[0] in {trees.colour(imagenet_subset()[68], number) for number in (0, 1)}
    assert {int(label) for label in stream.training(0).labels} == set(range(50))


def test_a_folder_of_the_subset_alone_is_the_same_stream(root: Path, tmp_path: Path) -> None:
    for c in imagenet_subset():
        shutil.copytree(root / "imagenet/train" / trees.wnid(c), tmp_path / "imagenet100/train" / trees.wnid(c))
    alone, whole = opened(tmp_path, "imagenet100-b50-t5"), opened(root, "imagenet100-b50-t5")
    assert alone.identity(5) == whole.identity(5) and alone.class_names == whole.class_names


def test_both_published_numbers_of_classes_are_demanded_with_any_flag(root: Path, tmp_path: Path) -> None:
    for c in range(99):
        (tmp_path / "imagenet/train" / trees.wnid(c)).mkdir(parents=True)
        (tmp_path / "imagenet100/train" / trees.wnid(c)).mkdir(parents=True)
    (tmp_path / "imagenet/train/notes").mkdir()
    with pytest.raises(TuneCLError, match=r"imagenet/train: holds 99 class folders .* imagenet needs 1000"):
        opened(tmp_path, "imagenet-b500-t5")
    with pytest.raises(TuneCLError, match=r"imagenet100/train: holds 99 class folders .* imagenet100 needs 100"):
        opened(tmp_path, "imagenet100-b50-t5")


@pytest.mark.parametrize("name", NAMES)
def test_other_numbers_of_images_need_the_flag(root: Path, name: str) -> None:
    with pytest.raises(TuneCLError, match=r"n\d{8}: holds 2 files \*\.JPEG where .* 732 to 1300; .*accept-modified"):
        open_stream(StreamRecord(name=name), root)


def test_a_damaged_or_missing_image_is_named_when_it_is_asked_for(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "data")
    stream = opened(tmp_path / "data", "imagenet100-b50-t5")
    training = stream.training(0)
    training.files.path(4).write_bytes(b"\xff\xd8\xff\xe0 no more")
    training.files.path(9).unlink()
    with pytest.raises(TuneCLError, match=rf"{training.files.path(4).name}: cannot be decoded as an image"):
        training.gather(torch.tensor([3, 4]))
    with pytest.raises(TuneCLError, match=rf"{training.files.path(9).name}: no such file"):
        training.gather(torch.tensor([9]))
    training.gather(torch.tensor([3, 5]))


def test_hidden_files_are_no_images(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "data")
    folder = tmp_path / "data" / "imagenet" / "train" / trees.wnid(3)
    image = next(folder.iterdir())
    (folder / f"._{image.name}").write_bytes(b"\x00\x05\x16\x07 what macOS keeps beside a copied file")
    (folder / ".hidden.JPEG").mkdir()
    (tmp_path / "data" / "imagenet" / "train" / f"._{trees.wnid(3)}").touch()
    assert opened(tmp_path / "data", NAMES[0]).fingerprint == opened(root, NAMES[0]).fingerprint


@pytest.mark.parametrize("kind", sorted(trees.NO_IMAGES))
def test_what_is_named_like_an_image_and_cannot_be_one_is_named_when_the_folder_is_listed(
    root: Path, tmp_path: Path, kind: str
) -> None:
    shutil.copytree(root, tmp_path / "data")
    make, words = trees.NO_IMAGES[kind]
    make(tmp_path / "data" / "imagenet" / "train" / trees.wnid(imagenet_subset()[7]) / "x.JPEG")
    for name in NAMES:
        with pytest.raises(TuneCLError, match=rf"imagenet/train/n\d+/x\.JPEG: {words}"):
            opened(tmp_path / "data", name)


def test_a_class_without_images_and_one_of_two_names_are_refused(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "data")
    folders = [tmp_path / "data" / "imagenet" / "train" / trees.wnid(imagenet_subset()[i]) for i in (3, 4)]
    for image in folders[0].iterdir():
        image.rename(image.with_suffix(".jpeg"))
    with pytest.raises(TuneCLError, match=rf"{folders[0].name}: holds no image, whose name would end in \.JPEG"):
        opened(tmp_path / "data", NAMES[1])
    shutil.rmtree(folders[0])
    folders[0].symlink_to(folders[1].name)
    for name in NAMES:
        with pytest.raises(TuneCLError, match=rf"{folders[0].name} and {folders[1].name} are one folder"):
            opened(tmp_path / "data", name)
    folders[0].unlink()
    folders[1].rename(tmp_path / "elsewhere")
    shutil.copytree(tmp_path / "elsewhere", folders[0])
    folders[1].symlink_to(tmp_path / "elsewhere")  # a class may lie elsewhere
    assert len(opened(tmp_path / "data", NAMES[1]).raw_labels) == 200


@pytest.mark.parametrize("name", [b"\xff.JPEG", b"a\nb.JPEG"])
def test_a_file_name_that_is_no_text_can_be_told(root: Path, tmp_path: Path, name: bytes) -> None:
    shutil.copytree(root, tmp_path / "data")
    folder = tmp_path / "data" / "imagenet" / "train" / trees.wnid(0)
    (folder / os.fsdecode(name)).write_bytes(b"no image")
    stream = opened(tmp_path / "data", NAMES[0], class_order=tuple(range(1000)))
    parts = [part for part in (stream.training(0), stream.validation(0)) if isinstance(part, FileImages)]
    (files,) = [part.files for part in parts if any(part.files.path(i).name == os.fsdecode(name) for i in range(3))]
    with pytest.raises(TuneCLError, match=r"(\\xff|a\\nb)\.JPEG: cannot be decoded") as told:
        files.decode(range(3))
    assert str(told.value).isprintable() and str(told.value).encode()


def test_fingerprint_is_the_hash_of_paths_sizes_and_labels(root: Path) -> None:
    stream = opened(root, "imagenet-b500-t5")
    digest = hashlib.sha256(b"path size label\n")
    folder = root / "imagenet" / "train"
    rows = [(f"{path.parent.name}/{path.name}".encode(), path) for path in folder.glob("*/*")]
    wnids = sorted(path.name for path in folder.iterdir())
    for name, path in sorted(rows):
        digest.update(b"%s\0%d\0%d\n" % (name, path.stat().st_size, wnids.index(path.parent.name)))
    assert stream.fingerprint == digest.hexdigest()


def test_a_pickled_stream_sends_paths_out_of_band(root: Path) -> None:
    stream = opened(root, "imagenet-b500-t5")
    buffers: list[pickle.PickleBuffer] = []
    inside = pickle.dumps(stream, protocol=5, buffer_callback=buffers.append)
    assert len(inside) < 40_000  # class names and order
    copy = pickle.loads(inside, buffers=[bytes(buffer.raw()) for buffer in buffers])
    places = torch.tensor([0, 100])
    assert torch.equal(copy.training(0).gather(places), stream.training(0).gather(places))
    assert copy.identity(2) == stream.identity(2)


def test_subsets_and_joined_sources_are_the_images_that_they_name(root: Path) -> None:
    stream = opened(root, "imagenet100-b50-t5")
    first, second = stream.training(0), stream.training(1)
    both = join([first.subset(torch.tensor([7, 2])), second])
    assert isinstance(both, FileImages) and len(both) == 2 + len(second)
    assert torch.equal(
        both.gather(torch.tensor([1, 4])),
        torch.cat([first.gather(torch.tensor([2])), second.gather(torch.tensor([2]))]),
    )
    assert both.labels.tolist() == [first.labels[7], first.labels[2], *second.labels.tolist()]


def test_exemplars_are_training_images_by_class_and_position(root: Path, tmp_path: Path) -> None:
    trees.write_cub(tmp_path, training=6, test=0)
    labels, positions = torch.tensor([9, 3, 3, 120]), torch.tensor([0, 4, 1, 2])
    for stream in (
        open_stream(StreamRecord(name="cub200-b100-t1"), tmp_path, accept_modified_data=True),
        open_stream(StreamRecord(name="fashion-b4-t3")),
        opened(root, "imagenet-b100-t9"),
    ):
        known = labels < stream.n_classes
        counts = 1 if stream.dataset == "imagenet" else 5  # one of two; five of six, and more
        chosen, at = labels[known], positions[known] % counts
        memory = stream.exemplars(chosen, at)
        assert memory.labels.tolist() == chosen.tolist()
        for i, (c, position) in enumerate(zip(chosen.tolist(), at.tolist(), strict=True)):
            t = next(t for t in range(stream.horizon + 1) if c in stream.classes(t))
            training = stream.training(t)
            place = torch.nonzero(training.labels == c).flatten()[position : position + 1]
            assert torch.equal(memory.gather(torch.tensor([i])), training.gather(place))
    with pytest.raises(IndexError):
        stream.exemplars(torch.tensor([0]), torch.tensor([1]))


def test_raw_labels_are_grouped_by_class(root: Path) -> None:
    assert np.array_equal(opened(root, "imagenet-b500-t5").raw_labels, np.repeat(np.arange(1000), 2))
