"""What a study is given beside its space: points to try, and what earlier searches found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.methods import leaves
from tune_cl.study._attributes import EARLIER, POINTS
from tune_cl.study._ranges import check_value
from tune_cl.study._space import SearchSpace

Origin = Literal["by hand", "earlier search"]


@dataclass(frozen=True)
class Knowledge:
    """What a search knows before its first trial.

    Attributes:
        points: samples (path -> value) to try first, after the default: by hand, checked by `point_of`.
        searches: the earlier searches, as they were named.
        best: of each of them the best configuration, as a sample: tried after `points`.
        good: the good configurations of all of them, as values of the parameters that are searched here.
    """

    points: tuple[Mapping[str, Any], ...] = ()
    searches: tuple[str, ...] = ()
    best: tuple[Mapping[str, Any], ...] = ()
    good: tuple[Mapping[str, Any], ...] = ()


def point_of(space: SearchSpace, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A sample out of some values; the other parameters have their defaults.

    Raises:
        TuneCLError: a path is not searched, a value is not in its range or does not count beside the others, or the
            method refuses the combination.
    """
    known = leaves(space.config)
    typed: dict[str, Any] = {}
    for path, value in values.items():
        if path not in space.ranges:
            hint = near_matches(path, space.ranges) or f"; searched are {', '.join(space.ranges)}"
            raise TuneCLError(f"{where}: {path}: not searched here{hint}")
        typed[path] = check_value(known[path], value, f"{where}: {path}")
        if not space.ranges[path].contains(typed[path]):
            raise TuneCLError(f"{where}: {path}: {value!r} is not in its range, {space.ranges[path]}")
    sample = space.sample_of(typed)
    idle = [path for path in typed if path not in sample]
    if idle:
        raise TuneCLError(f"{where}: {idle[0]}: does not count beside the other values, {space.ranges[idle[0]]}")
    complaint = space.complaint(sample)
    if complaint is not None:
        raise TuneCLError(f"{where}: not allowed: {complaint}")
    return sample


def values_here(space: SearchSpace, values: Mapping[str, Any]) -> dict[str, Any]:
    """Of the values of another search, those that lie in a range here."""
    known = leaves(space.config)
    found: dict[str, Any] = {}
    for path, range_ in space.ranges.items():
        if path not in values:
            continue
        try:
            value = check_value(known[path], values[path], path)
        except TuneCLError:
            continue
        if range_.contains(value):
            found[path] = value
    return found


def add_knowledge(storage: Any, study_id: int, knowledge: Knowledge, begun: bool, where: str) -> None:
    """Write what is known into a study. Points that it has already are left out; earlier searches are read once.

    Raises:
        TuneCLError: the study has trials and other earlier searches, or none.
    """
    attributes = storage.get_study_user_attrs(study_id)
    before = attributes.get(EARLIER)
    names = list(knowledge.searches)
    if names and before is None and not begun:
        before = {"searches": names, "good": [dict(good) for good in knowledge.good]}
        storage.set_study_user_attr(study_id, EARLIER, before)
    elif names and (before is None or before["searches"] != names):
        began = f"began with {', '.join(before['searches'])}" if before else "began without any"
        raise TuneCLError(
            f"--warm-start {' '.join(names)}: {where} {began}; earlier searches are named when a search begins, so "
            "repeat those, or give this one another --name"
        )
    points = attributes.get(POINTS, [])
    had = [point["parameters"] for point in points]
    new: list[tuple[Origin, Sequence[Mapping[str, Any]]]] = [("by hand", knowledge.points)]
    if not begun:
        new.append(("earlier search", knowledge.best))
    for origin, samples in new:
        for sample in samples:
            if dict(sample) not in had:
                had.append(dict(sample))
                points = [*points, {"origin": origin, "parameters": dict(sample)}]
    if points != attributes.get(POINTS, []):
        storage.set_study_user_attr(study_id, POINTS, points)
