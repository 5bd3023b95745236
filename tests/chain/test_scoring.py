"""Accuracies against a naive count."""

import torch

from tune_cl.chain import Correct, ReadOut, accuracy_row, correct_per_image, scores
from tune_cl.nets import ClassifierShape, new_classifier
from tune_cl.streams import LabelledImages, Pixels, Preprocessing


def test_an_accuracy_row_holds_exact_shares():
    parts = [torch.tensor([True, False, False]), torch.tensor([True] * 9 + [False])]
    assert accuracy_row(parts) == [1 / 3, 0.9]


def test_each_class_has_the_share_of_its_images_that_are_right_by_each_read_out():
    labels = [torch.tensor([1, 0, 1, 0, 0]), torch.tensor([3, 3])]  # no image of class 2
    linear = [torch.tensor([True, True, False, False, False]), torch.tensor([True, True])]
    nearest = [~part for part in linear]
    found = scores([Correct(*parts) for parts in zip(linear, nearest, labels, strict=True)], [], "val/")
    assert found.by_class == [0.3333, 0.5, None, 1.0]
    assert found.nearest_mean_by_class == [0.6667, 0.5, None, 0.0]
    assert (found.accuracy_row, found.images) == ([0.4, 1.0], [5, 2])


def test_images_are_right_where_the_largest_raw_logit_is_their_label_in_eval_mode_and_any_batching():
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1203, 1, 28, 28), dtype=torch.uint8, generator=random)
    labels = torch.randint(0, 5, (1203,), generator=random)
    classifier = new_classifier(ClassifierShape("small_cnn", 4, (1, 28, 28), 5), 0).train()
    pixels = Pixels(Preprocessing((0.3,), (0.2,), 2, True), torch.device("cpu"))
    found = correct_per_image([ReadOut(classifier)], LabelledImages(images, labels), pixels)[0]
    correct = found.linear
    assert torch.equal(found.labels, labels)
    with torch.no_grad():
        z = classifier.eval()((images.double() / 255 - 0.3).div(0.2).float())
    expected = torch.stack([z[i].argsort()[-1] == labels[i] for i in range(1203)])
    assert correct.dtype == torch.bool and correct.shape == (1203,)
    assert (correct != expected).sum() <= 1  # a tie in the last bit
    assert 0 < correct.sum() < 1203
