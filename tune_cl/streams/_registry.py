"""The data sets that this process knows by name."""

import re
from collections.abc import Iterable

from tune_cl.errors import TuneCLError, shown
from tune_cl.registry import Origin, Registry
from tune_cl.streams._datasets import Dataset
from tune_cl.streams._shipped import SHIPPED

_NAME = re.compile(r"[A-Za-z0-9_]{1,60}")
DATASETS: Registry[Dataset] = Registry("data set", "; a folder of your own images: --data-set NAME=DIR", form=_NAME)
for _dataset in SHIPPED:
    DATASETS.add(_dataset.name, _dataset)


def register_dataset(dataset: Dataset, origin: Origin) -> None:
    """Make a data set from outside the package known; one that the same module brought before is replaced.

    Args:
        dataset: with a `reader`.
        origin: the plug-in that brings it. Its `TEST_READER` reads the test images, in an evaluation alone.

    Raises:
        TuneCLError: its name is taken or unfit, it has no reader, or its numbers cannot be.
    """
    where = f"data set {shown(str(dataset.name))}"
    check_dataset_name(dataset.name, where)
    if not callable(dataset.reader):
        raise TuneCLError(f"{where}: has no reader; write Dataset(..., reader=a_function) (see adding-a-data-set.md)")
    if dataset.n_classes < 2:
        raise TuneCLError(f"{where}: has {dataset.n_classes} classes, but a stream needs at least 2")
    if not 0 < dataset.validation_fraction < 1:
        raise TuneCLError(f"{where}: validation_fraction {dataset.validation_fraction}: must lie between 0 and 1")
    channels = {dataset.image_shape[0], len(dataset.preprocessing.mean), len(dataset.preprocessing.std)}
    if len(channels) > 1:
        raise TuneCLError(f"{where}: image_shape, mean and std are not of equally many channels")
    DATASETS.add(dataset.name, dataset, origin)


def check_dataset_name(name: str, where: str) -> None:
    """Check that streams and folders can be named after a data set.

    Raises:
        TuneCLError: they cannot.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TuneCLError(f"{where}: unfit as a name, since streams are named after it; use letters, digits and _")


def brought_by(name: str) -> str | None:
    """The module from outside the package that brought a data set; None for those of the package."""
    origin = DATASETS.origin(name)
    return None if origin is None else origin.module


def find_dataset(name: str, where: str = "", own: Iterable[str] = ()) -> Dataset:
    """The data set of a name.

    Args:
        name: of the data set.
        where: what a message begins with.
        own: further names, of folders that are given beside it.

    Raises:
        TuneCLError: there is none.
    """
    if name not in DATASETS:
        raise TuneCLError(f"{where}data set {DATASETS.unknown(name, own)}")
    return DATASETS.get(name, "data set")


def dataset_names() -> list[str]:
    """Names of the data sets, in alphabetical order."""
    return sorted(DATASETS.names())
