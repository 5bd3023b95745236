"""What of a space a method can never allow, found before anything is trained."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.study._ranges import Range
from tune_cl.study._space import SearchSpace

_RANDOM = 200  # configurations at random that a value is tried in
_WHOLE = 2048  # a range with so many whole numbers is tried out throughout
_FEW = 33  # values of a range that is not


@dataclass(frozen=True)
class Unreachable:
    """A value of a range that the method refused in all configurations that were tried."""

    path: str
    value: Any
    complaint: str  # the method's, beside defaults
    tried: int

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.value} is never allowed here ({self.tried} configurations tried): {self.complaint}; "
            "take it out of the range, or search what it needs as well"
        )


def unreachable_values(space: SearchSpace) -> list[Unreachable]:
    """The choices, and whole numbers of short ranges, that no configuration of the space can have.

    A value is tried beside defaults, beside each value of each other range, and in random configurations.

    Raises:
        TuneCLError: nothing but the default is allowed in any range.
    """
    mixed = list(_random_values(space))
    found: list[Unreachable] = []
    varied = False
    for path, range_ in space.ranges.items():
        values = [value for value in _values(range_) if value != space.default[path]]
        refused = [item for value in values if (item := _refused(space, path, value, mixed)) is not None]
        varied = varied or len(refused) < len(values)
        if range_.kind == "choice" or len(values) < _FEW:
            found += refused
    if space.ranges and not varied:
        raise TuneCLError(
            f"{space.source}: nothing but the default is allowed by the method, since {_last_complaint(space)}; widen "
            "the ranges, or fix them"
        )
    return found


def _refused(space: SearchSpace, path: str, value: Any, mixed: Sequence[Mapping[str, Any]]) -> Unreachable | None:
    tried, first = 0, ""
    for others in _surroundings(space, path, mixed):
        sample = space.sample_of({**others, path: value})
        if path not in sample:
            continue
        complaint = space.complaint(sample)
        if complaint is None:
            return None
        tried, first = tried + 1, first or complaint
    return Unreachable(path, value, first, tried) if tried else None


def _surroundings(space: SearchSpace, path: str, mixed: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    yield {}
    yield from ({other: v} for other, range_ in space.ranges.items() if other != path for v in _values(range_))
    yield from mixed


def _values(range_: Range) -> list[Any]:
    if range_.kind == "choice":
        return list(range_.values)
    low, high = range_.values
    if range_.kind == "int" and high - low < _WHOLE:
        return list(range(low, high + 1))
    steps = [low + (high - low) * i / (_FEW - 1) for i in range(_FEW)]
    return [round(step) for step in steps] if range_.kind == "int" else [min(step, high) for step in steps]


def _random_values(space: SearchSpace) -> Iterator[dict[str, Any]]:
    generator = random.Random(0)
    values = {path: _values(range_) for path, range_ in space.ranges.items()}
    for _ in range(_RANDOM):
        yield {path: generator.choice(of_path) for path, of_path in values.items()}


def _last_complaint(space: SearchSpace) -> str | None:
    path, range_ = next(iter(space.ranges.items()))
    value = next(value for value in _values(range_) if value != space.default[path])
    return space.complaint(space.sample_of({path: value}))
