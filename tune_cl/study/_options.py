"""What a search can be told besides its space: samplers, schedulers, objectives, protocols."""

import re
from collections.abc import Callable
from typing import Any

from tune_cl.errors import TuneCLError, near_matches, shown
from tune_cl.methods import Method
from tune_cl.metrics import NEAREST_MEAN, TEST, VALIDATION, Objective, metric_of, objective_names
from tune_cl.options import BASE_CONFIGURATIONS, TRIALS, race_text
from tune_cl.study._known_samplers import find_sampler
from tune_cl.study._stopping import find_stopping_rule


def _find_objective(text: Any, where: str) -> str:
    found = Objective.parse(text, where)
    for term in found.terms:
        if term.startswith(TEST):
            raise TuneCLError(
                f"{where}: {term!r} is of test data, which no search reads; use {term.replace(TEST, VALIDATION)!r}"
            )
    return found.text


_FIRST = re.compile(r"first_([1-9][0-9]{0,5})")
_COUNTS = {"trials": TRIALS, "base_configurations": BASE_CONFIGURATIONS}
_FIND: dict[str, Callable[[Any, str], object]] = {
    "sampler": find_sampler,
    "scheduler": find_stopping_rule,
    "objective": _find_objective,
    "seeds": race_text,
}


def check_option(name: str, value: Any, where: str) -> Any:
    """Return an option's value, in the form in which a record has it, if it is one that a search knows.

    Args:
        name: `method`, `stream`, `budget`, `preset`, `trials`, `base_configurations`, `sampler`, `scheduler`,
            `objective`, `direction`, `protocol` or `seeds`.
        value: as read from a file or a flag.
        where: what a message begins with, such as `my.yaml: sampler` or `--sampler`.

    Raises:
        TuneCLError: the value is of the wrong type or unknown.
    """
    if name in _COUNTS:
        return _COUNTS[name].check(value, where)
    if name in _FIND:
        return str(_FIND[name](value, where))
    if not isinstance(value, str) or not value:
        raise TuneCLError(f"{where}: {shown(value)} is not a name; write text")
    if name == "protocol":
        return _check_protocol(value, where)
    if name == "direction" and value not in ("max", "min"):
        raise TuneCLError(f"{where}: {shown(value)} is unknown; it is 'max' or 'min'")
    return value


def check_direction(direction: str, objective: str, where: str) -> None:
    """Refuse to search for the worst.

    Raises:
        TuneCLError: `min` beside an objective of which more is better, or `max` beside one of which less is.
    """
    found = Objective.parse(objective, where)
    right = found.direction(where)
    if direction != right and any(metric_of(term) is not None for term in found.terms):
        raise TuneCLError(
            f"{where}: {direction!r} would search for the worst {objective!r}; leave `direction` out, which means "
            f"{right!r} there"
        )


def check_objective(objective: str, method: Method, nearest_mean: bool, where: str) -> None:
    """Refuse an objective that a method does not report, or that no direction is right for.

    Args:
        objective: one that `check_option` has let pass.
        method: what is searched.
        nearest_mean: whether it has a nearest-mean read-out, as configured.
        where: what the message begins with.

    Raises:
        TuneCLError: it is of the nearest-mean read-out, and the method has none; or of a phase that it has not.
    """
    found = Objective.parse(objective, where)
    found.direction(where)
    phases = sorted({phase.name for part in method.parts().values() for phase in part})
    for term in found.terms:
        if term.startswith(VALIDATION + NEAREST_MEAN) and not nearest_mean:
            linear = term.replace(NEAREST_MEAN, "")
            raise TuneCLError(f"{where}: {method.name} has no nearest-mean read-out, so no {term!r}; use {linear!r}")
        if metric_of(term) is None and term.partition("/")[0] not in phases:
            known = [*objective_names(), *(f"{phase}/" for phase in phases)]
            raise TuneCLError(
                f"{where}: {term!r} is no metric, and {method.name} has no phase {term.partition('/')[0]!r} that could "
                f"measure it; its phases are {', '.join(phases)}{near_matches(term, known)}"
            )


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
