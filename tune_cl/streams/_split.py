"""The validation split: which training images of a class are held back to judge by."""

import hashlib

import numpy as np
from numpy.typing import NDArray


def split_class(
    members: NDArray[np.int64], label: int, seed: int, fraction: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut one class into training and validation images.

    The members are ranked by the SHA-256 of `validation/<seed>/<label>/<place within the class>` and the first ones
    are held back. The choice therefore depends on the split seed and the class alone: another class order, or more
    classes, leaves it as it is, and so does every release of every library.

    Args:
        members: positions of the class's images in the data set, ascending; at least 2.
        label: the data set's label of the class.
        seed: the split seed.
        fraction: share that is held back, above 0 and below 1; at least one image goes to either side.

    Returns:
        Positions for training and for validation, each ascending; disjoint, together all members.
    """
    held_back = min(max(round(fraction * len(members)), 1), len(members) - 1)
    ranked = sorted(range(len(members)), key=lambda place: _rank(seed, label, place))
    chosen = np.zeros(len(members), dtype=bool)
    chosen[ranked[:held_back]] = True
    return members[~chosen], members[chosen]


def _rank(seed: int, label: int, place: int) -> bytes:
    return hashlib.sha256(f"validation/{seed}/{label}/{place}".encode()).digest()
