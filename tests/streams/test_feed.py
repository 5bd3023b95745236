"""Batches on a device: the same whatever the number of workers and the step that is asked for first."""

import gc
import multiprocessing
from pathlib import Path

import image_trees as trees
import pytest
import torch

from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams import Batches, Feed, ImageSource, LabelledImages, RandomKey, in_turn, open_stream

CPU = torch.device("cpu")
PLACE = RandomKey(3, 1, "classifier")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageSource:
    """The 50 training images of a base task, one of each class."""
    trees.shrink(monkeypatch)
    trees.write_imagenet(tmp_path, per_class=2, classes=100)
    (tmp_path / "imagenet").rename(tmp_path / "imagenet100")
    return open_stream(StreamRecord(name="imagenet100-b50-t5"), tmp_path, accept_modified_data=True).training(0)


def batches(source: ImageSource) -> Batches:
    return Batches(len(source), 8, PLACE)


def in_memory(source: ImageSource) -> LabelledImages:
    return LabelledImages(source.gather(torch.arange(len(source))), source.labels)


def same(one: tuple[torch.Tensor, torch.Tensor], other: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("start", [0, 5])
def test_a_step_gets_what_its_indices_name(files: ImageSource, workers: int, start: int) -> None:
    whole, indices = in_memory(files), batches(files)
    feed = Feed(files, batches(files), CPU, workers)
    for step in range(start, start + 12):  # over the end of an epoch, at step 7
        index = indices.indices(step)
        assert same(feed.at(step), (whole.images[index], whole.labels[index]))
    feed.close()
    assert not multiprocessing.active_children()


def test_steps_may_be_asked_for_in_any_order(files: ImageSource) -> None:
    expected = Feed(in_memory(files), batches(files), CPU)
    feed = Feed(files, batches(files), CPU, workers=1)
    for step in (3, 4, 5, 5, 2, 9, 10, 0, 1):
        assert same(feed.at(step), expected.at(step))
    feed.close()


def test_workers_start_at_the_second_step_only(files: ImageSource) -> None:
    feed = Feed(files, batches(files), CPU, workers=2)
    feed.at(4)
    assert not multiprocessing.active_children()
    feed.at(5)
    assert len(multiprocessing.active_children()) == 2
    feed.close()
    assert not multiprocessing.active_children()


def test_images_in_memory_need_no_workers(files: ImageSource) -> None:
    feed = Feed(in_memory(files), batches(files), CPU, workers=2)
    feed.at(0), feed.at(1)
    assert not multiprocessing.active_children()


def test_workers_end_with_the_feed(files: ImageSource) -> None:
    feed = Feed(files, batches(files), CPU, workers=1)
    feed.at(0), feed.at(1)
    del feed
    gc.collect()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named_in_one_sentence(files: ImageSource, workers: int) -> None:
    files.files.path(int(batches(files).indices(3)[2])).write_bytes(b"nothing")
    feed = Feed(files, batches(files), CPU, workers)
    for step in range(3):
        feed.at(step)
    with pytest.raises(TuneCLError, match=r"^[^\n]*\.JPEG: cannot be decoded as an image[^\n]*$"):
        feed.at(3)
    feed.close()
    assert not multiprocessing.active_children()


def test_torchs_own_generator_is_left_alone(files: ImageSource) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    feed = Feed(files, batches(files), CPU, workers=1)
    feed.at(0), feed.at(1)
    feed.close()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_all_images_come_once_in_their_order(files: ImageSource, workers: int) -> None:
    whole = in_memory(files)
    for source in (files, whole):
        parts = list(in_turn(source, 16, CPU, workers))
        assert [len(labels) for _, labels in parts] == [16, 16, 16, 2]
        assert torch.equal(torch.cat([images for images, _ in parts]), whole.images)
        assert torch.equal(torch.cat([labels for _, labels in parts]), whole.labels)
    assert not multiprocessing.active_children()


def test_whoever_stops_early_leaves_no_workers(files: ImageSource) -> None:
    for step, _ in enumerate(in_turn(files, 8, CPU, workers=1)):
        if step == 2:
            break
    gc.collect()
    assert not multiprocessing.active_children()
