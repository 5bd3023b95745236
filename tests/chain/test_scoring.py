"""The metrics of design section 2 on an example worked out by hand, and accuracies against a naive count."""

import pytest
import torch

from tune_cl.chain import ReadOut, accuracy_row, correct_per_image, metrics
from tune_cl.nets import ClassifierShape, new_classifier
from tune_cl.streams import LabelledImages, Pixels, Preprocessing

# R[t, i] over three increments with 40, 20 and 10 validation images.
ROWS = [[0.9], [0.6, 0.8], [0.7, 0.4, 0.5]]
COUNTS = [40, 20, 10]


def test_metrics_of_a_worked_example():
    found = metrics(ROWS, COUNTS)
    after = [0.9, (36 - 12 + 16) / 60, (28 + 8 + 5) / 70]  # 0.9, 40 of 60, 41 of 70 right
    expected = {
        "accuracy": 41 / 70,
        "average_incremental_accuracy": sum(after) / 3,
        "average_incremental_accuracy_excl_base": (after[1] + after[2]) / 2,
        "accuracy_old": 36 / 60,
        "accuracy_new": 0.5,
        # Best so far minus now: 0.9 - 0.7 (not 0.6 - 0.7), 0.8 - 0.4.
        "forgetting": (0.2 + 0.4) / 2,
        # Now minus when it was learnt: 0.7 - 0.9, 0.4 - 0.8.
        "backward_transfer": (-0.2 - 0.4) / 2,
    }
    assert found == pytest.approx(expected)


def test_forgetting_takes_the_best_of_all_earlier_increments_but_not_the_current_one():
    rows = [[0.5], [0.8, 0.9], [0.95, 0.9, 0.7]]
    found = metrics(rows, [10, 10, 10])
    assert found["forgetting"] == pytest.approx(((0.8 - 0.95) + 0.0) / 2)  # it can be negative
    assert found["backward_transfer"] == pytest.approx((0.45 + 0.0) / 2)


def test_at_the_base_task_nothing_is_old():
    assert metrics([[0.75]], [8]) == {
        "accuracy": 0.75,
        "average_incremental_accuracy": 0.75,
        "accuracy_new": 0.75,
        "average_incremental_accuracy_excl_base": None,
        "accuracy_old": None,
        "forgetting": None,
        "backward_transfer": None,
    }


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
