"""A stream: a data set's training images, cut into a base task and increments in a class order."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams._cifar import read_cifar_training
from tune_cl.streams._datasets import Dataset, Preprocessing, Scale
from tune_cl.streams._embedded import read_embedded_training
from tune_cl.streams._images import LabelledImages, RawImages
from tune_cl.streams._names import StreamShape, parse_name
from tune_cl.streams._orders import class_order
from tune_cl.streams._split import split_class


@dataclass(frozen=True, eq=False)
class Stream:
    """Training and validation images of each increment.

    Plain data: pickled with protocol 5 its two arrays travel out of band, so that one copy per machine serves all
    readers; the arrays may be read-only, since whatever is handed out is a copy.

    Attributes:
        shape: what the name says.
        class_order: the data set's labels in order of arrival; place in it = stream class index.
        class_names: names in class order.
        split_seed: seed of the validation split.
        fingerprint: SHA-256 (hex) of training images and labels as read, before any cut.
        raw_images: uint8 (N, C, H, W), all training images of the data set.
        raw_labels: int64 (N,), the data set's own labels.
    """

    shape: StreamShape
    class_order: tuple[int, ...]
    class_names: tuple[str, ...]
    split_seed: int
    fingerprint: str
    raw_images: NDArray[np.uint8]
    raw_labels: NDArray[np.int64]

    @property
    def name(self) -> str:
        """The stream's name, `DATASET-b<base classes>-t<increments>`."""
        return self.shape.name

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.shape.dataset.name

    @property
    def scale(self) -> Scale:
        """Which network sizes fit."""
        return self.shape.dataset.scale

    @property
    def n_classes(self) -> int:
        """Classes of the whole stream."""
        return self.shape.dataset.n_classes

    @property
    def horizon(self) -> int:
        """The last increment; the stream has horizon + 1 increments, the base task among them."""
        return self.shape.increments

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.shape.dataset.image_shape

    @property
    def preprocessing(self) -> Preprocessing:
        """Constants of normalisation and augmentation."""
        return self.shape.dataset.preprocessing

    def classes(self, t: int) -> range:
        """Stream class indices that arrive at increment t."""
        return self.shape.classes(t)

    def n_seen(self, t: int) -> int:
        """Number of classes seen after increment t."""
        return self.shape.classes(t).stop

    def training(self, t: int) -> LabelledImages:
        """Training images of increment t's classes, class by class; a fresh copy."""
        return self._gather(t, part=0)

    def validation(self, t: int) -> LabelledImages:
        """Validation images of increment t's classes, class by class; a fresh copy."""
        return self._gather(t, part=1)

    def identity(self, t: int) -> dict[str, Any]:
        """Everything that a stage at increment t may depend on, as plain JSON values.

        The class lists end at t: two streams that agree up to t have equal identities at t, however they go on.
        """
        return {
            "fingerprint": self.fingerprint,
            "split": {"seed": self.split_seed, "fraction": self.shape.dataset.validation_fraction},
            "classes": [[self.class_order[c] for c in self.classes(i)] for i in range(t + 1)],
            "n_classes": self.n_classes,
            "image_shape": list(self.image_shape),
            "preprocessing": {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.preprocessing).items()},
        }

    def _gather(self, t: int, part: int) -> LabelledImages:
        places = [self._split(self.class_order[c])[part] for c in self.classes(t)]
        labels = np.repeat(np.array(self.classes(t), dtype=np.int64), [len(p) for p in places])
        picked = torch.from_numpy(self.raw_images[np.concatenate(places)])
        # One memory layout wherever the array came from (a file, Ray's shared memory): it decides which convolution
        # kernel runs, hence the last bits of everything trained on it.
        images = torch.empty(picked.shape, dtype=torch.uint8, memory_format=torch.channels_last).copy_(picked)
        return LabelledImages(images, torch.from_numpy(labels))

    def _split(self, label: int) -> tuple[NDArray, NDArray]:
        members = np.flatnonzero(self.raw_labels == label)
        return split_class(members, label, self.split_seed, self.shape.dataset.validation_fraction)


def open_stream(record: StreamRecord, data_root: Path | None = None, accept_modified_data: bool = False) -> Stream:
    """Read a data set's training files and cut them into a stream. No test file is opened.

    Args:
        record: name, class order and seeds.
        data_root: folder that holds the CIFAR folders; not needed for data that ship with the package.
        accept_modified_data: admit files that differ from the published ones; the fingerprint tells them apart.

    Raises:
        TuneCLError: impossible name or class order; data files missing, damaged, or not the published ones.
    """
    shape = parse_name(record.name)
    order = class_order(record.class_order, shape.dataset.n_classes, record.order_seed)
    raw = _read_training(shape.dataset, data_root, accept_modified_data)
    _check_every_class(raw, shape.dataset)
    return Stream(
        shape=shape,
        class_order=order,
        class_names=tuple(raw.class_names[label] for label in order),
        split_seed=record.split_seed,
        fingerprint=raw.fingerprint(),
        raw_images=raw.images,
        raw_labels=raw.labels,
    )


def _read_training(dataset: Dataset, data_root: Path | None, accept_modified_data: bool) -> RawImages:
    if dataset.source == "embedded":
        return read_embedded_training(dataset.name)
    return read_cifar_training(dataset.name, data_root, accept_modified_data)


def _check_every_class(raw: RawImages, dataset: Dataset) -> None:
    counts = np.bincount(raw.labels, minlength=dataset.n_classes)
    short = np.flatnonzero(counts < 2)
    if len(short):
        raise TuneCLError(
            f"{dataset.name}: {len(short)} of {dataset.n_classes} classes have fewer than 2 training images "
            f"(label {short[0]} has {counts[short[0]]}), and each needs one to train on and one to validate on"
        )
