"""Space files as W&B sweep files, and the other way round."""

import math
from collections.abc import Mapping
from typing import Any

import yaml

from tune_cl.api.asked import changes_of, what_is_asked
from tune_cl.api.plugins import load_named
from tune_cl.engine import fitting_scale
from tune_cl.errors import TuneCLError, near_matches
from tune_cl.methods import Leaf, get_method, leaves
from tune_cl.options import SearchOptions, SweepOptions
from tune_cl.records import StreamRecord, given_file, parse_yaml
from tune_cl.streams import shape_of
from tune_cl.study import SearchSpace, SpaceFile, check_option, load_space, resolve
from tune_cl.wandb import SweepFile, export_sweep, import_sweep


def exported(options: SweepOptions) -> tuple[str, list[str]]:
    """The text of a W&B sweep file for a space, and a sentence for each thing that it cannot express.

    Raises:
        TuneCLError: the space, or an option, is not in order.
    """
    load_named(options.plugins)
    asked = what_is_asked(
        SearchOptions(
            options.file,
            stream=options.stream,
            budget=options.budget,
            preset=options.preset,
            overrides=changes_of(options.overrides),
        ),
        None,
        only_look=True,
    )
    said = {**asked.option, "method": asked.method.name, "direction": asked.file.direction}
    content, lost = export_sweep(said, asked.space.written_ranges(), asked.space.fixed, asked.name)
    return _text(content, f"A W&B sweep of {asked.method.name} on {asked.stream.name}, for `wandb sweep`."), lost


def imported(options: SweepOptions) -> tuple[str, list[str]]:
    """The text of a space file for a W&B sweep file, and a sentence for each thing that it cannot express.

    Raises:
        TuneCLError: it is no sweep file, it names no method, or a range in it is not allowed.
    """
    load_named(options.plugins)
    path = given_file(options.file, "FILE")
    content = parse_yaml(path.read_text(encoding="utf-8", errors="replace"), str(path))
    if not isinstance(content, Mapping):
        raise TuneCLError(f"{path}: no W&B sweep: it is no mapping of `key: value` lines")
    sweep = import_sweep(content, str(path))
    named = options.space if options.space is not None else sweep.options.get("method")
    if named is None:
        raise TuneCLError(f"{path}: names no method; name the space that it is imported into, such as --space lwf")
    base = load_space(str(named))
    said = _options(options, base, sweep)
    space, scale = _space(base, said, {})
    parameters = _parameters(space, sweep)
    try:
        _space(base, said, parameters, scale)
    except TuneCLError as error:
        raise TuneCLError(f"{path}: {str(error).replace('--set ', '')}") from None
    file = {"method": base.method, "extends": str(named), **said, "parameters": parameters}
    return _text(file, f"Imported from the W&B sweep {path.name}."), sweep.lost


def _options(options: SweepOptions, base: SpaceFile, sweep: SweepFile) -> dict[str, Any]:
    """What the options and the sweep say in place of the space."""
    said: dict[str, Any] = {"stream": base.stream, "budget": base.budget}
    for name, value in sweep.options.items():
        if name in ("method", "direction"):
            continue
        try:
            said[name] = check_option(name, value, name)
        except TuneCLError as error:
            sweep.lost.append(f"{error}; it is left out")
    for name in ("stream", "budget", "preset"):
        if getattr(options, name) is not None:
            said[name] = check_option(name, getattr(options, name), f"--{name}")
    return said


def _space(
    base: SpaceFile, said: Mapping[str, Any], changes: Mapping[str, Any], scale: str | None = None
) -> tuple[SearchSpace, str]:
    data_set = shape_of(StreamRecord(name=said["stream"])).dataset
    scale = scale or fitting_scale(base, data_set)
    space = resolve(
        base,
        config=get_method(base.method).config,
        scale=scale,
        budget=said["budget"],
        overrides=changes,
        data_set=data_set.name,
        preset=said.get("preset"),
    )
    return space, scale


def _parameters(space: SearchSpace, sweep: SweepFile) -> dict[str, Any]:
    """What the sweep says in place of the space; what only the space searches is fixed at its default."""
    known, found = leaves(space.config), {}
    for path, entry in sweep.entries.items():
        if path not in known:
            sweep.lost.append(f"{path}: no such parameter{near_matches(path, known)}; it is left out")
        elif isinstance(entry, Mapping):
            found[path] = _range(known[path], path, entry, space.default[path], sweep.lost)
        elif path in space.ranges or entry != space.default[path]:
            found[path] = entry
    fixed = {path: space.default[path] for path in space.ranges if path not in found}
    return {**found, **fixed}


def _range(leaf: Leaf, path: str, entry: Mapping[str, Any], default: Any, lost: list[str]) -> dict[str, Any]:
    """A range of a kind that suits the parameter, with a default where the space's own lies outside."""
    ((kind, values),) = entry.items()
    if kind == "choice":
        return dict(entry) if default in values else _with_default(path, entry, values[0], lost)
    low, high = values
    if leaf.kind is int and kind != "int":
        lost.append(f"{path}: takes whole numbers, so that {kind} becomes int")
        kind, low, high = "int", math.ceil(low), math.floor(high)
    elif leaf.kind is float and kind == "int":
        kind = "uniform"
    middle = math.sqrt(low * high) if kind == "log" else (low + high) / 2
    found = {kind: [low, high]}
    if low <= default <= high:
        return found
    return _with_default(path, found, round(middle) if kind == "int" else middle, lost)


def _with_default(path: str, entry: Mapping[str, Any], default: Any, lost: list[str]) -> dict[str, Any]:
    lost.append(f"{path}: a sweep has no default, and the space's lies outside; trial 0 takes {default}")
    return {**entry, "default": default}


def _text(content: Mapping[str, Any], heading: str) -> str:
    return f"# {heading}\n{yaml.safe_dump(dict(content), sort_keys=False, width=math.inf, allow_unicode=True)}"
