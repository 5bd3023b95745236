"""`when`: parameters that are searched only where another has a certain value."""

from collections.abc import Collection, Mapping
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.methods import Leaf
from tune_cl.study._ranges import Conditions, Range, check_value, find_leaf, same


def parse_when(known: Mapping[str, Leaf], path: str, raw: Any, where: str) -> Conditions:
    """Read the `when` of the range at `path`.

    Raises:
        TuneCLError: it is no mapping, names an unknown path or the parameter itself, or a value never taken.
    """
    if not isinstance(raw, Mapping) or not raw:
        raise TuneCLError(f"{where}: when: {raw!r} is no condition; write when: {{another.parameter: value}}")
    conditions = []
    for parent, wanted in raw.items():
        place = f"{where}: when: {parent}"
        leaf = find_leaf(known, parent, place)
        if parent == path:
            raise TuneCLError(f"{place}: the condition is cyclic, the parameter waits for itself; name another one")
        values = wanted if isinstance(wanted, list) else [wanted]
        if not values:
            raise TuneCLError(f"{place}: an empty list never holds; it takes {leaf.bounds()}")
        conditions.append((parent, tuple(check_value(leaf, value, place) for value in values)))
    return tuple(conditions)


def holds(conditions: Conditions, values: Mapping[str, Any]) -> bool:
    """Say whether every condition is met by a configuration (path -> value, sampled or not)."""
    return all(any(same(values[path], wanted) for wanted in wanted_values) for path, wanted_values in conditions)


def in_order(ranges: Mapping[str, Range], wheres: Mapping[str, str]) -> dict[str, Range]:
    """The ranges with parents before children, else in the order written.

    Raises:
        TuneCLError: the conditions form a cycle.
    """
    ordered: dict[str, Range] = {}
    waiting = dict(ranges)
    while waiting:
        ready = [path for path, range_ in waiting.items() if not any(parent in waiting for parent, _ in range_.when)]
        if not ready:
            where, cycle = wheres[next(iter(waiting))], ", ".join(waiting)
            raise TuneCLError(f"{where}: when: the conditions are cyclic ({cycle} wait for each other); drop one")
        ordered[ready[0]] = waiting.pop(ready[0])
    return ordered


def without_idle(
    ranges: Mapping[str, Range], default: Mapping[str, Any], wheres: Mapping[str, str], overridden: Collection[str]
) -> dict[str, Range]:
    """Drop the ranges whose conditions can never hold because a parent is fixed at another value.

    `ranges` come with parents first. A parent that a person overrode on the command line may leave its children idle;
    a range in the file that its own file makes impossible is a mistake.

    Raises:
        TuneCLError: a condition asks for what the parent's range excludes, or for one value of a continuous range.
    """
    kept: dict[str, Range] = {}
    for path, range_ in ranges.items():
        searched = [condition for condition in range_.when if condition[0] in kept]
        fixed = tuple(condition for condition in range_.when if condition[0] not in kept)
        possible = holds(fixed, default)
        for parent, wanted in searched:
            possible = (
                _reachable(kept[parent], parent, wanted, f"{wheres[path]}: when", parent in overridden) and possible
            )
        if possible:
            kept[path] = range_
    return kept


def _reachable(parent_range: Range, parent: str, wanted: tuple[Any, ...], where: str, overridden: bool) -> bool:
    if parent_range.kind in ("log", "uniform"):
        raise TuneCLError(
            f"{where}: {parent}: is searched continuously; a condition needs a fixed value, a choice or an int"
        )
    reachable = any(parent_range.contains(value) for value in wanted)
    if not reachable and not overridden:
        values = " or ".join(repr(value) for value in wanted)
        raise TuneCLError(
            f"{where}: {parent}: never {values}, since it is searched in {parent_range}; name one of those"
        )
    return reachable
