"""The data sets that this process knows by name."""

import re
from collections.abc import Iterable

from tune_cl.errors import TuneCLError, near_matches, shortened, shown
from tune_cl.streams._datasets import Dataset
from tune_cl.streams._shipped import SHIPPED

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in SHIPPED}
_MODULES: dict[str, str] = {}  # data set -> the module that brought it


def register_dataset(dataset: Dataset, module: str) -> None:
    """Make a data set from outside the package known; one that the same module brought before is replaced.

    Args:
        dataset: with a `reader`.
        module: name of the module that brings it. Its `TEST_READER` reads the test images, in an evaluation alone.

    Raises:
        TuneCLError: its name is taken or unfit, it has no reader, or its numbers cannot be.
    """
    where = f"data set {shown(str(dataset.name))}"
    check_dataset_name(dataset.name, where)
    if dataset.name in DATASETS and _MODULES.get(dataset.name) != module:
        whose = "is shipped with tune_cl" if dataset.name not in _MODULES else f"is from {_MODULES[dataset.name]}"
        raise TuneCLError(f"{where}: another data set of that name {whose}; give this one another name")
    if not callable(dataset.reader):
        raise TuneCLError(f"{where}: has no reader; write Dataset(..., reader=a_function) (see adding-a-data-set.md)")
    if dataset.n_classes < 2:
        raise TuneCLError(f"{where}: has {dataset.n_classes} classes, but a stream needs at least 2")
    if not 0 < dataset.validation_fraction < 1:
        raise TuneCLError(f"{where}: validation_fraction {dataset.validation_fraction}: must lie between 0 and 1")
    channels = {dataset.image_shape[0], len(dataset.preprocessing.mean), len(dataset.preprocessing.std)}
    if len(channels) > 1:
        raise TuneCLError(f"{where}: image_shape, mean and std are not of equally many channels")
    DATASETS[dataset.name] = dataset
    _MODULES[dataset.name] = module


def check_dataset_name(name: str, where: str) -> None:
    """Check that streams and folders can be named after a data set.

    Raises:
        TuneCLError: they cannot.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,60}", name):
        raise TuneCLError(f"{where}: unfit as a name, since streams are named after it; use letters, digits and _")


def brought_by(name: str) -> str | None:
    """The module from outside the package that brought a data set; None for those of the package."""
    return _MODULES.get(name)


def find_dataset(name: str, where: str = "", own: Iterable[str] = ()) -> Dataset:
    """The data set of a name.

    Args:
        name: of the data set.
        where: what a message begins with.
        own: further names, of folders that are given beside it.

    Raises:
        TuneCLError: there is none.
    """
    if name in DATASETS:
        return DATASETS[name]
    known = sorted({*DATASETS, *own})
    raise TuneCLError(
        f"{where}unknown data set {shown(name)}{near_matches(name, known)} (data sets: {', '.join(known)}; a folder of "
        f"your own images: --data-set {shortened(name)}=DIR)"
    )


def dataset_names() -> list[str]:
    """Names of the data sets, in alphabetical order."""
    return sorted(DATASETS)
