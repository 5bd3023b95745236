"""Class orders: in which order a data set's labels arrive."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tune_cl.errors import TuneCLError, shown

# The file of PODNet for CIFAR-100 ("the iCaRL order" of some papers; iCaRL's own is numpy-1993).
_PODNET = """
    87 0 52 58 44 91 68 97 51 15 94 92 10 72 49 78 61 14 8 86 84 96 18 24 32 45 88 11 4 67 69 66 77 47 79 93 29 50 57 83
    17 81 41 12 37 59 25 20 80 73 1 28 6 46 62 82 53 9 31 75 38 63 33 74 27 22 36 3 16 21 60 19 70 90 89 43 5 42 65 76
    40 30 23 85 2 95 56 48 71 64 98 13 99 7 34 55 54 26 35 39
"""


def class_order(
    order: Literal["seed", "numpy-1993", "podnet"] | Sequence[int], n_classes: int, seed: int
) -> tuple[int, ...]:
    """Data set labels in order of arrival.

    'seed' sorts the labels by the SHA-256 of `class-order/<seed>/<label>`: a uniform shuffle that no release of a
    library can change. 'numpy-1993' is the order of most published class-incremental tables: NumPy's legacy generator,
    seeded with 1993, shuffles 0…n-1 (for 100 classes it starts 68, 56, 78, 8, 23). 'podnet' is the other list that is
    called iCaRL's order: labels of CIFAR-100, starting 87, 0, 52, 58, 44.

    Args:
        order: 'seed', 'numpy-1993', 'podnet', or the labels themselves.
        n_classes: classes of the data set.
        seed: the order seed; read by 'seed' only.

    Raises:
        TuneCLError: given labels are not a permutation of 0…n_classes-1; 'podnet' for other than 100 classes.
    """
    if order == "seed":
        return tuple(sorted(range(n_classes), key=lambda label: _place(seed, label)))
    if order == "numpy-1993":
        labels = np.arange(n_classes)
        np.random.RandomState(1993).shuffle(labels)
        return tuple(labels.tolist())
    if order == "podnet":
        if n_classes != 100:
            raise TuneCLError(f"class_order 'podnet': orders CIFAR-100's 100 labels, but here are {n_classes}")
        return tuple(int(label) for label in _PODNET.split())
    if isinstance(order, str):
        raise TuneCLError(f"class_order {shown(order)}: give 'seed', 'numpy-1993', 'podnet' or a list of labels")
    _check_permutation(order, n_classes)
    return tuple(order)


def _place(seed: int, label: int) -> bytes:
    return hashlib.sha256(f"class-order/{seed}/{label}".encode()).digest()


def _check_permutation(order: Sequence[int], n_classes: int) -> None:
    outside = sorted(set(order) - set(range(n_classes)))
    twice = sorted(label for label, count in Counter(order).items() if count > 1)
    absent = sorted(set(range(n_classes)) - set(order))
    complaints = [("not labels of it", outside), ("given twice", twice), ("left out", absent)]
    found = "; ".join(f"{what}: {_some(labels)}" for what, labels in complaints if labels)
    if found:
        raise TuneCLError(f"class_order: the {n_classes} labels 0 to {n_classes - 1} must each come once ({found})")


def _some(labels: list[int]) -> str:
    some = ", ".join(map(shown, labels[:5]))
    return f"{some} and {len(labels) - 5} more" if len(labels) > 5 else some
