"""The one place where test data are opened: after a run's last increment, once for all of its increments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tune_cl.chain import ReadOut, Scores, computing, correct_per_image, device_of, scores, settings_of
from tune_cl.errors import TuneCLError
from tune_cl.heldout import TestSet, check_folder, open_test_set
from tune_cl.methods import get_method
from tune_cl.nets import Component
from tune_cl.records import IncrementRow, Record, RunConfig
from tune_cl.streams import Dataset, FileImages, ImageSource, LabelledImages, Pixels, Stream, class_order


class Examined(Record):
    """What an examination hands back to the driver."""

    rows: list[IncrementRow]  # those of the chain, with `test/` metrics and the rows of the accuracy matrix
    fingerprint: str  # of the test data
    images: int  # that were scored


@dataclass(frozen=True)
class TestExaminer:
    """Gives each run its stream, and scores its classifiers on test data when it has run its last increment.

    The driver lets a worker take this last step only after it has written to disk that test data are about to be read.

    Attributes:
        data_root: folder of the data sets that are not embedded, the same on all nodes.
        accept_modified_data: admit test files that differ from the published ones.
        loader_workers: processes that decode image files ahead.
    """

    __test__ = False  # no class of tests, whatever pytest makes of its name

    data_root: Path | None
    accept_modified_data: bool
    loader_workers: int | None = None

    def stream(self, run: RunConfig, given: Stream) -> Stream:
        """Training and validation images together, in the class order of the run."""
        return given.merge(class_order(run.stream.class_order, given.n_classes, run.stream.order_seed))

    def examine(
        self, run: RunConfig, stream: Stream, states: Sequence[Mapping[str, Component]], rows: Sequence[IncrementRow]
    ) -> str:
        """Score the read-outs after every increment on the test images of the classes seen by then.

        Returns:
            `Examined` as JSON text.

        Raises:
            TuneCLError: test files are missing, damaged, or not the published ones.
        """
        device = device_of(run.device)
        with computing(run.numerics):
            by_means = get_method(run.method).nearest_mean(settings_of(run))
            read_outs = [ReadOut.of(state, by_means, run.numerics) for state in states]
            test = open_test_set(stream.shape.dataset, self.data_root, self.accept_modified_data)
            measured = self._scores(read_outs, by_increment(test, stream), Pixels(stream.preprocessing, device))
        examined = Examined(
            rows=[_with_scores(row, scored) for row, scored in zip(rows, measured, strict=True)],
            fingerprint=test.fingerprint,
            images=len(test.images),
        )
        return examined.model_dump_json()

    def _scores(self, read_outs: Sequence[ReadOut], parts: Sequence[ImageSource], pixels: Pixels) -> list[Scores]:
        """Scores after each increment; each image is fetched once, for all read-outs that know its class."""
        workers = 0 if isinstance(parts[0], LabelledImages) else self.loader_workers or 0
        by_part = [correct_per_image(read_outs[i:], part, pixels, workers) for i, part in enumerate(parts)]
        measured: list[Scores] = []
        for t in range(len(read_outs)):
            measured.append(scores([by_part[i][t - i] for i in range(t + 1)], measured, "test/"))
        return measured


def check_test_images(dataset: Dataset) -> None:
    """Find out before hours of training whether the test images of a folder are in order; nothing is scored on them.

    Raises:
        TuneCLError: they are missing, are of other classes than the training images, or one of them is trained on.
    """
    if dataset.folder is not None:
        check_folder(dataset)


def by_increment(test: TestSet, stream: Stream) -> list[ImageSource]:
    """Test images of each increment's classes, with stream class indices as labels.

    Raises:
        TuneCLError: the two halves of the data set are not of the same classes.
    """
    _check_classes(test, stream)
    place = torch.full((stream.n_classes,), -1)
    place[torch.tensor(stream.class_order)] = torch.arange(stream.n_classes)
    labels = place[test.images.labels]
    parts = []
    for t in range(stream.horizon + 1):
        classes = stream.classes(t)
        members = torch.nonzero((labels >= classes.start) & (labels < classes.stop)).flatten()
        parts.append(_relabelled(test.images.subset(members), labels[members]))
    return parts


def _check_classes(test: TestSet, stream: Stream) -> None:
    for label, trained in sorted(zip(stream.class_order, stream.class_names, strict=True)):
        tested = test.class_names[label] if label < len(test.class_names) else "no class"
        if tested != trained:
            raise TuneCLError(
                f"{stream.dataset}: training and test images are not of the same classes: label {label} is {trained} "
                f"in the former and {tested} in the latter; both halves must be of one data set"
            )


def _relabelled(images: ImageSource, labels: torch.Tensor) -> ImageSource:
    if isinstance(images, FileImages):
        return FileImages(images.files, labels)
    assert isinstance(images, LabelledImages)
    return LabelledImages(images.images, labels)


def _with_scores(row: IncrementRow, scored: Scores) -> IncrementRow:
    changes = {
        "metrics": {**scored.metrics, **row.metrics},
        "accuracy_row": scored.accuracy_row,
        "nearest_mean_row": scored.nearest_mean_row,
        "images_scored": scored.images,
        "class_accuracy": scored.by_class,
        "nearest_mean_class_accuracy": scored.nearest_mean_by_class,
    }
    return row.model_copy(update=changes)
