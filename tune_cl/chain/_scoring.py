"""Scoring: accuracies per increment on raw logits, and the metrics of class-incremental learning made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tune_cl.nets import POOLED, Classifier
from tune_cl.replay import nearest_mean
from tune_cl.streams import ImageSource, Pixels, in_turn

_MOST_IMAGES, _MOST_PIXELS = 500, 5_000_000  # in one batch


@dataclass(frozen=True)
class Correct:
    """Which images are classified right: (N,) bool on the CPU."""

    linear: Tensor  # by the largest logit, less the post-hoc adjustment where there is one
    nearest_mean: Tensor | None  # by the nearest class mean


@torch.no_grad()
def correct_per_image(
    classifier: Classifier, images: ImageSource, pixels: Pixels, means: Tensor | None = None, workers: int = 0
) -> Correct:
    """Classify images without augmentation: their central square, where they are stored larger than networks see them.

    Args:
        classifier: put in eval mode.
        images: with labels as stream class indices.
        pixels: their pixel space on the classifier's device.
        means: (classes, D) class means for the nearest-mean read-out, or None for none.
        workers: processes that decode image files ahead.
    """
    classifier.eval()
    linear, nearest = [], []
    batch = max(1, min(_MOST_IMAGES, _MOST_PIXELS // (pixels.preprocessing.stored_size or 1) ** 2))
    for stored, labels in in_turn(images, batch, pixels.black.device, workers):
        seen = pixels.see(stored)
        linear.append((classifier.predict(seen).argmax(1) == labels).cpu())
        if means is not None:
            nearest.append((nearest_mean(classifier.features(seen, POOLED), means) == labels).cpu())
    return Correct(torch.cat(linear), torch.cat(nearest) if means is not None else None)


def accuracy_row(correct: Sequence[Tensor]) -> list[float]:
    """R[t, 0..t] from which validation images of each increment are right."""
    return [int(part.sum()) / len(part) for part in correct]


def metrics(rows: Sequence[Sequence[float]], counts: Sequence[int]) -> dict[str, float | None]:
    """The metrics after increment t = len(rows) - 1, without prefix; None where one is not defined at the base task.

    Args:
        rows: R[s, 0..s] for s = 0..t, accuracies in [0, 1].
        counts: validation images of each increment 0..t.
    """
    t = len(rows) - 1
    accuracies = [_weighted(row, counts[: len(row)]) for row in rows]
    result: dict[str, float | None] = {
        "accuracy": accuracies[t],
        "average_incremental_accuracy": sum(accuracies) / (t + 1),
        "accuracy_new": rows[t][t],
        "average_incremental_accuracy_excl_base": None,
        "accuracy_old": None,
        "forgetting": None,
        "backward_transfer": None,
    }
    if t == 0:
        return result
    lost = [max(rows[s][i] for s in range(i, t)) - rows[t][i] for i in range(t)]
    gained = [rows[t][i] - rows[i][i] for i in range(t)]
    result["average_incremental_accuracy_excl_base"] = sum(accuracies[1:]) / t
    result["accuracy_old"] = _weighted(rows[t][:t], counts[:t])
    result["forgetting"] = sum(lost) / t
    result["backward_transfer"] = sum(gained) / t
    return result


def _weighted(values: Sequence[float], weights: Sequence[int]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
