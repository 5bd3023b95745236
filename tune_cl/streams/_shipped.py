"""The data sets that tune_cl knows by itself: two in the package, five from `--data-root`."""

from dataclasses import replace

from tune_cl.streams._cifar import read_cifar_training
from tune_cl.streams._class_names import CIFAR10_CLASSES, CIFAR100_CLASSES
from tune_cl.streams._cub import read_cub_training
from tune_cl.streams._datasets import Dataset, Preprocessing
from tune_cl.streams._download import fetch_cifar
from tune_cl.streams._embedded import read_embedded_training
from tune_cl.streams._imagenet import read_imagenet_training

_FASHION = Dataset(
    "fashion",
    n_classes=10,
    image_shape=(1, 28, 28),
    scale="small28",
    source="embedded",
    validation_fraction=0.2,
    # Mean and std: the customary ones of the official training set; the seeded subset's own differ by 0.001.
    preprocessing=Preprocessing((0.2860,), (0.3530,), crop_padding=2, flip=True),
    reader=read_embedded_training,
)
_QUICKDRAW = replace(
    _FASHION,
    name="quickdraw",
    n_classes=100,
    # Mean and std: computed once over the 8,000 training images that ship with the package.
    preprocessing=Preprocessing((0.1557,), (0.3151,), crop_padding=2, flip=True),
)
_CIFAR10 = Dataset(
    "cifar10",
    n_classes=10,
    image_shape=(3, 32, 32),
    scale="cifar",
    scale_without_gpu="small32",
    source="data_root",
    validation_fraction=0.1,
    preprocessing=Preprocessing((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), crop_padding=4, flip=True),
    class_names=CIFAR10_CLASSES,
    reader=read_cifar_training,
    fetch=fetch_cifar,
)
_CIFAR100 = replace(
    _CIFAR10,
    name="cifar100",
    n_classes=100,
    preprocessing=Preprocessing((0.507, 0.487, 0.441), (0.267, 0.256, 0.276), crop_padding=4, flip=True),
    class_names=CIFAR100_CLASSES,
    class_orders=("podnet",),
)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CUB200 = Dataset(
    "cub200",
    n_classes=200,
    image_shape=(3, 224, 224),
    scale="cub",
    source="data_root",
    validation_fraction=0.1,  # 29 or 30 training images of a class: 3 are held back
    preprocessing=Preprocessing(
        _IMAGENET_MEAN, _IMAGENET_STD, 0, flip=True, stored_size=256, seen_size=224, crop="random"
    ),
    origin="the folder CUB_200_2011 of CUB_200_2011.tgz, from data.caltech.edu",
    reader=read_cub_training,
)
_IMAGENET = Dataset(
    "imagenet",
    n_classes=1000,
    image_shape=(3, 224, 224),
    scale="imagenet",
    source="data_root",
    # 732 to 1300 training images of a class: about as many are held back as the official validation set has, 50 each.
    validation_fraction=0.04,
    preprocessing=Preprocessing(
        _IMAGENET_MEAN, _IMAGENET_STD, 0, flip=True, stored_size=256, seen_size=224, crop="resized"
    ),
    resident=False,
    origin="imagenet/train/<wnid>/*.JPEG, from image-net.org",
    reader=read_imagenet_training,
)

_IMAGENET100 = replace(_IMAGENET, name="imagenet100", n_classes=100)

SHIPPED = (_FASHION, _QUICKDRAW, _CIFAR10, _CIFAR100, _CUB200, _IMAGENET, _IMAGENET100)
