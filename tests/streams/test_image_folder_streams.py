"""A folder of images per class as a data set: what is read and measured of it, and what is refused in a sentence."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_folders import write_class, write_folder, write_undivided
from PIL import Image

from tune_cl.errors import TuneCLError
from tune_cl.records import ImageFolder, StreamRecord
from tune_cl.streams import FileImages, Stream, open_stream, own_data, with_own_data


def record(source: Any, stream: str = "glyphs-b2-t2", **settings: Any) -> StreamRecord:
    return with_own_data(StreamRecord(name=stream), {"glyphs": source}, **settings)[0]


def opened(source: Any, **settings: Any) -> Stream:
    return open_stream(record(source, **settings))


def measured(source: Any, **settings: Any) -> ImageFolder:
    return own_data("glyphs", source, **settings).folder


def refusal(source: Any, name: str = "glyphs") -> str:
    with pytest.raises(TuneCLError) as caught:
        own_data(name, source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_training_images_are_those_of_train_and_test_is_not_looked_at(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "glyphs")
    shutil.rmtree(root / "test")
    (root / "test").write_text("whoever lists this fails")
    stream = opened(root)
    assert sorted(stream.class_names) == ["A", "B", "E", "K"] and stream.image_shape == (1, 28, 28)
    counts = {name: int((stream.raw_labels == label).sum()) for label, name in enumerate("ABEK")}
    assert counts == {"A": 12, "B": 14, "E": 16, "K": 18}
    with Image.open(root / "train" / "B" / "003.png") as image:  # cut to the central square, 28 of 34 rows
        expected = np.asarray(image)[3:31]
    assert np.array_equal(stream.raw_images[12 + 3, 0], expected)


def test_each_class_has_its_share_held_back_however_uneven_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, n in (("A", 2), ("B", 10), ("E", 50), ("K", 100)):
        write_class(tmp_path / "train" / name, n, rng)
    stream = opened({"folder": tmp_path, "validation_share": 0.3})
    sizes = [size for t in range(3) for size in stream.class_sizes(t)]
    assert dict(zip(stream.class_names, sizes, strict=True)) == {"A": 1, "B": 7, "E": 35, "K": 70}
    assert sum(len(stream.validation(t)) for t in range(3)) == 1 + 3 + 15 + 30


def test_mean_and_std_are_those_of_the_training_images(tmp_path: Path) -> None:
    root = write_folder(tmp_path, colour=True, side=32)
    about = measured(root)
    pixels = np.stack(opened(root).raw_images) / 255
    assert about.mean == pytest.approx(pixels.mean((0, 2, 3)), abs=6e-5)
    assert about.std == pytest.approx(pixels.std((0, 2, 3)), abs=6e-5)
    for path in (root / "test").rglob("*.jpg"):
        Image.new("RGB", (32, 38), (255, 0, 0)).save(path)
    assert measured(root) == about


def test_grey_is_told_from_colour_by_the_pixels(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    for path in root.rglob("*.png"):  # saved as RGB, as many tools do
        Image.open(path).convert("RGB").save(path)
    assert measured(root).channels == 1
    assert opened(root).raw_images.shape[1] == 1
    Image.new("RGB", (28, 28), (200, 0, 0)).save(root / "train" / "A" / "red.png")
    assert measured(root).channels == 3
    about = measured({"folder": str(root), "channels": 1})
    assert about.channels == 1 and len(about.mean) == 1
    assert opened({"folder": str(root), "channels": 1}).raw_images[12].max() == 60  # luminance: 0.299 * 200


@pytest.mark.parametrize(
    ("side", "colour", "gpu", "scale", "size", "stored"),
    [
        (20, False, False, "small28", 28, 28),
        (28, False, True, "small28", 28, 28),
        (32, True, False, "small32", 32, 32),
        (32, True, True, "cifar", 32, 32),
        (64, False, False, "small32", 32, 32),
        (130, True, False, "small32", 32, 32),
        (130, True, True, "cub", 224, 256),
    ],
)
def test_networks_are_chosen_by_size_colour_and_machine_and_it_is_said(
    tmp_path: Path,
    side: int,
    colour: bool,
    gpu: bool,
    scale: str,
    size: int,
    stored: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    root = write_folder(tmp_path, "AB", training=3, test=1, side=side, colour=colour)
    found = own_data("glyphs", root, gpu=gpu)
    assert (found.folder.scale, found.folder.size, found.folder.stored_size) == (scale, size, stored)
    said = found.sentence
    assert said.startswith(f"glyphs: 8 training images of 2 classes (3 to 5 in each), {'colour' if colour else 'grey'}")
    assert f"about {side} pixels" in said and f"{size} x {size} pixels, never mirrored, at scale {scale}" in said
    assert ("there is no GPU here" in said) == (not gpu and scale != "small28")
    asked = measured(root, scale="imagenet")
    assert (asked.scale, asked.size, asked.crop) == ("imagenet", 224, "resized")


def test_settings_of_a_file_are_beside_it_and_hold(tmp_path: Path) -> None:
    write_folder(tmp_path / "images")
    file = tmp_path / "glyphs.yaml"
    file.write_text("folder: images\nsize: 24\nmirror: true\ncrop: random\nvalidation_share: 0.25\n")
    about = measured(file)
    assert about.folder == str(tmp_path / "images") and (about.size, about.stored_size) == (24, 27)
    stream = opened(file)
    preprocessing = stream.preprocessing
    assert preprocessing.flip and (preprocessing.crop, preprocessing.seen_size) == ("random", 24)
    assert stream.image_shape == (1, 24, 24) and stream.raw_images.shape[2:] == (27, 27)
    plain = opened(tmp_path / "images").preprocessing
    assert not plain.flip and (plain.crop, plain.crop_padding) == ("pad", 3)
    assert opened({"folder": str(tmp_path / "images"), "crop": "none"}).preprocessing.crop_padding == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("folder: images\nsise: 24\n", "glyphs.yaml: sise: unknown key; did you mean 'size'?"),
        ("size: 24\n", "glyphs.yaml: folder: missing"),
        ("folder: images\nsize: 4\n", "glyphs.yaml: size: Input should be greater than or equal to 8"),
        ("folder: images\nmirror: perhaps\n", "glyphs.yaml: mirror:"),
        ("folder: images\nchannels: 2\n", "channels: 2 is neither 1, for grey, nor 3"),
        ("folder: images\nvalidation_share: 1.0\n", "validation_share: Input should be less than 1"),
        ("folder: images\ncrop: middle\n", "crop: Input should be 'none', 'shift', 'random' or 'resized'"),
        ("folder: images\ntest_share: 0.5\n", "images has train/ and test/ already; leave the setting out"),
        ("folder: nowhere\n", "nowhere: no such folder; name one with images in a folder per class"),
        ("- images\n", "glyphs.yaml: not a mapping of `key: value` lines"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_its_file(tmp_path: Path, text: str, complaint: str) -> None:
    write_folder(tmp_path / "images", "AB", training=3, test=1)
    file = tmp_path / "glyphs.yaml"
    file.write_text(text)
    assert complaint in refusal(file)


def _remove_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _only_text(folder: Path) -> None:
    _remove_all(folder)
    (folder / "notes.txt").write_text("no image")


def _one_left(folder: Path) -> None:
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "damaged": (
        lambda folder: (folder / "001.png").write_bytes(b"no image"),
        "B/001.png: cannot be decoded as an image",
    ),
    "cut off": (
        lambda folder: (folder / "001.png").write_bytes((folder / "001.png").read_bytes()[:-300]),
        "B/001.png: cannot be decoded as an image",
    ),
    "empty file": (lambda folder: (folder / "001.png").write_bytes(b""), "B/001.png: an empty file where an image"),
    "folder": (lambda folder: (folder / "x.png").mkdir(), "B/x.png: a folder where an image should be"),
    "dead link": (lambda folder: (folder / "x.png").symlink_to("gone"), "B/x.png: a link to a file that is not there"),
    "empty class": (_remove_all, "train/B: an empty class: no file in it ends in .png, .jpg"),
    "no image": (_only_text, "train/B: an empty class: .* \\(it has notes.txt, for one\\)"),
    "one image": (_one_left, "train/B: holds a single image; a class needs one to train on and one to validate on"),
    "one class": (shutil.rmtree, "train/A: is the only class; a stream needs at least 2"),
    "no class": (
        lambda folder: [shutil.rmtree(folder.parent / name) for name in "AB"],
        "holds no folder of images per class",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_wrong_with_the_images_is_said_with_the_path(tmp_path: Path, kind: str) -> None:
    root = write_folder(tmp_path / "images", "AB", training=4, test=1)
    breaks, complaint = BROKEN[kind]
    breaks(root / "train" / "B")
    if kind == "no class":
        shutil.rmtree(root / "test")
    with pytest.raises(TuneCLError, match=complaint):
        own_data("glyphs", root)


def test_a_name_is_letters_and_that_of_no_other_data_set(tmp_path: Path) -> None:
    write_folder(tmp_path, "AB", training=3, test=1)
    assert "fashion: is the name of a data set that tune_cl knows already" in refusal(tmp_path, "fashion")
    assert "unfit as a name" in refusal(tmp_path, "my-glyphs")
    with pytest.raises(TuneCLError, match=r"data set 'glyps' is unknown; .*did you mean 'glyphs'\?"):
        with_own_data(StreamRecord(name="glyps-b2-t2"), {"glyphs": str(tmp_path)})
    with pytest.raises(TuneCLError, match=r"b2 is impossible, since glyphs has 2 classes"):
        opened(tmp_path)


def test_a_folder_without_halves_is_divided_by_contents_alone(tmp_path: Path) -> None:
    root = write_undivided(tmp_path / "glyphs", n=60)
    stream = opened(root)
    n_test = 240 - len(stream.raw_labels)
    assert 25 <= n_test <= 72 and min(np.bincount(stream.raw_labels)) >= 35  # 20 % of 240 by chance: 48, 6.2
    trained = {image.tobytes() for image in stream.raw_images}
    for number, path in enumerate(sorted(root.rglob("*.png"))):  # another order of names
        path.rename(path.with_name(f"{(number * 37) % 1009:04d}-{number}.png"))
    assert {image.tobytes() for image in opened(root).raw_images} == trained
    write_class(root / "A", 30, np.random.default_rng(9))  # 000.png and on: new images
    assert trained <= {image.tobytes() for image in opened(root).raw_images}


def test_a_search_needs_no_image_of_the_half_to_test_on(tmp_path: Path) -> None:
    root = write_undivided(tmp_path / "glyphs", n=60)
    stream = opened(root)
    kept = {os.fsdecode(path) for path in record_files(root)}
    for path in list(root.glob("*/*.png")):
        if path.relative_to(root).as_posix() not in kept:
            path.unlink()
    assert len(list(root.glob("*/*.png"))) == len(kept)
    again = opened(root)
    lost = len(stream.raw_labels) - len(again.raw_labels)
    assert lost == 4  # of each class its smallest hash, since something must be left to test on
    assert {image.tobytes() for image in again.raw_images} <= {image.tobytes() for image in stream.raw_images}


def record_files(root: Path) -> list[bytes]:
    """The training files of a folder."""
    images = opened({"folder": str(root), "in_memory": False}).raw_images
    return images.paths.tolist()  # type: ignore[union-attr]


def test_copies_of_an_image_are_in_one_half(tmp_path: Path) -> None:
    root = write_undivided(tmp_path / "glyphs", n=30)
    for path in list(root.glob("*/*.png")):
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    paths = {os.fsdecode(path) for path in record_files(root)}
    assert 0 < len(paths) < 240
    for path in paths:
        folder, _, name = path.partition("/")
        twin = name.removeprefix("copy-") if name.startswith("copy-") else f"copy-{name}"
        assert f"{folder}/{twin}" in paths


def test_a_class_too_small_to_divide_is_named(tmp_path: Path) -> None:
    root = write_undivided(tmp_path / "glyphs", n=5)
    for path in sorted((root / "E").iterdir())[2:]:
        path.unlink()
    assert "glyphs/E: holds 2 different images; a class needs at least 3" in refusal(root)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    root = write_undivided(tmp_path / "vehicles", "AB", n=20)
    (root / "A").rename(root / "train")
    about = measured(root)
    assert (about.layout, about.n_classes, about.test_share) == ("one", 2, 0.2)


def test_changed_contents_change_the_fingerprint_though_size_and_time_are_the_same(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    for path in root.rglob("*.png"):
        Image.open(path).save(path.with_suffix(".bmp"))  # not compressed: other pixels, the same size
        path.unlink()
    image = root / "train" / "A" / "003.bmp"
    for path in root.rglob("*.bmp"):
        os.utime(path, (1, 1))
    before, status = opened(root).fingerprint, image.stat()
    assert opened(root).fingerprint == before
    shutil.copy(root / "train" / "K" / "000.bmp", image)
    os.utime(image, (1, 1))
    assert (image.stat().st_size, image.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert opened(root).fingerprint != before


def test_files_are_hashed_and_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_folder(tmp_path)
    monkeypatch.setattr("tune_cl.streams._contents._YOUNG", 0)
    first = opened(root)
    kept = sorted(path.name for path in (root / ".tune_cl-cache").iterdir())
    assert kept == ["contents-train.npz", f"glyphs-{first.fingerprint[:16]}-28-grey-v2.npy"]

    def fail(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("hashlib.file_digest", fail)
    again = opened(root)
    assert again.fingerprint == first.fingerprint and np.array_equal(again.raw_images, first.raw_images)
    assert not again.raw_images.flags.writeable  # type: ignore[union-attr]  # mapped


def test_a_damaged_index_is_made_again(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    first = opened(root)
    images = np.array(first.raw_images)  # a copy: the file that they are mapped from is cut off
    for path in (root / ".tune_cl-cache").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert opened(root).fingerprint == first.fingerprint
    assert np.array_equal(opened(root).raw_images, images)


def test_who_only_looks_leaves_nothing(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    looked = own_data("glyphs", root, only_look=True)
    assert not (root / ".tune_cl-cache").exists()
    assert own_data("glyphs", root) == looked


def test_large_data_are_decoded_when_they_are_asked_for(tmp_path: Path) -> None:
    root = write_folder(tmp_path, colour=True)
    whole, files = opened(root), opened({"folder": str(root), "in_memory": False})
    assert not files.resident
    assert files.identity(2) == whole.identity(2)
    streamed = files.training(0)
    assert isinstance(streamed, FileImages)
    index = torch.arange(len(streamed))
    assert torch.equal(streamed.gather(index), whole.training(0).gather(index))


def test_a_folder_that_is_not_there_any_more_is_asked_for_by_its_option(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "here")
    described = record(root)
    before = open_stream(described).fingerprint
    root.rename(tmp_path / "there")
    with pytest.raises(TuneCLError, match=r"glyphs: there is no folder .*/here on .*: --data-set glyphs=DIR"):
        open_stream(described)
    moved, sentence = with_own_data(described, {"glyphs": str(tmp_path / "there")})
    assert open_stream(moved).fingerprint == before and sentence == ""


def test_what_is_kept_of_a_read_only_folder_lies_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder(tmp_path / "glyphs")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("os.access", lambda path, mode: False)  # as for a person who is not root
    first = opened(root)
    assert not (root / ".tune_cl-cache").exists()
    kept = list((tmp_path / "cache").rglob("*.np?"))
    assert len(kept) == 2 and len({path.parent for path in kept}) == 1
    assert opened(root).fingerprint == first.fingerprint
