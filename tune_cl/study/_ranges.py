"""Values and ranges of single parameters, checked against what a method's field allows."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tune_cl.errors import TuneCLError, near_matches, shown
from tune_cl.methods import Leaf
from tune_cl.study._foreign import written_here

RangeKind = Literal["log", "uniform", "int", "choice"]
Conditions = tuple[tuple[str, tuple[Any, ...]], ...]

_KINDS: tuple[RangeKind, ...] = ("log", "uniform", "int", "choice")
_RANGE_KEYS = (*_KINDS, "when", "default", "prior", "confidence")
_KEYS_OF_A_RANGE = f"; a range has one of {', '.join(_KINDS)}, then when, default, prior and confidence"
Confidence = Literal["low", "medium", "high"]
CONFIDENCES: tuple[Confidence, ...] = ("low", "medium", "high")
# Samplers compute in double precision, which holds every whole number up to here.
_LARGEST_INT = 2**53
_LARGEST_END = 1e300
_NARROW = 1e-9  # of the larger end


@dataclass(frozen=True)
class Range:
    """Where a parameter may lie: `values` is (low, high), both included, or the choices."""

    kind: RangeKind
    values: tuple[Any, ...]
    when: Conditions = ()  # searched only where each of these paths has one of these values
    confidence: Confidence | None = None  # in `prior`; None for no belief
    prior: Any = None  # a value that is believed to be good; None for the default

    def contains(self, value: Any) -> bool:
        """Say whether a value (of the field's type) lies in the range."""
        if self.kind == "choice":
            return any(same(value, choice) for choice in self.values)
        low, high = self.values
        return bool(low <= value <= high)

    def written(self) -> dict[str, Any]:
        """The range as a space file has it, less its default."""
        raw: dict[str, Any] = {self.kind: list(self.values)}
        if self.when:
            raw["when"] = {path: list(values) for path, values in self.when}
        if self.prior is not None:
            raw["prior"] = self.prior
        if self.confidence is not None:
            raw["confidence"] = self.confidence
        return raw

    def __str__(self) -> str:
        if self.kind == "choice":
            text = " | ".join(str(choice) for choice in self.values)
        else:
            text = f"{self.kind} {self.values[0]:g} … {self.values[1]:g}"
        conditions = (f"{path} is {' or '.join(map(str, values))}" for path, values in self.when)
        return f"{text}, when {' and '.join(conditions)}" if self.when else text


def same(one: Any, other: Any) -> bool:
    """Equality that tells `True` from `1`."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def find_leaf(known: Mapping[str, Leaf], path: str, where: str) -> Leaf:
    """The parameter at a path.

    Raises:
        TuneCLError: the path is unknown, or names a group of parameters.
    """
    if path in known:
        return known[path]
    inside = [name for name in known if name.startswith(f"{path}.")]
    if inside:
        raise TuneCLError(f"{where}: a group of parameters; name one of them: {', '.join(inside)}")
    hint = near_matches(path, known) or f"; the method's parameters are {', '.join(known)}"
    raise TuneCLError(f"{where}: unknown parameter{hint}")


def check_value(leaf: Leaf, value: Any, where: str) -> Any:
    """Return a value in the type of its field (a whole number becomes a float where the field is one).

    Raises:
        TuneCLError: the field does not allow the value.
    """
    if isinstance(value, list | Mapping) or value is None:
        found = "empty" if value is None else f"{shown(value)} is no single value"
        raise TuneCLError(f"{where}: {found}; it takes {leaf.bounds()}{written_here(leaf, value)}")
    typed = _float(value) if leaf.kind is float and _is_number(value) else value
    too_large = isinstance(typed, int | float) and not isinstance(typed, bool) and not _fits(typed)
    if too_large or not leaf.allows(typed) or not _of_kind(leaf, typed):
        what = f"the text {shown(value)}" if isinstance(value, str) and leaf.kind is not str else f"{shown(value)}"
        raise TuneCLError(f"{where}: {what} is not allowed; it takes {leaf.bounds()}{written_here(leaf, value)}")
    return typed


def parse_range(leaf: Leaf, raw: Mapping[str, Any], where: str) -> tuple[Range, Any | None]:
    """Read a range, less its conditions, and the `default` written beside it (None if there is none).

    Raises:
        TuneCLError: the range is malformed, reversed, empty, of a kind that does not suit the field, or out of bounds.
    """
    for key in raw:
        if key not in _RANGE_KEYS:
            hint = written_here(leaf, raw) or near_matches(key, _RANGE_KEYS) or _KEYS_OF_A_RANGE
            raise TuneCLError(f"{where}: {key}: unknown key of a range{hint}")
    kinds = [kind for kind in _KINDS if kind in raw]
    if len(kinds) != 1:
        found = f"{' and '.join(kinds)} at once" if kinds else "a range without a kind"
        raise TuneCLError(f"{where}: {found}; give exactly one of {', '.join(_KINDS)}")
    kind = kinds[0]
    values = raw[kind]
    if not isinstance(values, list):
        wanted = "[first, second, ...]" if kind == "choice" else "[low, high]"
        raise TuneCLError(f"{where}: {kind}: {values!r} is not a list; write {{{kind}: {wanted}}}")
    parsed = _choice(leaf, values, where) if kind == "choice" else _interval(leaf, kind, values, where)
    parsed = _with_prior(leaf, parsed, raw, where)
    default = check_value(leaf, raw["default"], f"{where}: default") if "default" in raw else None
    return parsed, default


def _with_prior(leaf: Leaf, range_: Range, raw: Mapping[str, Any], where: str) -> Range:
    """The range with what is believed of it: either key is enough."""
    if "prior" not in raw and "confidence" not in raw:
        return range_
    confidence = raw.get("confidence", "medium")
    if confidence not in CONFIDENCES:
        raise TuneCLError(f"{where}: confidence: {shown(confidence)} is unknown; it is one of {', '.join(CONFIDENCES)}")
    prior = check_value(leaf, raw["prior"], f"{where}: prior") if "prior" in raw else None
    if prior is not None and not range_.contains(prior):
        raise TuneCLError(f"{where}: prior: {shown(prior)} lies outside the range ({range_}); name a value within it")
    return replace(range_, confidence=confidence, prior=prior)


def _choice(leaf: Leaf, values: list[Any], where: str) -> Range:
    if len(values) < 2:
        raise TuneCLError(f"{where}: choice: {values!r} leaves nothing to choose; list at least two values, or fix one")
    typed = tuple(check_value(leaf, value, f"{where}: choice") for value in values)
    for index, value in enumerate(typed):
        if any(same(value, earlier) for earlier in typed[:index]):
            raise TuneCLError(f"{where}: choice: {shown(value)} is listed twice; list each value once")
    return Range("choice", typed)


def _interval(leaf: Leaf, kind: RangeKind, values: list[Any], where: str) -> Range:
    _check_suits(leaf, kind, where)
    if len(values) != 2:
        raise TuneCLError(f"{where}: {kind}: {values!r} has {len(values)} ends; write {{{kind}: [low, high]}}")
    for value in values:
        if not _is_number(value):
            raise TuneCLError(f"{where}: {kind}: {shown(value)} is not a number; write {{{kind}: [low, high]}}")
        if kind == "log" and value <= 0:
            raise TuneCLError(
                f"{where}: log: {shown(value)} has no logarithm; begin above 0, or use {{uniform: [low, high]}}"
            )
    low, high = values
    if low > high:
        raise TuneCLError(f"{where}: {kind}: [{low}, {high}] is reversed; write [{high}, {low}]")
    if low == high:
        raise TuneCLError(f"{where}: {kind}: [{low}, {high}] is empty; fix the value {low}, or widen the range")
    for value in values:
        if not _fits(value) or not leaf.allows(value):
            raise TuneCLError(f"{where}: {kind}: {shown(value)} is out of bounds; it takes {leaf.bounds()}")
    if leaf.kind is float:
        _check_width(kind, low, high, where)
    return Range(kind, (float(low), float(high)) if leaf.kind is float else (low, high))


def _check_width(kind: RangeKind, low: float, high: float, where: str) -> None:
    """Refuse ends between which samplers, which compute in double precision, cannot tell or reach the numbers."""
    if not high - low > max(_NARROW * max(abs(low), abs(high)), 1 / _LARGEST_END):
        raise TuneCLError(f"{where}: {kind}: [{low}, {high}] is too narrow to search; fix the value {low}, or widen it")
    if max(abs(low), abs(high)) > _LARGEST_END:
        raise TuneCLError(f"{where}: {kind}: [{low}, {high}] is too wide to search; keep within ±{_LARGEST_END:g}")


def _check_suits(leaf: Leaf, kind: RangeKind, where: str) -> None:
    if leaf.choices is not None or leaf.kind not in (int, float):
        raise TuneCLError(f"{where}: {kind}: no number is wanted here; use {{choice: [...]}} with {leaf.bounds()}")
    if leaf.kind is int and kind != "int":
        raise TuneCLError(f"{where}: {kind}: whole numbers are wanted here; use {{int: [low, high]}}")
    if leaf.kind is float and kind == "int":
        raise TuneCLError(
            f"{where}: int: any number is allowed here; use {{log: [low, high]}} or {{uniform: [low, high]}}"
        )


def _of_kind(leaf: Leaf, value: Any) -> bool:
    choices: Iterable[Any] = leaf.choices or ()
    return leaf.choices is None or any(same(value, choice) for choice in choices)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: float) -> float:
    return float(value) if _fits(value) else value


def _fits(value: float) -> bool:
    return abs(value) <= _LARGEST_INT if isinstance(value, int) else math.isfinite(value)
