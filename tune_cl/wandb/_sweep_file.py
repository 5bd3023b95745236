"""Sweep files, which W&B's own agents take, in the words of a space file and back; and what is lost on the way."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.wandb._sweep import GOALS, METHODS, parameter

# Of a space, as constant parameters of a sweep: what a run of a search has in its configuration, too.
SPACE_OPTIONS = ("method", "stream", "budget")
_IN_FULL = {"name", "description", "method", "metric", "parameters", "early_terminate", "run_cap"}
_UNUSED = {"project", "entity", "controller"}  # where W&B keeps the sweep
_RANGES = {
    "uniform": "uniform", "q_uniform": "uniform", "int_uniform": "int", "log_uniform_values": "log",
    "q_log_uniform_values": "log", "inv_log_uniform_values": "log", "log_uniform": "log", "q_log_uniform": "log",
    "inv_log_uniform": "log",
}  # fmt: skip


@dataclass
class SweepFile:
    """A sweep file in the words of a space file.

    Attributes:
        entries: path -> value or range.
        options: of the space file.
        lost: what cannot be expressed, a sentence each.
    """

    entries: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def export_sweep(
    options: Mapping[str, Any], ranges: Mapping[str, Mapping[str, Any]], fixed: Mapping[str, Any], name: str
) -> tuple[dict[str, Any], list[str]]:
    """The content of a sweep file, and a sentence for each thing that it cannot express.

    Args:
        options: of the space file: method, stream, budget, trials, sampler, scheduler, objective, direction, …
        ranges: path -> range, as in a space file.
        fixed: path -> value of every other parameter.
        name: of the sweep.
    """
    constant = {**{option: options[option] for option in SPACE_OPTIONS}, **fixed}
    content: dict[str, Any] = {
        "name": name,
        "method": METHODS.get(options["sampler"], "bayes"),
        "metric": {"name": options["objective"], "goal": GOALS[options["direction"]]},
        "run_cap": options["trials"],
        "parameters": {
            **{path: parameter(written) for path, written in ranges.items()},
            **{path: {"value": value} for path, value in constant.items()},
        },
    }
    if options["scheduler"].startswith("halving"):
        factor = re.search(r"factor=(\d+)", options["scheduler"])
        content["early_terminate"] = {"type": "hyperband", "min_iter": 1, "eta": int(factor[1]) if factor else 2}
    return content, list(_lost_in_sweep(options, ranges))


def _lost_in_sweep(options: Mapping[str, Any], ranges: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for path, written in ranges.items():
        when = {parent: wanted for parent, wanted in written.get("when", {}).items() if parent in ranges}
        if when:  # on a parameter that is fixed it always holds
            words = " and ".join(f"{parent} is {' or '.join(map(str, wanted))}" for parent, wanted in when.items())
            yield f"{path}: a sweep has no conditions, so that it is drawn always, not only when {words}"
        if "prior" in written or "confidence" in written:
            yield f"{path}: a sweep has no priors, so that what is believed of its values is left out"
    yield "trial 0: a sweep does not begin with the default configuration"
    if options["sampler"] not in METHODS:
        yield f"sampler {options['sampler']}: W&B's own `bayes` stands for it"
    elif options["sampler"] != "random":
        yield f"sampler {options['sampler']}: W&B's `bayes` is a Gaussian process of its own"
    if options["scheduler"].startswith("halving"):
        yield "scheduler halving: W&B's `hyperband` counts logged rows, and stops runs in brackets of its own"
    elif options["scheduler"] != "none":
        yield f"scheduler {options['scheduler']}: a sweep has no such rule, so that no run is stopped early"
    if options.get("base_configurations"):
        yield "base_configurations: a sweep does not share base tasks between runs, and draws as many as it likes"
    if options.get("protocol", "stream") != "stream":
        yield f"protocol {options['protocol']}: a sweep takes the last value that is logged, at whatever increment"
    yield "program: to have an agent run the sweep, add a program of yours that logs the metric; tune_cl needs none"


def import_sweep(content: Mapping[str, Any], source: str) -> SweepFile:
    """A sweep file in the words of a space file.

    Raises:
        TuneCLError: it is no sweep file.
    """
    parameters = content.get("parameters")
    if not isinstance(parameters, Mapping) or not parameters:
        raise TuneCLError(f"{source}: no W&B sweep: it has no `parameters`")
    found = SweepFile()
    for path, written in _flat(parameters, source):
        _enter(found, path, written)
    found.options = {name: found.entries.pop(name) for name in SPACE_OPTIONS if name in found.entries}
    _options(found, content)
    for key in content:
        if key not in _IN_FULL | _UNUSED:
            found.lost.append(f"{key}: a space file has no such key; tune_cl runs the trials itself")
    return found


def _flat(parameters: Mapping[str, Any], source: str, above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parameters under their dotted paths; a sweep may nest them."""
    for name, written in parameters.items():
        if not isinstance(written, Mapping):
            raise TuneCLError(f"{source}: parameters.{above}{name}: no mapping; write `value:`, `values:` or `min:`")
        if isinstance(written.get("parameters"), Mapping):
            yield from _flat(written["parameters"], source, f"{above}{name}.")
        else:
            yield f"{above}{name}", written


def _enter(found: SweepFile, path: str, written: Mapping[str, Any]) -> None:
    kind = written.get("distribution")
    if "value" in written:
        found.entries[path] = written["value"]
    elif isinstance(written.get("values"), list):
        values = written["values"]
        found.entries[path] = {"choice": values} if len(values) > 1 else values[0] if values else None
        if "probabilities" in written:
            found.lost.append(f"{path}: a choice has no probabilities, so that its values are equally likely")
    elif (kind is None or kind in _RANGES) and _is_number(written.get("min")) and _is_number(written.get("max")):
        low, high = written["min"], written["max"]
        whole = isinstance(low, int) and isinstance(high, int)
        if kind in ("log_uniform", "q_log_uniform", "inv_log_uniform"):  # whose ends are exponents of e
            low, high = math.exp(low), math.exp(high)
        found.entries[path] = {_RANGES[kind] if kind else "int" if whole else "uniform": [low, high]}
        if str(kind).startswith("q_"):
            found.lost.append(f"{path}: a range has no steps, so that q is left out")
        if str(kind).startswith("inv_"):
            found.lost.append(f"{path}: {kind} is denser at its upper end; `log` is denser at its lower one")
    else:
        what = f"a range has two ends, and {kind} has none" if kind else "neither value, values, nor min and max"
        found.lost.append(f"{path}: {what}, so that it keeps its default")


def _options(found: SweepFile, content: Mapping[str, Any]) -> None:
    method, metric = content.get("method"), content.get("metric")
    found.options["sampler"] = "random" if method == "random" else "auto"
    if method not in ("random", "bayes", None):
        found.lost.append(f"method {method}: no sampler here draws so; the sampler is auto")
    if isinstance(metric, Mapping) and metric.get("name"):
        found.options["objective"] = metric["name"]
        goals = {goal: direction for direction, goal in GOALS.items()}
        found.options["direction"] = goals.get(metric.get("goal", "minimize"), "max")
    if isinstance(content.get("run_cap"), int):
        found.options["trials"] = content["run_cap"]
    rule = content.get("early_terminate")
    found.options["scheduler"] = "halving" if rule else "none"
    if rule:
        found.lost.append("early_terminate: successive halving over increments stands for W&B's hyperband")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
