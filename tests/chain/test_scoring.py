"""Accuracies against a naive count."""

import torch

from tune_cl.chain import ReadOut, accuracy_row, correct_per_image
from tune_cl.nets import ClassifierShape, new_classifier
from tune_cl.streams import LabelledImages, Pixels, Preprocessing


def test_an_accuracy_row_holds_exact_shares():
    parts = [torch.tensor([True, False, False]), torch.tensor([True] * 9 + [False])]
    assert accuracy_row(parts) == [1 / 3, 0.9]


def test_images_are_right_where_the_largest_raw_logit_is_their_label_in_eval_mode_and_any_batching():
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1203, 1, 28, 28), dtype=torch.uint8, generator=random)
    labels = torch.randint(0, 5, (1203,), generator=random)
    classifier = new_classifier(ClassifierShape("small_cnn", 4, (1, 28, 28), 5), 0).train()
    pixels = Pixels(Preprocessing((0.3,), (0.2,), 2, True), torch.device("cpu"))
    correct = correct_per_image([ReadOut(classifier)], LabelledImages(images, labels), pixels)[0].linear
    with torch.no_grad():
        z = classifier.eval()((images.double() / 255 - 0.3).div(0.2).float())
    expected = torch.stack([z[i].argsort()[-1] == labels[i] for i in range(1203)])
    assert correct.dtype == torch.bool and correct.shape == (1203,)
    assert (correct != expected).sum() <= 1  # a tie in the last bit
    assert 0 < correct.sum() < 1203
