"""Scoring: accuracies per increment on raw logits, and the metrics made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tune_cl.methods import CLASS_MEANS, CLASSIFIER
from tune_cl.metrics import NEAREST_MEAN, Scored, measure
from tune_cl.nets import POOLED, Classifier, Component, build_classifier, folded, lay_out
from tune_cl.options import Numerics
from tune_cl.replay import nearest_mean
from tune_cl.streams import ImageSource, Pixels, in_turn

_MOST_IMAGES, _MOST_PIXELS = 500, 5_000_000  # in one batch


@dataclass(frozen=True)
class Correct:
    """Which images are classified right: (N,) bool on the CPU."""

    linear: Tensor  # by the largest logit, less the post-hoc adjustment where there is one
    nearest_mean: Tensor | None  # by the nearest class mean
    labels: Tensor  # (N,) int64, stream class indices


@dataclass(frozen=True, eq=False)
class ReadOut:
    """What classifies after an increment."""

    classifier: Classifier
    means: Tensor | None = None  # (classes, D) for the nearest-mean read-out, where the method has it

    @classmethod
    def of(cls, state: Mapping[str, Component], nearest_mean: bool, numerics: Numerics) -> "ReadOut":
        """The read-out of a chain's state, on the device and in the precision of its run."""
        means = state[CLASS_MEANS].tensors["means"].to(numerics.device) if nearest_mean else None
        return cls(scorer(state[CLASSIFIER], numerics), means)


def scorer(classifier: Component, numerics: Numerics) -> Classifier:
    """A classifier that is scored, not trained: in eval mode, its batch norm folded."""
    return lay_out(folded(build_classifier(classifier)).to(numerics.device), numerics)


@dataclass(frozen=True)
class Scores:
    """What an increment's read-out achieves on the images of increments 0 to its own."""

    metrics: dict[str, float | None]
    accuracy_row: list[float]
    nearest_mean_row: list[float] | None
    images: list[int] = field(default_factory=list)  # of each increment's classes
    by_class: list[float | None] = field(default_factory=list)  # place = stream class index
    nearest_mean_by_class: list[float | None] | None = None


@torch.inference_mode()
def correct_per_image(
    read_outs: Sequence[ReadOut], images: ImageSource, pixels: Pixels, workers: int = 0
) -> list[Correct]:
    """Classify images without augmentation: their central square, where they are stored larger than networks see them.

    Args:
        read_outs: each classifies every image, in eval mode; an image is fetched once for all of them.
        images: with labels as stream class indices.
        pixels: their pixel space on the read-outs' device.
        workers: processes that decode image files ahead.
    """
    for read_out in read_outs:
        read_out.classifier.eval()
    linear: list[list[Tensor]] = [[] for _ in read_outs]
    nearest: list[list[Tensor]] = [[] for _ in read_outs]
    classes: list[Tensor] = []
    for stored, labels in in_turn(images, batch_of(pixels), pixels.black.device, workers):
        seen = pixels.see(stored)
        classes.append(labels.cpu())
        for i, read_out in enumerate(read_outs):
            linear[i].append((read_out.classifier.predict(seen).argmax(1) == labels).cpu())
            if read_out.means is not None:
                features = read_out.classifier.features(seen, POOLED)
                nearest[i].append((nearest_mean(features, read_out.means) == labels).cpu())
    of = torch.cat(classes)
    return [Correct(torch.cat(a), torch.cat(b) if b else None, of) for a, b in zip(linear, nearest, strict=True)]


@torch.inference_mode()
def features_of(classifier: Classifier, images: ImageSource, pixels: Pixels, workers: int = 0) -> tuple[Tensor, Tensor]:
    """Pooled features (N, D) float32 of images without augmentation, and their labels (N,) int64, on the device.

    Args:
        classifier: in eval mode.
        images: with labels as stream class indices.
        pixels: their pixel space on the classifier's device.
        workers: processes that decode image files ahead.
    """
    features, labels = [], []
    for stored, of_stored in in_turn(images, batch_of(pixels), pixels.black.device, workers):
        features.append(classifier.features(pixels.see(stored), POOLED))
        labels.append(of_stored)
    return torch.cat(features), torch.cat(labels)


def batch_of(pixels: Pixels) -> int:
    """Images that are scored at once."""
    return max(1, min(_MOST_IMAGES, _MOST_PIXELS // (pixels.preprocessing.stored_size or 1) ** 2))


def scores(correct: Sequence[Correct], before: Sequence[Scores], prefix: str) -> Scores:
    """An increment's accuracies and metrics.

    Args:
        correct: of the images of increments 0..t.
        before: the scores after increments 0..t-1.
        prefix: of the metrics' names: `val/` in a search, `test/` in an evaluation.
    """
    counts = [len(part.linear) for part in correct]
    row = accuracy_row([part.linear for part in correct])
    measured = _measured([*(s.accuracy_row for s in before), row], counts, prefix)
    labels = torch.cat([part.labels for part in correct])
    by_class = class_accuracies(torch.cat([part.linear for part in correct]), labels)
    nearest = [part.nearest_mean for part in correct if part.nearest_mean is not None]
    if not nearest:
        return Scores(measured, row, None, counts, by_class)
    nearest_row = accuracy_row(nearest)
    earlier = [s.nearest_mean_row for s in before if s.nearest_mean_row is not None]
    measured |= _measured([*earlier, nearest_row], counts, prefix + NEAREST_MEAN)
    return Scores(measured, row, nearest_row, counts, by_class, class_accuracies(torch.cat(nearest), labels))


def accuracy_row(correct: Sequence[Tensor]) -> list[float]:
    """R[t, 0..t] from which validation images of each increment are right."""
    return [int(part.sum()) / len(part) for part in correct]


def class_accuracies(correct: Tensor, labels: Tensor) -> list[float | None]:
    """Accuracy on each class, to 4 decimals; None for a class without an image.

    Args:
        correct: (N,) bool, which images are classified right.
        labels: (N,) int64, their stream class indices.
    """
    images = torch.bincount(labels).tolist()
    right = torch.bincount(labels[correct], minlength=len(images)).tolist()
    return [round(hits / n, 4) if n else None for hits, n in zip(right, images, strict=True)]


def _measured(rows: Sequence[Sequence[float]], counts: Sequence[int], prefix: str) -> dict[str, float | None]:
    return {f"{prefix}{name}": value for name, value in measure(Scored(rows, counts)).items()}
