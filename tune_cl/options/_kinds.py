"""What an option takes: how it is read from the command line, checked from Python, and written down for a job."""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tune_cl.errors import TuneCLError, near_matches, shortened, shown
from tune_cl.options._bounds import Bounds
from tune_cl.options._race import race_text

_LONGEST = 100_000 * 3600.0  # seconds
_TIME = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([smh]?)")
_UNITS = {
    "B": 1,
    **{f"{prefix}B": 1000**n for n, prefix in enumerate(("k", "M", "G", "T"), 1)},
    **{f"{prefix}iB": 1024**n for n, prefix in enumerate(("K", "M", "G", "T"), 1)},
}
_MOST = 2.0**60  # bytes; more is a slip of the keyboard
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
_MOST_GPUS = 1024
_MOST_GAIN = 1_000_000_000  # of an objective that counts images


@dataclass(frozen=True)
class Kind:
    """One kind of value.

    Attributes:
        metavar: what stands for a value in `--help`; empty for a switch.
        read: text of the command line and the option's name -> value.
        check: value of a script and the option's name -> the same value in one form. Both raise `TuneCLError`.
        many: whether the option may be repeated.
        bounded: whether `read` refuses some texts.
        objects: whether scripts may give objects that no text stands for.
    """

    metavar: str
    read: Callable[[str, str], Any]
    check: Callable[[Any, str], Any]
    many: bool = False
    bounded: bool = False
    objects: bool = False


def whole(bounds: Bounds, metavar: str = "N") -> Kind:
    """Whole numbers within bounds."""
    return Kind(metavar, bounds.read, bounds.check, bounded=True)


def text(metavar: str = "NAME") -> Kind:
    """Text, as it is."""
    return Kind(metavar, _as_it_is, check_text)


def one_of(*known: str) -> Kind:
    """One of some names."""

    def check(value: Any, option: str) -> str:
        if value not in known:
            near = near_matches(value, known) if isinstance(value, str) else ""
            raise TuneCLError(f"{option} {shown(value)}: not one of {', '.join(known)}{near}")
        return str(value)

    return Kind("NAME", check, check, bounded=True)


def chosen(metavar: str = "NAME") -> Kind:
    """A member of a registry: its name and arguments as text, or the object."""
    return Kind(metavar, _as_it_is, _chosen)


def text_or_record() -> Kind:
    """Text; from Python also a record, which is looked at where it is used."""
    return Kind("NAME", _as_it_is, _text_or_record)


def instance(kind: type, what: str = "") -> Kind:
    """An object of a class, from Python alone; `what` it would have to be is for the complaint."""

    def check(value: Any, option: str) -> Any:
        if not isinstance(value, kind):
            raise TuneCLError(f"{option} {shown(value)}: not {what}")
        return value

    return Kind("", _as_it_is, check)


def path(metavar: str = "DIR") -> Kind:
    """A path, as text or `os.PathLike`; it is looked at where it is used."""
    return Kind(metavar, _as_it_is, _path)


def names(metavar: str) -> Kind:
    """Several names."""
    return Kind(metavar, _as_it_is, check_names, many=True)


def paths(metavar: str) -> Kind:
    """Several paths, or whatever else may stand for one."""
    return Kind(metavar, _as_it_is, _sequence, many=True)


def folders(metavar: str) -> Kind:
    """Names of data sets and their folders: `NAME=DIR` on the command line, from Python a mapping as well."""
    return Kind(metavar, _as_it_is, check_folders, many=True)


def changes(metavar: str) -> Kind:
    """Parameters and their values or ranges: `PATH=VALUE` on the command line, from Python a mapping as well."""
    return Kind(metavar, _as_it_is, check_changes, many=True)


def seconds(value: Any, option: str) -> float:
    """A time above 0: seconds, or text such as 90s, 45m or 2h.

    Raises:
        TuneCLError: it is none, or too long.
    """
    if isinstance(value, str):
        match = _TIME.fullmatch(value.strip())
        found = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    else:
        found = float(value) if _is_number(value) else 0.0
    if not 0 < found <= _LONGEST:
        told = shortened(value) if isinstance(value, str) else shown(value)
        raise TuneCLError(f"{option} {told}: write a time above 0 such as 90s, 45m or 2h, at most 100000h")
    return found


def size(value: Any, option: str) -> int:
    """A size in bytes: a whole number, or text such as 50GiB; capital and small letters are the same.

    Raises:
        TuneCLError: it is none, or not above 0.
    """
    told = shortened(value) if isinstance(value, str) else shown(value)
    text = value.strip() if isinstance(value, str) else str(value) if type(value) is int and abs(value) < _MOST else ""
    match = _SIZE.fullmatch(text)
    bad = TuneCLError(f"{option} {told}: write a size above 0 such as 50GiB, 200MB, or a number of bytes")
    if not match:
        raise bad
    number, unit = match[1], match[2] or "B"
    factor = next((value for name, value in _UNITS.items() if name.lower() == unit.lower()), None)
    if factor is None:
        meant = near_matches(f"{number}{unit}", [f"{number}{name}" for name in _UNITS])
        raise TuneCLError(
            f"{option} {told}: {shown(unit)} is no unit of size{meant or '; write 50GiB, 200MB, or bytes'}"
        )
    n_bytes = float(number) * factor
    if not 1 <= n_bytes < _MOST:
        raise bad
    return int(n_bytes)


def gpus(value: Any, option: str) -> float:
    """A number of GPUs: a fraction of one, or so many.

    Raises:
        TuneCLError: it is neither.
    """
    found = _decimal(value)
    if not (0 <= found <= 1 or (1 < found < _MOST_GPUS and found.is_integer())):
        told = shortened(value) if isinstance(value, str) else shown(value)
        raise TuneCLError(f"{option} {told}: must be a fraction from 0 to 1, or a whole number up to {_MOST_GPUS - 1}")
    return found


def gain(value: Any, option: str) -> float:
    """A difference of the objective that counts: a number above 0.

    Raises:
        TuneCLError: it is none.
    """
    found = _decimal(value)
    if not 0 < found < _MOST_GAIN:
        told = shortened(value) if isinstance(value, str) else shown(value)
        raise TuneCLError(f"{option} {told}: write a number above 0 and below {_MOST_GAIN:,}, such as 0.01")
    return found


def _decimal(value: Any) -> float:
    """A number, or its text in plain decimal form; -1 for anything else."""
    text = value if isinstance(value, str) else repr(float(value)) if _is_number(value) else ""
    try:
        return float(text) if re.fullmatch("[0-9.eE+-]{1,40}", text) else -1.0
    except ValueError:
        return -1.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18 and math.isfinite(value)


def _as_it_is(text: str, option: str) -> str:
    return text


def check_text(value: Any, option: str) -> str:
    """Text.

    Raises:
        TuneCLError: it is none.
    """
    if not isinstance(value, str):
        raise TuneCLError(f"{option} {shown(value)}: not text")
    return value


def _chosen(value: Any, option: str) -> str:
    """The text that records have of an object: resuming needs its name and its arguments."""
    if isinstance(value, str):
        return check_text(value, option)
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__.startswith("optuna.samplers"):
        if kind is value:
            return f"optuna:{kind.__name__}"
        raise TuneCLError(
            f"{option}: an object of Optuna's does not tell its arguments, with which the search is resumed; write "
            f"'optuna:{kind.__name__}(...)', with the arguments inside"
        )
    if kind is value or not callable(getattr(value, "chosen", None)):
        raise TuneCLError(f"{option} {shown(value)}: neither a name nor an object that has one; see extending.md")
    return str(value.chosen(option))


def _trackers(value: Any, option: str) -> tuple[Any, ...]:
    """Some trackers, by name or as objects.

    Raises:
        TuneCLError: one of them is no tracker.
    """
    found = _sequence(value, option)
    for item in found:
        if isinstance(item, str):
            continue
        methods = (getattr(item, name, None) for name in ("handle", "close"))
        if isinstance(item, type) or not all(map(callable, methods)):
            raise TuneCLError(f"{option}: {shown(item)} is no tracker: an object with the methods handle and close")
    return found


def _text_or_record(value: Any, option: str) -> Any:
    is_record = hasattr(value, "model_fields_set")  # of Pydantic, which takes time to import
    return value if is_record else check_text(value, option)


def _function(value: Any, option: str) -> Any:
    """Something that can be called.

    Raises:
        TuneCLError: it cannot.
    """
    if not callable(value):
        raise TuneCLError(f"{option} {shown(value)}: cannot be called; give a function of one row")
    return value


def _path(value: Any, option: str) -> str:
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise TuneCLError(f"{option} {shown(value)}: no path; give text or a pathlib.Path")
    return text


def check_switch(value: Any, option: str) -> bool:
    """True or False.

    Raises:
        TuneCLError: it is none.
    """
    if not isinstance(value, bool):
        raise TuneCLError(f"{option} {shown(value)}: neither True nor False")
    return value


def check_names(value: Any, option: str) -> tuple[str, ...]:
    """A list of names; text by itself would be taken for its letters.

    Raises:
        TuneCLError: it is none.
    """
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise TuneCLError(f'{option} {shown(value)}: not a list of names; write ["first", "second"]')
    return tuple(value)


def _sequence(value: Any, option: str) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def check_changes(value: Any, option: str) -> Mapping[str, Any] | tuple[str, ...]:
    """Parameters and their values or ranges; or `PATH=VALUE`.

    Raises:
        TuneCLError: it is none.
    """
    if isinstance(value, Mapping) and all(isinstance(item, str) for item in value):
        return dict(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise TuneCLError(
        f"{option} {shown(value)}: not a mapping of paths to values or ranges; write "
        '{"base.classifier.epochs": 2} or ["base.classifier.epochs=2"]'
    )


def check_folders(value: Any, option: str) -> Mapping[str, Any] | tuple[str, ...]:
    """Names of data sets, and the folder, file or settings of each; or `NAME=DIR`.

    Raises:
        TuneCLError: it is none.
    """
    if isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(place, str | os.PathLike | Mapping) for name, place in value.items()
    ):
        return {n: os.fspath(place) if isinstance(place, os.PathLike) else place for n, place in value.items()}
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise TuneCLError(
        f'{option} {shown(value)}: not a mapping of names to folders; write {{"glyphs": "path/of/glyphs"}}'
    )


def _order(value: Any, option: str) -> str:
    """A class order: a name, or the labels in order of arrival."""
    if isinstance(value, list | tuple) and value and all(type(label) is int for label in value):
        return ",".join(str(label) for label in value)
    return check_text(value, option)


TIME = Kind("TIME", seconds, seconds, bounded=True)
SIZE = Kind("SIZE", size, size, bounded=True)
GAIN = Kind("X", gain, gain, bounded=True)
RACE = Kind("KEY=N,…", race_text, race_text, bounded=True)
GPUS = Kind("G", gpus, gpus, bounded=True)
ORDER = Kind("ORDER", _as_it_is, _order)
SWITCH = Kind("", _as_it_is, check_switch)
FUNCTION = Kind("", _as_it_is, _function)
TRACKERS = Kind("NAME", _as_it_is, _trackers, many=True, objects=True)
