"""What a reader returns, compared with the description of its data set."""

import numpy as np

from tune_cl.errors import TuneCLError
from tune_cl.streams._datasets import Dataset
from tune_cl.streams._images import RawFiles, RawImages


def check_as_described(raw: RawImages | RawFiles, dataset: Dataset) -> None:
    """Check the images' type and shape as they are stored, the labels' range, and the numbers of labels and names.

    Raises:
        TuneCLError: something differs from what `Dataset` says.
    """
    if isinstance(raw, RawImages):
        found = (raw.images.dtype, raw.images.shape[1:])
    else:
        found = (np.dtype(np.uint8), (raw.images.channels, raw.images.size, raw.images.size))
    described = (np.dtype(np.uint8), dataset.stored_shape)
    if found != described:
        raise _differs(dataset, f"images of {_text(*found)}", f"images of {_text(*described)}")
    if len(raw.labels) != len(raw.images):
        raise _differs(dataset, f"{len(raw.labels)} labels of {len(raw.images)} images", "a label of each image")
    wrong = raw.labels[(raw.labels < 0) | (raw.labels >= dataset.n_classes)]
    if len(wrong):
        raise _differs(dataset, f"the label {wrong[0]}", f"labels from 0 to {dataset.n_classes - 1}")
    if len(raw.class_names) != dataset.n_classes:
        raise _differs(dataset, f"{len(raw.class_names)} class names", f"{dataset.n_classes} classes")


def _text(dtype: np.dtype, shape: tuple[int, ...]) -> str:
    return f"{dtype} {' x '.join(map(str, shape))}"


def _differs(dataset: Dataset, found: str, described: str) -> TuneCLError:
    return TuneCLError(
        f"{dataset.name}: its files hold {found}, but its description (`Dataset`) describes {described}; correct "
        "whichever is wrong"
    )
