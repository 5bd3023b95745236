"""Data sets, class orders, splits, increments: training data only. Nothing here opens a test file."""

from tune_cl.streams._as_described import check_as_described
from tune_cl.streams._batches import Batches, ClassUniform, StepIndices
from tune_cl.streams._cifar import CifarFile, CifarVersion, read_cifar
from tune_cl.streams._cub import read_cub
from tune_cl.streams._datasets import DATASETS, Dataset, Preprocessing, Scale, dataset_names
from tune_cl.streams._download import download
from tune_cl.streams._embedded import read_archive
from tune_cl.streams._feed import Feed, default_workers, in_turn
from tune_cl.streams._files import ImageFiles
from tune_cl.streams._imagenet import ImageNetHalf, imagenet_subset, read_imagenet
from tune_cl.streams._images import FileImages, ImageSource, LabelledImages, RawFiles, RawImages, join
from tune_cl.streams._names import StreamShape, parse_name
from tune_cl.streams._orders import class_order
from tune_cl.streams._pixels import Pixels, resize
from tune_cl.streams._place import Place
from tune_cl.streams._stream import Stream, open_stream

__all__ = [
    "DATASETS",
    "Batches",
    "CifarFile",
    "CifarVersion",
    "ClassUniform",
    "Dataset",
    "Feed",
    "FileImages",
    "ImageFiles",
    "ImageNetHalf",
    "ImageSource",
    "LabelledImages",
    "Pixels",
    "Place",
    "Preprocessing",
    "RawFiles",
    "RawImages",
    "Scale",
    "StepIndices",
    "Stream",
    "StreamShape",
    "check_as_described",
    "class_order",
    "dataset_names",
    "default_workers",
    "download",
    "imagenet_subset",
    "in_turn",
    "join",
    "open_stream",
    "parse_name",
    "read_archive",
    "read_cifar",
    "read_cub",
    "read_imagenet",
    "resize",
]
