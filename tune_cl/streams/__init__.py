"""Data sets, class orders, splits, increments: training data only. Nothing here opens a test file."""

from tune_cl.streams._batches import Batches
from tune_cl.streams._cifar import CifarFile, CifarVersion, read_cifar
from tune_cl.streams._datasets import DATASETS, Dataset, Preprocessing, Scale, dataset_names
from tune_cl.streams._download import download
from tune_cl.streams._embedded import read_archive
from tune_cl.streams._images import LabelledImages, RawImages
from tune_cl.streams._names import StreamShape, parse_name, stream_scale
from tune_cl.streams._orders import class_order
from tune_cl.streams._pixels import Pixels
from tune_cl.streams._place import Place
from tune_cl.streams._stream import Stream, open_stream

__all__ = [
    "DATASETS",
    "Batches",
    "CifarFile",
    "CifarVersion",
    "Dataset",
    "LabelledImages",
    "Pixels",
    "Place",
    "Preprocessing",
    "RawImages",
    "Scale",
    "Stream",
    "StreamShape",
    "class_order",
    "dataset_names",
    "download",
    "open_stream",
    "parse_name",
    "read_archive",
    "read_cifar",
    "stream_scale",
]
