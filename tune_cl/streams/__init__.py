"""Data sets, class orders, splits, increments: training data only. Nothing here opens a test file."""

from tune_cl.streams._as_described import check_as_described
from tune_cl.streams._batches import Batches, ClassUniform, StepIndices
from tune_cl.streams._cifar import CifarFile, CifarVersion, read_cifar
from tune_cl.streams._cub import read_cub
from tune_cl.streams._datasets import Dataset, Preprocessing, Reader
from tune_cl.streams._download import download
from tune_cl.streams._embedded import read_archive
from tune_cl.streams._feed import Feed, default_workers, in_turn
from tune_cl.streams._files import ImageFiles, image_size
from tune_cl.streams._folder import half_of, read_folder
from tune_cl.streams._imagenet import ImageNetHalf, imagenet_subset, read_imagenet
from tune_cl.streams._images import FileImages, ImageSource, LabelledImages, RawFiles, RawImages, join
from tune_cl.streams._names import StreamShape, dataset_of, parse_name, shape_of
from tune_cl.streams._orders import class_order
from tune_cl.streams._own_data import OwnData, Source, own_data, unmeasured, with_own_data
from tune_cl.streams._pixels import Pixels, resize
from tune_cl.streams._random_key import RandomKey
from tune_cl.streams._registry import DATASETS, brought_by, dataset_names, find_dataset, register_dataset
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
    "OwnData",
    "Pixels",
    "Preprocessing",
    "RandomKey",
    "RawFiles",
    "RawImages",
    "Reader",
    "Source",
    "StepIndices",
    "Stream",
    "StreamShape",
    "brought_by",
    "check_as_described",
    "class_order",
    "dataset_names",
    "dataset_of",
    "default_workers",
    "download",
    "find_dataset",
    "half_of",
    "image_size",
    "imagenet_subset",
    "in_turn",
    "join",
    "open_stream",
    "own_data",
    "parse_name",
    "read_archive",
    "read_cifar",
    "read_cub",
    "read_folder",
    "read_imagenet",
    "register_dataset",
    "resize",
    "shape_of",
    "unmeasured",
    "with_own_data",
]
