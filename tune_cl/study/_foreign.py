"""Ranges as other tools write them (Ray Tune, Optuna, W&B sweeps, SciPy), and how the same is written here."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tune_cl.methods import Leaf

_CALL = re.compile(r"(?:\w+\.)*(?P<name>\w+)\s*\((?P<inside>.*)\)", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_ENDS = (("min", "max"), ("low", "high"), ("lower", "upper"), ("a", "b"))
_OURS = {"log", "uniform", "int", "choice"}
_LISTS = ("values", "choices", "options", "categories", "grid_search", "grid", "categorical")


def written_here(leaf: Leaf, raw: Any) -> str:
    """What to write in place of a range in another tool's manner: `"; write {log: [0.0001, 0.01]}"`.

    Args:
        leaf: the parameter.
        raw: what was written: text such as `loguniform(1e-4, 1e-2)`, a mapping such as `{min: 1, max: 3}`, or a list.

    Returns:
        Nothing where it resembles no range.
    """
    if isinstance(raw, Mapping) and _OURS & raw.keys():
        return ""
    found = _of_mapping(leaf, raw) if isinstance(raw, Mapping) else _of_text(leaf, raw)
    return f"; a range is written {found}" if found else ""


def _of_text(leaf: Leaf, raw: Any) -> str:
    if isinstance(raw, list | tuple) and len(raw) > 1:
        return _choice(raw) if not _is_interval(leaf, raw) else _interval(leaf, "", raw)
    match = _CALL.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if match is None:
        return ""
    name, inside = match["name"].lower(), match["inside"]
    if any(word in name for word in ("choice", "categor", "grid", "values")):
        return _choice([word.strip() for word in inside.strip(" []()").split(",")])
    numbers = _NUMBER.findall(inside)
    logarithmic = "log" if re.search(r"log\s*=\s*True", inside) else name
    return _interval(leaf, logarithmic, numbers[:2]) if len(numbers) >= 2 else ""


def _of_mapping(leaf: Leaf, raw: Mapping[str, Any]) -> str:
    for low, high in _ENDS:
        if low in raw and high in raw:
            how = " ".join(str(raw.get(key, "")) for key in ("distribution", "type", "sampler", "scale", "prior"))
            return _interval(leaf, "log" if raw.get("log") is True else how, (raw[low], raw[high]))
    for name, value in raw.items():
        if not isinstance(value, Sequence) or isinstance(value, str):
            continue
        if name in _LISTS:
            return _choice(value)
        if len(value) == 2 and re.search("log|uniform|int|range|float", name):
            return _interval(leaf, name, value)
    return ""


def _interval(leaf: Leaf, name: str, ends: Sequence[Any]) -> str:
    """An interval in our words: of the kind that the other tool's name says, or of those that suit the parameter."""
    low, high = (str(end) for end in ends)
    if leaf.kind is int:
        kinds: tuple[str, ...] = ("int",)
    elif "log" in name.lower():
        kinds = ("log",)
    elif "uniform" in name.lower():
        kinds = ("uniform",)
    else:
        kinds = ("log", "uniform")
    return " or ".join(f"{{{kind}: [{low}, {high}]}}" for kind in kinds)


def _choice(values: Sequence[Any]) -> str:
    return f"{{choice: [{', '.join(map(str, values))}]}}"


def _is_interval(leaf: Leaf, raw: Sequence[Any]) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in raw)
    return numbers and len(raw) == 2 and leaf.choices is None and leaf.kind in (int, float)
