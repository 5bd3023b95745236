"""Space files: which method, on what, with which parameters fixed and which searched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.metrics import Direction, Objective
from tune_cl.streams import dataset_names
from tune_cl.study._extends import KeyPath, Written, mapping, read_space, shipped_spaces
from tune_cl.study._options import check_direction, check_option

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
    "seeds",
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
    """A space file with what it extends: its structure is checked, paths and ranges are not yet (see `resolve`)."""

    source: str  # what messages call the file
    method: str
    stream: str = "fashion-b4-t3"
    budget: str = "quick"
    preset: str | None = None  # one of the scale's presets; None for none
    trials: int = 8
    base_configurations: int | None = None  # distinct bases that a search may train; None for no limit
    sampler: str = "auto"
    scheduler: str = "halving"
    objective: str = "val/average_incremental_accuracy"
    direction: Direction = "max"
    protocol: str = "stream"
    seeds: str | None = None  # a race of the best trials, such as `finalists=3,top=0.25`; None for none
    parameters: Mapping[str, Any] = field(default_factory=dict)  # path -> value or range
    scales: Mapping[str, ScaleSettings] = field(default_factory=dict)
    wheres: Mapping[KeyPath, str] = field(default_factory=dict, compare=False)  # place of a value -> file and place

    def where(self, *place: str) -> str:
        """File and place of a value, such as `mine.yaml: scales.small28.defaults.PATH`, as a message begins with."""
        return self.wheres.get(place, f"{self.source}: {'.'.join(place)}")


def load_space(path_or_name: str) -> SpaceFile:
    """Read a space file with what it extends.

    Args:
        path_or_name: a path, or the name of a shipped file with or without `.yaml`; a file at the path comes first.

    Raises:
        TuneCLError: there is no such file, it cannot be read, or it is not a space file.
    """
    return _space(read_space(path_or_name))


def _space(written: Written) -> SpaceFile:
    content, source = written.content, written.source
    _check_keys(written, (), (*_OPTIONS, "parameters", "scales"), "a space file")
    if "method" not in content:
        raise TuneCLError(f"{source}: method: missing; write `method: genifer`, say")
    options = {key: check_option(key, content[key], written.where(key)) for key in _OPTIONS if key in content}
    if "objective" in options:
        right = Objective.parse(options["objective"]).direction(written.where("objective"))
        options = {"direction": right, **options}
    if "direction" in options:
        objective = options.get("objective", SpaceFile.objective)
        check_direction(options["direction"], objective, written.where("direction"))
    parameters = _mapping(written, ("parameters",), "parameters are")
    scales, wheres = _scales(written)
    return SpaceFile(source=source, **options, parameters=parameters, scales=scales, wheres=wheres)


def _scales(written: Written) -> tuple[dict[str, ScaleSettings], dict[KeyPath, str]]:
    """The scales, and where each value of theirs stands, those of another scale that `like` names among them."""
    if not written.content.get("scales"):
        raise TuneCLError(
            f"{written.where('scales')}: missing; say for each scale its `defaults` and `budgets` (a shipped space "
            f"shows how: {', '.join(shipped_spaces())})"
        )
    scales: dict[str, ScaleSettings] = {}
    wheres = dict(written.origins)
    for name in _mapping(written, ("scales",), "scales are"):
        scales[name] = _scale(written, name, scales)
        like = written.content["scales"][name].get("like")
        inherited = {place: where for place, where in wheres.items() if place[:2] == ("scales", like)}
        wheres = {**{("scales", name, *place[2:]): where for place, where in inherited.items()}, **wheres}
    return scales, wheres


def _scale(written: Written, name: str, above: Mapping[str, ScaleSettings]) -> ScaleSettings:
    place = ("scales", name)
    content = _mapping(written, place, "a scale is")
    _check_keys(written, place, _SCALE_KEYS, "a scale")
    like = _scale_above(written, (*place, "like"), above) if "like" in content else ScaleSettings({}, "", {})
    budgets = {
        budget: _mapping(written, (*place, "budgets", budget), "a budget is") if steps is not None else {}
        for budget, steps in _mapping(written, (*place, "budgets"), "budgets are").items()
    }
    if not budgets and not like.budgets:
        raise TuneCLError(
            f"{written.where(*place, 'budgets')}: missing; name at least one budget, such as `quick: {{}}`"
        )
    presets = {
        preset: _preset(written, (*place, "presets", preset))
        for preset in _mapping(written, (*place, "presets"), "presets are")
    }
    return ScaleSettings(
        defaults={**like.defaults, **_mapping(written, (*place, "defaults"), "defaults are")},
        note=_note(written, place, "how the defaults were found") or like.note,
        parameters={**like.parameters, **_mapping(written, (*place, "parameters"), "parameters are")},
        data_sets=_data_sets(written, (*place, "data_sets")),
        presets={**like.presets, **presets},
        budgets={name: {**like.budgets.get(name, {}), **budgets.get(name, {})} for name in (*like.budgets, *budgets)},
    )


def _scale_above(written: Written, place: KeyPath, above: Mapping[str, ScaleSettings]) -> ScaleSettings:
    name = written.at(place)
    if not isinstance(name, str) or name not in above:
        known = f"these are: {', '.join(above)}" if above else "this one is the first"
        raise TuneCLError(f"{written.where(*place)}: {name!r} is no scale further up in this file; {known}")
    return above[name]


def _preset(written: Written, place: KeyPath) -> Preset:
    _mapping(written, place, "a preset is")
    _check_keys(written, place, _PRESET_KEYS, "a preset")
    return Preset(
        defaults=_mapping(written, (*place, "defaults"), "defaults are"),
        note=_note(written, place, "where its values are from"),
        parameters=_mapping(written, (*place, "parameters"), "parameters are"),
    )


def _note(written: Written, place: KeyPath, what: str) -> str:
    note = written.at((*place, "note"), "")
    if not isinstance(note, str):
        raise TuneCLError(f"{written.where(*place, 'note')}: {note!r} is not text; say in words {what}")
    return " ".join(note.split())


def _data_sets(written: Written, place: KeyPath) -> dict[str, Mapping[str, Any]]:
    names = list(_mapping(written, place, "data sets are"))
    for name in names:
        if name not in dataset_names():
            known = near_matches(name, dataset_names())
            raise TuneCLError(f"{written.where(*place, name)}: no such data set{known}")
    return {name: _mapping(written, (*place, name), "a data set's defaults are") for name in names}


def _check_keys(written: Written, place: KeyPath, known: Sequence[str], subject: str) -> None:
    for key in written.at(place):
        if key not in known:
            hint = near_matches(key, known) or f"; {subject} has {', '.join(known)}"
            raise TuneCLError(f"{written.where(*place, key)}: unknown key{hint}")


def _mapping(written: Written, place: KeyPath, subject: str) -> Mapping[str, Any]:
    """The mapping at a place; empty where nothing is."""
    return mapping(written.at(place, {}), written.where(*place), subject)
