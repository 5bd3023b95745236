"""CUB-200-2011 in its original layout: labels, halves, damage, and the decoded copy that is kept."""

import shutil
from pathlib import Path

import image_trees as trees
import numpy as np
import pytest

from tune_cl.cli.main import main
from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams import LabelledImages, Stream, open_stream

LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    trees.shrink(monkeypatch)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with CUB's lists and training images; its test images have been deleted."""
    root = tmp_path_factory.mktemp("cub")
    folder = trees.write_cub(root, training=3, test=1)
    for image in folder.glob("images/*/*_0003.jpg"):
        image.unlink()
    return root


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    shutil.copytree(written / "CUB_200_2011", tmp_path / "data" / "CUB_200_2011")
    return tmp_path / "data"


def opened(root: Path, name: str = "cub200-b100-t10", **record: object) -> Stream:
    return open_stream(StreamRecord(name=name, **record), root, accept_modified_data=True)  # type: ignore[arg-type]


def test_labels_are_class_ids_less_one_and_images_those_to_train_on(written: Path) -> None:
    order = tuple(reversed(range(200)))
    stream = opened(written, class_order=order)
    assert stream.class_names[:2] == ("200.Bird_199", "199.Bird_198")
    assert stream.scale == "cub" and stream.image_shape == (3, 12, 12) and stream.resident
    assert np.bincount(stream.raw_labels).tolist() == [3] * 200
    seen = set()
    for t in (0, 10):
        for part in (stream.training(t), stream.validation(t)):
            assert isinstance(part, LabelledImages)
            assert part.images.shape == (len(part), 3, 16, 16)
            for image, label in zip(part.images.numpy(), part.labels.tolist(), strict=True):
                colours = {trees.colour(order[label], number): number for number in range(4)}
                seen.add((label, colours[trees.told(image)]))
    assert seen == {(c, number) for c in [*range(100), *range(190, 200)] for number in range(3)}  # 3 is a test image


def test_who_only_looks_decodes_nothing_and_leaves_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    before = sorted(root.rglob("*"))
    looked = open_stream(StreamRecord(name="cub200-b100-t10"), root, accept_modified_data=True, only_look=True)
    options = ["--data-root", str(root), "--accept-modified-data", "--results", str(root / "results"), "--dry-run"]
    assert main(["search", "--space", "finetune", "--stream", "cub200-b100-t10", *options]) == 0
    assert "Nothing was written." in capsys.readouterr().out
    assert sorted(root.rglob("*")) == before
    trained = opened(root)
    assert (looked.fingerprint, looked.identity(3)) == (trained.fingerprint, trained.identity(3))
    assert looked.class_sizes(3) == trained.class_sizes(3)


def test_training_and_validation_share_no_image_and_one_of_three_is_held_back(written: Path) -> None:
    stream = opened(written)
    for t in (0, 5):
        training, validation = stream.training(t), stream.validation(t)
        assert len(training) == 2 * len(validation) == 2 * len(stream.classes(t)) == stream.n_training(t)
        images = [image.numpy().tobytes() for part in (training, validation) for image in part.images]
        assert len(set(images)) == len(images)


def test_lists_of_another_length_need_the_flag(root: Path) -> None:
    record = StreamRecord(name="cub200-b100-t10")
    with pytest.raises(
        TuneCLError, match=r"images\.txt: lists 800 images where the published one lists 11788.*accept-"
    ):
        open_stream(record, root)


@pytest.mark.parametrize("name", LISTS)
def test_a_missing_list_is_named(root: Path, name: str) -> None:
    (root / "CUB_200_2011" / name).unlink()
    with pytest.raises(TuneCLError, match=rf"CUB_200_2011/{name}: no such file"):
        opened(root)


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("images.txt", "\n7 ", "\nseven ", r"images\.txt, line 7: 'seven .* is not '<id> <text>'"),
        ("images.txt", "\n7 ", "\n6 ", r"images\.txt, line 7: .* an id of its own"),
        ("train_test_split.txt", "\n7 1", "", r"train_test_split\.txt: does not name the same images .* \(id 7"),
        ("image_class_labels.txt", "\n7 7", "\n7 201", r"image 7 has the class '201', but they go from 1 to 200"),
        ("train_test_split.txt", "\n7 1", "\n7 yes", r"train_test_split\.txt, line 7: image 7 is in the half 'yes'"),
        ("image_class_labels.txt", "\n7 7", "\n7 ²", r"image 7 has the class '²'"),
        ("image_class_labels.txt", "\n7 7", "\n7 x", r"image 7 has the class 'x'"),
        ("classes.txt", "200 200.Bird_199\n", "", r"classes\.txt: must name the 200 classes"),
        (
            "images.txt",
            "\n7 ",
            "\n" + "7" * 5000 + " ",
            r"images\.txt, line 7: '77+… \(.* characters\) is not '<id> <text>'",
        ),
        ("image_class_labels.txt", "\n7 7", "\n7 " + "7" * 5000, r"image 7 has the class '77+… \(5002 characters\)"),
        ("image_class_labels.txt", "\n7 7", "\n7 007", r"labels\.txt, line 7: image 7 has the class '007'"),
        ("images.txt", "\n7 007.Bird_6/", "\n7 /etc/", r"images\.txt, line 7: '/etc/.*' is not '<class>/<file>'"),
        (
            "images.txt",
            "\n7 007.Bird_6/",
            "\n7 007.Bird_6/../",
            r"line 7: '007\.Bird_6/\.\./.*' is not '<class>/",
        ),
    ],
)
def test_a_malformed_list_ends_in_a_sentence(root: Path, name: str, old: str, new: str, complaint: str) -> None:
    path = root / "CUB_200_2011" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(TuneCLError, match=complaint):
        opened(root)


def test_a_missing_training_image_is_named(root: Path) -> None:
    next(root.glob("CUB_200_2011/images/042*/*_0001.jpg")).unlink()
    with pytest.raises(TuneCLError, match=r"042\.Bird_41/Bird_41_0001\.jpg: no such file"):
        opened(root)


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        (
            "image_class_labels.txt",
            "\n7 7\n",
            "\n7 8\n",
            r"labels\.txt, line 7: image 7 has the class 8, '008\.Bird_7', but line 7 of images\.txt has it in the "
            r"folder '007\.Bird_6'",
        ),
        (
            "images.txt",
            "\n207 007.Bird_6/Bird_6_0001.jpg\n",
            "\n207 007.Bird_6/Bird_6_0000.jpg\n",
            r"images\.txt, line 207: the image '007\.Bird_6/Bird_6_0000\.jpg' has the id 207, and in line 7 the id 7;",
        ),
        (
            "images.txt",
            "\n607 007.Bird_6/Bird_6_0003.jpg\n",
            "\n607 007.Bird_6/Bird_6_0000.jpg\n",
            r"line 607: the image '007\.Bird_6/Bird_6_0000\.jpg' has the id 607, and in line 7 the id 7;",
        ),
        (
            "classes.txt",
            "\n8 008.Bird_7\n",
            "\n8 007.Bird_6\n",
            r"classes\.txt, line 8: the class '007\.Bird_6' has the id 8, and in line 7 the id 7;",
        ),
        ("classes.txt", "\n8 008.Bird_7\n", "\n8 ..\n", r"classes\.txt, line 8: '\.\.' is no name of a folder"),
    ],
    ids=["label_against_folder", "image_twice", "image_in_both_halves", "class_twice", "class_outside"],
)
def test_lists_that_contradict_themselves_are_refused_with_the_line(
    root: Path, name: str, old: str, new: str, complaint: str
) -> None:
    path = root / "CUB_200_2011" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TuneCLError, match=complaint):
        opened(root)


def test_a_damaged_image_is_named_and_nothing_is_kept(root: Path) -> None:
    next(root.glob("CUB_200_2011/images/042*/*_0001.jpg")).write_bytes(b"no image")
    with pytest.raises(TuneCLError, match=r"Bird_41_0001\.jpg: cannot be decoded as an image \(.*put the original"):
        opened(root)
    assert not list(root.rglob("*.npy"))


@pytest.mark.parametrize("kind", sorted(trees.NO_IMAGES))
def test_what_cannot_be_an_image_is_named_before_any_is_decoded(root: Path, kind: str) -> None:
    next(root.glob("CUB_200_2011/images/001*/*_0000.jpg")).write_bytes(b"damaged, and first")
    path = next(root.glob("CUB_200_2011/images/042*/*_0001.jpg"))
    path.unlink()
    trees.NO_IMAGES[kind][0](path)
    with pytest.raises(TuneCLError, match=rf"Bird_41_0001\.jpg: {trees.NO_IMAGES[kind][1]}"):
        opened(root)


def test_a_truncated_image_is_not_taken_for_a_whole_one(root: Path) -> None:
    path = next(root.glob("CUB_200_2011/images/042*/*_0001.jpg"))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TuneCLError, match=r"Bird_41_0001\.jpg: cannot be decoded as an image \((?i:.*truncated)"):
        opened(root)


def test_images_are_decoded_once(root: Path) -> None:
    first = opened(root)
    for image in root.glob("CUB_200_2011/images/*/*.jpg"):
        image.write_bytes(b"\0" * image.stat().st_size)  # nobody looks into them again
    again = opened(root)
    assert np.array_equal(first.raw_images, again.raw_images) and not again.raw_images.flags.writeable
    assert first.fingerprint == again.fingerprint
    assert [path.parent.name for path in root.rglob("*.npy")] == [".tune_cl-cache"]


def test_a_damaged_kept_copy_is_made_again(root: Path) -> None:
    first = np.array(opened(root).raw_images)
    (kept,) = root.rglob("*.npy")
    kept.write_bytes(kept.read_bytes()[:1000])
    assert np.array_equal(opened(root).raw_images, first)
    assert kept.stat().st_size > first.nbytes


def test_a_copy_that_was_decoded_by_other_rules_is_made_anew_and_goes(root: Path) -> None:
    first = np.array(opened(root).raw_images)
    (kept,) = root.rglob("*.npy")
    earlier = kept.with_name(kept.name.replace("-v2.npy", "-v1.npy"))
    np.save(earlier, np.zeros_like(first))
    kept.unlink()
    assert np.array_equal(opened(root).raw_images, first)
    assert list(root.rglob("*.npy")) == [kept]


def test_where_nothing_can_be_kept_images_are_decoded_into_memory(root: Path) -> None:
    (root / ".tune_cl-cache").write_text("in the way")
    assert len(opened(root).raw_images) == 600
    assert not list(root.rglob("*.npy"))


def test_fingerprint_changes_with_a_files_size_name_or_class(root: Path) -> None:
    folder = root / "CUB_200_2011"
    found = [opened(root).fingerprint]
    with next(folder.glob("images/001*/*_0000.jpg")).open("ab") as file:
        file.write(b"\0")
    found.append(opened(root).fingerprint)
    image = folder / "images" / "001.Bird_0" / "Bird_0_0000.jpg"
    image.rename(folder / "images" / "002.Bird_1" / image.name)  # an image of another class, in both lists
    for name, old, new in (
        ("images.txt", "1 001.Bird_0/", "1 002.Bird_1/"),
        ("image_class_labels.txt", "1 1\n", "1 2\n"),
    ):
        (folder / name).write_text((folder / name).read_text().replace(old, new, 1))
    found.append(opened(root).fingerprint)
    image = folder / "images" / "001.Bird_0" / "Bird_0_0001.jpg"
    image.rename(image.with_name("renamed.jpg"))
    images = folder / "images.txt"
    images.write_text(images.read_text().replace("001.Bird_0/Bird_0_0001.jpg", "001.Bird_0/renamed.jpg"))
    found.append(opened(root).fingerprint)
    assert len(set(found)) == 4


def test_without_a_folder_the_remedy_is_told(tmp_path: Path) -> None:
    record = StreamRecord(name="cub200-b100-t10")
    with pytest.raises(TuneCLError, match=r"cub200 does not ship with tune_cl: name its folder with --data-root"):
        open_stream(record)
    with pytest.raises(TuneCLError, match=r"--data-root .*missing: no such folder"):
        open_stream(record, tmp_path / "missing")
    with pytest.raises(TuneCLError, match=r"holds no folder CUB_200_2011 \(.*data\.caltech\.edu"):
        open_stream(record, tmp_path)
