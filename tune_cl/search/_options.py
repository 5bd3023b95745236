"""What a search can be told besides its space: samplers, schedulers, objectives, protocols."""

import re
from collections.abc import Iterable
from typing import Any, Literal

from tune_cl.errors import TuneCLError, near_matches, shown
from tune_cl.options import BASE_CONFIGURATIONS, TRIALS

Direction = Literal["max", "min"]

SAMPLERS = ("tpe", "random")
SCHEDULERS = ("halving", "none")
DIRECTIONS = ("max", "min")
OBJECTIVES = (
    "val/average_incremental_accuracy",
    "val/average_incremental_accuracy_excl_base",
    "val/accuracy",
    "val/accuracy_old",
    "val/accuracy_new",
    "val/forgetting",
    "val/backward_transfer",
)
_NEAREST_MEAN = "val/nme/"
# The same scores of the nearest-mean read-out, for methods that have one.
NEAREST_MEAN_OBJECTIVES = tuple(name.replace("val/", _NEAREST_MEAN) for name in OBJECTIVES)
_ALL_OBJECTIVES = (*OBJECTIVES, *NEAREST_MEAN_OBJECTIVES)
# These compare increments, or old classes with new ones, and have no value at the base task.
UNDEFINED_AT_BASE = frozenset(
    name for name in _ALL_OBJECTIVES if name.rpartition("/")[2] not in ("accuracy", "average_incremental_accuracy")
)

_FIRST = re.compile(r"first_([1-9][0-9]{0,5})")
_COUNTS = {"trials": TRIALS, "base_configurations": BASE_CONFIGURATIONS}
_CHOICES: dict[str, tuple[str, ...]] = {
    "sampler": SAMPLERS,
    "scheduler": SCHEDULERS,
    "direction": DIRECTIONS,
    "objective": _ALL_OBJECTIVES,
}


def check_option(name: str, value: Any, where: str) -> Any:
    """Return an option's value if it is one that a search knows.

    Args:
        name: `method`, `stream`, `budget`, `preset`, `trials`, `base_configurations`, `sampler`, `scheduler`,
            `objective`, `direction` or `protocol`.
        value: as read from a file or a flag.
        where: what a message begins with, such as `my.yaml: sampler` or `--sampler`.

    Raises:
        TuneCLError: the value is of the wrong type or unknown.
    """
    if name in _COUNTS:
        return _COUNTS[name].check(value, where)
    if not isinstance(value, str) or not value:
        raise TuneCLError(f"{where}: {shown(value)} is not a name; write text")
    if name == "protocol":
        return _check_protocol(value, where)
    if name in _CHOICES and value not in _CHOICES[name]:
        raise TuneCLError(f"{where}: {shown(value)} is unknown; it is {_either(_CHOICES[name])}{_near(value, name)}")
    return value


def default_direction(objective: str) -> Direction:
    """`min` for forgetting, `max` for everything else."""
    return "min" if objective.endswith("/forgetting") else "max"


def check_direction(direction: str, objective: str, where: str) -> None:
    """Refuse to search for the worst.

    Raises:
        TuneCLError: `min` beside an objective of which more is better, or `max` beside forgetting.
    """
    right = default_direction(objective)
    if direction != right:
        others = [name for name in _ALL_OBJECTIVES if default_direction(name) == direction]
        fitting = _either(others) if direction == "min" else "every other one"
        raise TuneCLError(
            f"{where}: {direction!r} would search for the worst {objective!r}; leave `direction` out, which means "
            f"{right!r} there ({direction!r} is for {fitting})"
        )


def check_objective(objective: str, method: str, nearest_mean: bool, where: str) -> None:
    """Refuse an objective that a method does not report.

    Args:
        objective: one that `check_option` has let pass.
        method: its name, for the message.
        nearest_mean: whether the method has a nearest-mean read-out.
        where: what the message begins with.

    Raises:
        TuneCLError: it is of the nearest-mean read-out, and the method has none.
    """
    if objective.startswith(_NEAREST_MEAN) and not nearest_mean:
        linear = objective.replace(_NEAREST_MEAN, "val/")
        raise TuneCLError(f"{where}: {method} has no nearest-mean read-out, so no {objective!r}; use {linear!r}")


def protocol_horizon(protocol: str, last_increment: int, where: str = "protocol") -> int:
    """The last increment whose validation data may decide: the stream's, or k under `first_k`.

    Raises:
        TuneCLError: the protocol is unknown, or asks for more increments than the stream has.
    """
    _check_protocol(protocol, where)
    first = _FIRST.fullmatch(protocol)
    if first is None:
        return last_increment
    if int(first[1]) > last_increment:
        raise TuneCLError(
            f"{where}: {protocol!r} goes beyond the stream, whose last increment is {last_increment}; "
            f"use 'stream' or at most 'first_{last_increment}'"
        )
    return int(first[1])


def _check_protocol(value: str, where: str) -> str:
    if value != "stream" and not _FIRST.fullmatch(value):
        raise TuneCLError(
            f"{where}: {shown(value)} is unknown; it is 'stream' (all increments) or 'first_k' with a number for k, "
            "such as 'first_2' (increments 0 to 2)"
        )
    return value


def _near(value: str, name: str) -> str:
    return near_matches(value, _CHOICES[name])


def _either(values: Iterable[str]) -> str:
    *others, last = (repr(value) for value in values)
    return f"{', '.join(others)} or {last}"
