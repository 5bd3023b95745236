"""Scoring: accuracies per increment on raw logits, and the metrics of class-incremental learning made of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tune_cl.nets import Classifier
from tune_cl.streams import Pixels

_BATCH = 500


@torch.no_grad()
def correct_per_image(classifier: Classifier, images: Tensor, labels: Tensor, pixels: Pixels) -> Tensor:
    """Which images (N, C, H, W) uint8 are classified right by the largest raw logit: (N,) bool on the CPU."""
    device = classifier.head.weight.device
    classifier.eval()
    parts = [
        classifier(pixels.normalise(batch.to(device))).argmax(1).cpu() == batch_labels
        for batch, batch_labels in zip(images.split(_BATCH), labels.split(_BATCH), strict=True)
    ]
    return torch.cat(parts)


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
