"""A stream: a data set's training images, cut into a base task and increments in a class order."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tune_cl.errors import TuneCLError
from tune_cl.records import StreamRecord
from tune_cl.streams._as_described import check_as_described
from tune_cl.streams._cache import CACHE_FOLDER, cache_folder
from tune_cl.streams._datasets import Dataset, Preprocessing
from tune_cl.streams._decoded import decode_all
from tune_cl.streams._files import ImageFiles
from tune_cl.streams._images import FileImages, ImageSource, LabelledImages, RawFiles, RawImages
from tune_cl.streams._names import StreamShape, shape_of
from tune_cl.streams._orders import class_order
from tune_cl.streams._split import split_class


@dataclass(frozen=True, eq=False)
class Stream:
    """Training and validation images of each increment.

    Plain data: pickled with protocol 5 its two arrays (images or paths, and labels) travel out of band, so that one
    copy per machine serves all readers; the arrays may be read-only, since whatever is handed out is a copy.

    Attributes:
        shape: what the name says.
        class_order: the data set's labels in order of arrival; place in it = stream class index.
        class_names: names in class order.
        split_seed: seed of the validation split.
        fingerprint: SHA-256 (hex) of training images and labels as read, before any cut; of a data set with a file per
            image, of the files' relative paths, sizes in bytes, and labels.
        raw_images: all training images of the data set: uint8 (N, C, S, S), or the files to decode them from.
        raw_labels: int64 (N,), the data set's own labels.
        merged: train on training and validation images together, as an evaluation does; nothing is left to validate on.
    """

    shape: StreamShape
    class_order: tuple[int, ...]
    class_names: tuple[str, ...]
    split_seed: int
    fingerprint: str
    raw_images: NDArray[np.uint8] | ImageFiles
    raw_labels: NDArray[np.int64]
    merged: bool = False

    @property
    def name(self) -> str:
        """The stream's name, `DATASET-b<base classes>-t<increments>`."""
        return self.shape.name

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.shape.dataset.name

    @property
    def scale(self) -> str:
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
        """Channels, height, width, as networks see it."""
        return self.shape.dataset.image_shape

    @property
    def preprocessing(self) -> Preprocessing:
        """Constants of normalisation and augmentation."""
        return self.shape.dataset.preprocessing

    @property
    def resident(self) -> bool:
        """Whether the images are in memory; else they are decoded from files each time."""
        return not isinstance(self.raw_images, ImageFiles)

    def classes(self, t: int) -> range:
        """Stream class indices that arrive at increment t."""
        return self.shape.classes(t)

    def n_seen(self, t: int) -> int:
        """Number of classes seen after increment t."""
        return self.shape.classes(t).stop

    def training(self, t: int) -> ImageSource:
        """Training images of increment t's classes, class by class: a fresh copy, or the files to decode them from."""
        return self._increment(t, part=0)

    def validation(self, t: int) -> ImageSource:
        """Validation images of increment t's classes, class by class: a fresh copy, or the files.

        Raises:
            ValueError: the stream is merged.
        """
        if self.merged:
            raise ValueError("a merged stream trains on its validation images")
        return self._increment(t, part=1)

    def merge(self, order: tuple[int, ...]) -> "Stream":
        """The same images in another class order, training and validation images together; nothing is copied."""
        names = dict(zip(self.class_order, self.class_names, strict=True))
        return replace(self, class_order=order, class_names=tuple(names[label] for label in order), merged=True)

    def class_sizes(self, t: int) -> list[int]:
        """Number of training images of each of increment t's classes; no image is copied or read."""
        return [len(self._split(self.class_order[c])[0]) for c in self.classes(t)]

    def n_training(self, t: int) -> int:
        """Number of training images of increment t's classes; no image is copied or read."""
        return sum(self.class_sizes(t))

    def exemplars(self, labels: Tensor, positions: Tensor) -> ImageSource:
        """Training images by class and position, in the order given: what a memory is made of.

        Args:
            labels: int64 (M,), stream class indices.
            positions: int64 (M,), places among the class's training images in the order that `training` has them.

        Raises:
            IndexError: there is no such class or position.
        """
        members = {c: self._split(self.class_order[c])[0] for c in sorted(set(labels.tolist()))}
        places = [members[c][position] for c, position in zip(labels.tolist(), positions.tolist(), strict=True)]
        return self._source(np.array(places, dtype=np.int64), labels.clone())

    def identity(self, t: int) -> dict[str, Any]:
        """Everything that a stage at increment t may depend on, as plain JSON values.

        The class lists end at t: two streams that agree up to t have equal identities at t, however they go on.
        """
        return {
            "fingerprint": self.fingerprint,
            "split": self._split_identity(),
            "classes": [[self.class_order[c] for c in self.classes(i)] for i in range(t + 1)],
            "n_classes": self.n_classes,
            "image_shape": list(self.image_shape),
            "preprocessing": self.preprocessing.identity(),
        }

    def _split_identity(self) -> dict[str, Any]:
        if self.merged:
            return {"fraction": 0.0}
        return {"seed": self.split_seed, "fraction": self.shape.dataset.validation_fraction}

    def _increment(self, t: int, part: int) -> ImageSource:
        places = [self._split(self.class_order[c])[part] for c in self.classes(t)]
        labels = np.repeat(np.array(self.classes(t), dtype=np.int64), [len(p) for p in places])
        return self._source(np.concatenate(places), torch.from_numpy(labels))

    def _source(self, places: NDArray[np.int64], labels: Tensor) -> ImageSource:
        if isinstance(self.raw_images, ImageFiles):
            return FileImages(self.raw_images.subset(places), labels)
        picked = torch.from_numpy(self.raw_images[places])
        # One memory layout wherever the array came from (a file, Ray's shared memory): it decides which convolution
        # kernel runs, hence the last bits of everything trained on it.
        images = torch.empty(picked.shape, dtype=torch.uint8, memory_format=torch.channels_last).copy_(picked)
        return LabelledImages(images, labels)

    def _split(self, label: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        members = np.flatnonzero(self.raw_labels == label)
        if self.merged:
            return members, members[:0]
        return split_class(members, label, self.split_seed, self.shape.dataset.validation_fraction)


def open_stream(
    record: StreamRecord, data_root: Path | None = None, accept_modified_data: bool = False, *, only_look: bool = False
) -> Stream:
    """Read a data set's training files and cut them into a stream. No test file is opened.

    Args:
        record: name, class order and seeds.
        data_root: folder that holds the data sets' folders; not needed for data that ship with the package.
        accept_modified_data: admit files that differ from the published ones; the fingerprint tells them apart.
        only_look: nothing will be trained, so no images are decoded and kept below the data root.

    Raises:
        TuneCLError: impossible name or class order; data files missing, damaged, or not the published ones; images or
            labels that are not as the data set's description says.
    """
    shape = shape_of(record)
    order = class_order(record.class_order, shape.dataset.n_classes, record.order_seed)
    if record.class_order == "podnet" and "podnet" not in shape.dataset.class_orders:
        raise TuneCLError(f"class_order 'podnet': orders the labels of cifar100, not those of {shape.dataset.name}")
    raw = _read_training(shape.dataset, data_root, accept_modified_data)
    check_as_described(raw, shape.dataset)
    _check_every_class(raw, shape.dataset)
    fingerprint = raw.fingerprint()
    return Stream(
        shape=shape,
        class_order=order,
        class_names=tuple(raw.class_names[label] for label in order),
        split_seed=record.split_seed,
        fingerprint=fingerprint,
        raw_images=raw.images if only_look else _images(raw, shape.dataset, data_root, fingerprint),
        raw_labels=raw.labels,
    )


def _read_training(dataset: Dataset, data_root: Path | None, accept_modified_data: bool) -> RawImages | RawFiles:
    if dataset.reader is None:
        raise TuneCLError(f"{dataset.name}: nothing reads its training images; give its Dataset a `reader`")
    return dataset.reader(dataset, data_root, accept_modified_data)


def _images(
    raw: RawImages | RawFiles, dataset: Dataset, data_root: Path | None, fingerprint: str
) -> NDArray[np.uint8] | ImageFiles:
    if isinstance(raw, RawImages) or not dataset.resident:
        return raw.images
    if data_root is None or dataset.folder is not None:
        cache = cache_folder(Path(dataset.folder.folder if dataset.folder else raw.images.folder))
    else:
        cache = data_root / CACHE_FOLDER
    return decode_all(raw.images, f"{dataset.name}-{fingerprint[:16]}", cache)


def _check_every_class(raw: RawImages | RawFiles, dataset: Dataset) -> None:
    counts = np.bincount(raw.labels, minlength=dataset.n_classes)
    short = np.flatnonzero(counts < 2)
    if len(short):
        raise TuneCLError(
            f"{dataset.name}: {len(short)} of {dataset.n_classes} classes have fewer than 2 training images "
            f"(label {short[0]} has {counts[short[0]]}), and each needs one to train on and one to validate on"
        )
