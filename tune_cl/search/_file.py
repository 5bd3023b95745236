"""Space files: which method, on what, with which parameters fixed and which searched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records import given_text, parse_yaml
from tune_cl.search._options import Direction, check_direction, check_option, default_direction
from tune_cl.streams import dataset_names

_PACKAGE = "search_spaces"
_MAX_BYTES = 1_000_000
_OPTIONS = (
    "method",
    "stream",
    "budget",
    "preset",
    "trials",
    "base_configurations",
    "sampler",
    "scheduler",
    "objective",
    "direction",
    "protocol",
)
_SCALE_KEYS = ("like", "defaults", "data_sets", "note", "parameters", "budgets", "presets")
_PRESET_KEYS = ("defaults", "note", "parameters")


@dataclass(frozen=True)
class Preset:
    """A named set of values in place of a scale's own, such as those that a paper published."""

    defaults: Mapping[str, Any]  # path -> value, over the scale's and the budget's
    note: str = ""  # where they are from
    parameters: Mapping[str, Any] = field(default_factory=dict)  # path -> value or range, over the scale's


@dataclass(frozen=True)
class ScaleSettings:
    """What a space says for one scale of streams."""

    defaults: Mapping[str, Any]  # path -> value: network sizes and tuned-by-hand defaults
    note: str  # how the defaults were found
    budgets: Mapping[str, Mapping[str, Any]]  # budget -> path -> value: epochs and steps
    parameters: Mapping[str, Any] = field(default_factory=dict)  # path -> value or range, in place of the space's own
    data_sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # data set -> path -> value, over defaults
    presets: Mapping[str, Preset] = field(default_factory=dict)


@dataclass(frozen=True)
class SpaceFile:
    """A space file as written: its own structure is checked, its paths and ranges are not yet (see `resolve`)."""

    source: str  # what messages call the file
    method: str
    stream: str = "fashion-b4-t3"
    budget: str = "quick"
    preset: str | None = None  # one of the scale's presets; None for none
    trials: int = 8
    base_configurations: int | None = None  # distinct bases that a search may train; None for no limit
    sampler: str = "tpe"
    scheduler: str = "halving"
    objective: str = "val/average_incremental_accuracy"
    direction: Direction = "max"
    protocol: str = "stream"
    parameters: Mapping[str, Any] = field(default_factory=dict)  # path -> value or range
    scales: Mapping[str, ScaleSettings] = field(default_factory=dict)


def shipped_spaces() -> list[str]:
    """Names of the space files that come with tune_cl, such as `genifer.yaml`."""
    return sorted(entry.name for entry in resources.files(_PACKAGE).iterdir() if entry.name.endswith(".yaml"))


def load_space(path_or_name: str) -> SpaceFile:
    """Read a space file.

    Args:
        path_or_name: a path, or the name of a shipped file with or without `.yaml`; a file at the path comes first.

    Raises:
        TuneCLError: there is no such file, it cannot be read, or it is not a space file.
    """
    source, content = _find(path_or_name)
    return _space(_mapping(parse_yaml(content, source), source, "a space file is"), source)


def _find(path_or_name: str) -> tuple[str, str]:
    plain = path_or_name and "\0" not in path_or_name
    path = given_text(path_or_name, "--space") if plain else Path(path_or_name)
    if _is(path.is_file):
        return path_or_name, _read(path)
    name = path_or_name if path_or_name.endswith(".yaml") else f"{path_or_name}.yaml"
    shipped = shipped_spaces()
    if name in shipped:
        return f"{_PACKAGE}/{name}", resources.files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
    if path_or_name and _is(path.exists):
        raise TuneCLError(f"--space {path_or_name}: not a file; give a space file or one of {', '.join(shipped)}")
    known = near_matches(name, shipped) or f"; these are shipped: {', '.join(shipped)}"
    raise TuneCLError(f"--space {path_or_name}: no such file, and no shipped space of that name{known}")


def _is(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except (OSError, ValueError):  # a name too long or with a null byte, a folder without permission
        return False


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise TuneCLError(f"{path}: larger than 1 MB, which no space file is; give the YAML file of a space")
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise TuneCLError(f"{path}: not UTF-8 text; give the YAML file of a space") from None
    except OSError as error:
        raise TuneCLError(f"{path}: cannot be read ({error.strerror})") from None


def _space(content: Mapping[str, Any], source: str) -> SpaceFile:
    _check_keys(content, (*_OPTIONS, "parameters", "scales"), f"{source}: ", "a space file")
    if "method" not in content:
        raise TuneCLError(f"{source}: method: missing; write `method: genifer`, say")
    options = {key: check_option(key, content[key], f"{source}: {key}") for key in _OPTIONS if key in content}
    if "objective" in options:
        options = {"direction": default_direction(options["objective"]), **options}
    if "direction" in options:
        check_direction(options["direction"], options.get("objective", SpaceFile.objective), f"{source}: direction")
    parameters = _mapping(content.get("parameters", {}), f"{source}: parameters", "parameters are")
    return SpaceFile(source=source, **options, parameters=parameters, scales=_scales(content, source))


def _scales(content: Mapping[str, Any], source: str) -> dict[str, ScaleSettings]:
    where = f"{source}: scales"
    if not content.get("scales"):
        raise TuneCLError(
            f"{where}: missing; say for each scale its `defaults` and `budgets` (a shipped space shows how: "
            f"{', '.join(shipped_spaces())})"
        )
    scales: dict[str, ScaleSettings] = {}
    for name, scale in _mapping(content["scales"], where, "scales are").items():
        scales[name] = _scale(scale, f"{where}.{name}", scales)
    return scales


def _scale(content: Any, where: str, above: Mapping[str, ScaleSettings]) -> ScaleSettings:
    content = _mapping(content, where, "a scale is")
    _check_keys(content, _SCALE_KEYS, f"{where}.", "a scale")
    like = _scale_above(content["like"], f"{where}.like", above) if "like" in content else ScaleSettings({}, "", {})
    budgets = {
        name: _mapping({} if budget is None else budget, f"{where}.budgets.{name}", "a budget is")
        for name, budget in _mapping(content.get("budgets", {}), f"{where}.budgets", "budgets are").items()
    }
    if not budgets and not like.budgets:
        raise TuneCLError(f"{where}.budgets: missing; name at least one budget, such as `quick: {{}}`")
    presets = {
        name: _preset(preset, f"{where}.presets.{name}")
        for name, preset in _mapping(content.get("presets", {}), f"{where}.presets", "presets are").items()
    }
    return ScaleSettings(
        defaults={**like.defaults, **_mapping(content.get("defaults", {}), f"{where}.defaults", "defaults are")},
        note=_note(content, where, "how the defaults were found") or like.note,
        parameters={
            **like.parameters,
            **_mapping(content.get("parameters", {}), f"{where}.parameters", "parameters are"),
        },
        data_sets=_data_sets(content.get("data_sets", {}), f"{where}.data_sets"),
        presets={**like.presets, **presets},
        budgets={name: {**like.budgets.get(name, {}), **budgets.get(name, {})} for name in (*like.budgets, *budgets)},
    )


def _scale_above(name: Any, where: str, above: Mapping[str, ScaleSettings]) -> ScaleSettings:
    if not isinstance(name, str) or name not in above:
        known = f"these are: {', '.join(above)}" if above else "this one is the first"
        raise TuneCLError(f"{where}: {name!r} is no scale further up in this file; {known}")
    return above[name]


def _preset(content: Any, where: str) -> Preset:
    content = _mapping(content, where, "a preset is")
    _check_keys(content, _PRESET_KEYS, f"{where}.", "a preset")
    return Preset(
        defaults=_mapping(content.get("defaults", {}), f"{where}.defaults", "defaults are"),
        note=_note(content, where, "where its values are from"),
        parameters=_mapping(content.get("parameters", {}), f"{where}.parameters", "parameters are"),
    )


def _note(content: Mapping[str, Any], where: str, what: str) -> str:
    note = content.get("note", "")
    if not isinstance(note, str):
        raise TuneCLError(f"{where}.note: {note!r} is not text; say in words {what}")
    return " ".join(note.split())


def _data_sets(content: Any, where: str) -> dict[str, Mapping[str, Any]]:
    content = _mapping(content, where, "data sets are")
    for name in content:
        if name not in dataset_names():
            raise TuneCLError(f"{where}.{name}: no such data set{near_matches(str(name), dataset_names())}")
    return {name: _mapping(values, f"{where}.{name}", "a data set's defaults are") for name, values in content.items()}


def _check_keys(content: Mapping[str, Any], known: Sequence[str], place: str, subject: str) -> None:
    for key in content:
        if key not in known:
            hint = near_matches(key, known) or f"; {subject} has {', '.join(known)}"
            raise TuneCLError(f"{place}{key}: unknown key{hint}")


def _mapping(value: Any, where: str, subject: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        found = "empty" if value is None else f"a {_kind(value)}"
        raise TuneCLError(f"{where}: {found}, but {subject} a mapping of `key: value` lines")
    return value


def _kind(value: Any) -> str:
    return {list: "list", str: "piece of text", bool: "yes or no"}.get(type(value), "number")
