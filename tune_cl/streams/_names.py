"""Stream names: `DATASET-b<base classes>-t<increments>`, for example `cifar100-b50-t5`."""

from dataclasses import dataclass

from tune_cl.errors import TuneCLError, near_matches, shown
from tune_cl.records import StreamRecord, stream_form
from tune_cl.streams._datasets import Dataset
from tune_cl.streams._folder import folder_dataset
from tune_cl.streams._registry import DATASETS, dataset_names, find_dataset


@dataclass(frozen=True)
class StreamShape:
    """What a stream's name says: a base task of `base` classes, then `increments` steps of equally many classes."""

    name: str
    dataset: Dataset
    base: int
    increments: int

    @property
    def step(self) -> int:
        """Classes that each increment after the base adds."""
        return (self.dataset.n_classes - self.base) // self.increments

    def classes(self, increment: int) -> range:
        """Stream class indices that arrive at an increment (0 is the base task).

        Raises:
            IndexError: there is no such increment.
        """
        if not 0 <= increment <= self.increments:
            raise IndexError(f"increment {increment} of {self.name}: it has increments 0 to {self.increments}")
        end = self.base + increment * self.step
        return range(end - self.step if increment else 0, end)


def parse_name(name: str) -> StreamShape:
    """Read the name of a stream whose data set is known by its name: shipped, or from a plug-in.

    Raises:
        TuneCLError: the name is malformed, its data set unknown, or its split impossible.
    """
    dataset = find_dataset(dataset_of(name), f"stream {shown(name)}: ")
    return _shape(name, dataset)


def shape_of(record: StreamRecord) -> StreamShape:
    """Read the name of a stream on whatever data set its record describes.

    Raises:
        TuneCLError: the name is malformed, its data set unknown, or its split impossible.
    """
    if record.folder is None:
        return parse_name(record.name)
    return _shape(record.name, folder_dataset(dataset_of(record.name), record.folder))


def dataset_of(name: str) -> str:
    """The data set that a stream's name begins with, known or not.

    Raises:
        TuneCLError: the name is malformed.
    """
    form = stream_form(name)
    if form is None:
        raise TuneCLError(
            f"stream {shown(name)}: a stream is written DATASET-b<base classes>-t<increments>, for example "
            f"fashion-b4-t3 or quickdraw-b50-t5{_about_the_start(name)} (data sets: {', '.join(dataset_names())})"
        )
    return form.dataset


def _shape(name: str, dataset: Dataset) -> StreamShape:
    form = stream_form(name)
    assert form is not None  # `dataset_of` has looked
    shape = StreamShape(name, dataset, form.base, form.increments)
    _check_split(shape)
    return shape


def _about_the_start(name: str) -> str:
    start = name.split("-")[0]
    return "" if start in DATASETS else near_matches(start, DATASETS.names())


def _check_split(shape: StreamShape) -> None:
    total, base, increments = shape.dataset.n_classes, shape.base, shape.increments
    where = f"stream {shape.name!r}"
    if not 1 <= base < total:
        raise TuneCLError(
            f"{where}: b{base} is impossible, since {shape.dataset.name} has {total} classes and the base task takes "
            f"at least 1 and leaves at least 1 (b1 to b{total - 1})"
        )
    rest = total - base
    if increments < 1 or rest % increments:
        parts = ", ".join(f"t{t}" for t in range(1, rest + 1) if rest % t == 0)
        raise TuneCLError(
            f"{where}: the {rest} classes after the base cannot be cut into {increments} equal increments; "
            f"with b{base} these are possible: {parts}"
        )
