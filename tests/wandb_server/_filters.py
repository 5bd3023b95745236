"""Which runs a query wants, and in which order: W&B's filters are written like MongoDB's."""

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wandb_server._store import ServerRun

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$in": lambda value, wanted: value in wanted,
    "$nin": lambda value, wanted: value not in wanted,
}
_NAMES = {"jobType": "job_type", "displayName": "display_name", "display_name": "display_name"}


def chosen(runs: Sequence[ServerRun], filters: str | None) -> list[ServerRun]:
    """The runs that fit a filter in JSON."""
    wanted = json.loads(filters) if filters else {}
    return [run for run in runs if _fits(run, wanted)]


def ordered(runs: Sequence[ServerRun], order: str | None) -> list[ServerRun]:
    """The runs in order of a key: '+created_at', '-summary_metrics.objective'; those without it come last."""
    key = (order or "+created_at").split(",")[0]
    name, falling = key.lstrip("+-"), key.startswith("-")
    known = [run for run in runs if _value(run, name) is not None]
    rest = [run for run in runs if _value(run, name) is None]
    return sorted(known, key=lambda run: _value(run, name), reverse=falling) + rest


def _fits(run: ServerRun, wanted: Mapping[str, Any]) -> bool:
    return all(_holds(run, name, condition) for name, condition in wanted.items())


def _holds(run: ServerRun, name: str, condition: Any) -> bool:
    if name == "$and":
        return all(_fits(run, part) for part in condition)
    if name == "$or":
        return any(_fits(run, part) for part in condition)
    value = _value(run, name)
    if isinstance(condition, Mapping):
        return all(_COMPARISONS[sign](value, wanted) for sign, wanted in condition.items())
    return condition in value if isinstance(value, list) else bool(value == condition)


def _value(run: ServerRun, name: str) -> Any:
    if name in ("created_at", "createdAt"):
        return run.number
    kind, _, path = name.partition(".")
    if kind in ("summary_metrics", "summaryMetrics"):
        return run.raw_summary.get(path)
    if kind == "config":
        return run.config.get(path.removesuffix(".value"))
    return getattr(run, _NAMES.get(name, name))
