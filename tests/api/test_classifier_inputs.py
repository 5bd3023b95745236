"""A loaded classifier takes images as people have them, and sees in all of them what training saw."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tune_cl
from tune_cl.engine import save_weights
from tune_cl.errors import TuneCLError
from tune_cl.nets import ClassifierShape, new_classifier
from tune_cl.records import StreamRecord
from tune_cl.streams import Pixels, Stream, open_stream


@pytest.fixture(scope="module")
def stream() -> Stream:
    return open_stream(StreamRecord(name="fashion-b4-t3"))


@pytest.fixture(scope="module")
def classifier(stream: Stream, tmp_path_factory: pytest.TempPathFactory) -> tune_cl.LoadedClassifier:
    path = tmp_path_factory.mktemp("weights") / "classifier.pt"
    network = new_classifier(ClassifierShape("small_cnn", 4, (1, 28, 28), 10), seed=0)
    network.set_adjustment(torch.linspace(-1, 1, 10))
    save_weights(path, network, stream)
    return tune_cl.load(path)


def test_bytes_pil_images_and_normalised_floats_give_the_same_logits(
    classifier: tune_cl.LoadedClassifier, stream: Stream
) -> None:
    images = stream.validation(0).gather(torch.arange(6))
    assert images.dtype == torch.uint8 and images.shape == (6, 1, 28, 28)
    pixels = Pixels(stream.preprocessing, torch.device("cpu"))
    pictures = [Image.fromarray(image[0].numpy()) for image in images]
    with torch.no_grad():
        expected = classifier.classifier(pixels.normalise(images))
        assert torch.equal(classifier(pixels.normalise(images)), expected)
        torch.testing.assert_close(classifier(images), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(classifier(pictures), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(classifier([picture.convert("RGBA") for picture in pictures]), expected)
        torch.testing.assert_close(classifier(pictures[0]), expected[:1])
        torch.testing.assert_close(classifier.predict(images), expected - torch.linspace(-1, 1, 10))


def test_names_are_those_of_the_most_likely_classes(classifier: tune_cl.LoadedClassifier, stream: Stream) -> None:
    images = stream.validation(0).gather(torch.arange(6))
    best = classifier.predict(images).argmax(1)
    assert classifier.names(images) == [stream.class_names[i] for i in best]
    assert not classifier.training and classifier.shape.image_shape == (1, 28, 28)


def test_a_larger_picture_is_scaled_by_its_short_side_and_its_centre_is_cut_out(
    classifier: tune_cl.LoadedClassifier,
) -> None:
    square = np.kron(np.random.default_rng(0).integers(0, 256, (7, 7)), np.ones((8, 8))).astype(np.uint8)
    wide = np.pad(square, ((0, 0), (40, 40)), constant_values=255)
    centre, whole = (classifier.prepare(Image.fromarray(array)) for array in (square, wide))
    assert centre.shape == whole.shape == (1, 1, 28, 28)
    torch.testing.assert_close(whole[..., 1:-1], centre[..., 1:-1], atol=0.05, rtol=0)


def test_stored_squares_are_cut_to_what_the_network_sees(tmp_path: Path, stream: Stream) -> None:
    network = new_classifier(ClassifierShape("small_cnn", 4, (1, 28, 28), 10), seed=0)
    path = tmp_path / "classifier.pt"
    save_weights(path, network, stream)
    content = torch.load(path, weights_only=True)
    content["stored_size"] = 32  # as for a data set whose images are stored larger than they are seen
    torch.save(content, path)
    loaded = tune_cl.load(path)
    images = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(loaded.prepare(images), loaded.prepare(images[..., 2:-2, 2:-2]))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(1, 28, 28, dtype=torch.uint8), r"shape \(1, 28, 28\), but \(B, 1, 28, 28\) is needed"),
        (torch.zeros(2, 3, 28, 28), r"shape \(2, 3, 28, 28\)"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.int64), "dtype torch.int64; give uint8"),
        ([], "an empty list"),
        ("shirt.png", "a tensor or a list of PIL images is needed"),
        ([np.zeros((28, 28))], "a tensor or a list of PIL images is needed"),
        ([Image.new("F", (28, 28))], "mode 'F'; convert it"),
    ],
)
def test_other_images_are_refused(classifier: tune_cl.LoadedClassifier, images: object, words: str) -> None:
    with pytest.raises(TuneCLError, match=words):
        classifier(images)
