"""Search spaces: a space file resolved for one method, scale and budget."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from tune_cl.errors import TuneCLError, near_matches, shown
from tune_cl.methods import Leaf, Settings, leaves, unflatten
from tune_cl.records import describe_validation, parse_yaml
from tune_cl.study._conditions import holds, in_order, parse_when, without_idle
from tune_cl.study._file import Preset, ScaleSettings, SpaceFile
from tune_cl.study._foreign import written_here
from tune_cl.study._ranges import Range, check_value, find_leaf, parse_range


@dataclass(frozen=True)
class SpaceRow:
    """One parameter in words."""

    path: str
    value: str  # a range, or the fixed value
    default: Any  # in trial 0
    searched: bool
    description: str


@dataclass(frozen=True)
class SearchSpace:
    """What a search varies and what it holds fixed; each path of the method is in exactly one of `fixed` and `ranges`.

    A condition (`when`) looks at the value in the configuration, be it sampled, fixed or a default. A range whose
    condition does not hold keeps its default.
    """

    config: type[Settings]
    fixed: Mapping[str, Any]
    ranges: Mapping[str, Range]  # parents before their conditional children, else as written
    default: Mapping[str, Any]  # every path: trial 0
    source: str  # what messages call the space

    def is_searched(self, path: str, sampled: Mapping[str, Any]) -> bool:
        """Say whether the range at a path counts, given what was sampled before it."""
        return holds(self.ranges[path].when, {**self.default, **sampled})

    def default_sample(self) -> dict[str, Any]:
        """What trial 0 would have had to sample to be the default."""
        return self.sample_of({})

    def sample_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of some values that count, and defaults for what else counts then: what would have been sampled."""
        sample: dict[str, Any] = {}
        for path in self.ranges:
            if self.is_searched(path, sample):
                sample[path] = values.get(path, self.default[path])
        return sample

    def configuration(self, sampled: Mapping[str, Any]) -> dict[str, Any]:
        """The method's whole configuration tree for a sample; what was not sampled takes its default.

        Raises:
            TuneCLError: the method refuses the combination.
            ValueError: a path of the sample is not searched.
        """
        model, complaint = self._model(sampled)
        if model is None:
            raise TuneCLError(f"{self.source}: {complaint}")
        return model.model_dump()

    def complaint(self, sampled: Mapping[str, Any]) -> str | None:
        """Why the method refuses the combination, or None where it does not."""
        return self._model(sampled)[1]

    def searched_changes_base(self) -> bool:
        """Say whether trials may differ in their base task, so that it is trained more than once."""
        return any(is_base(path) for path in self.ranges)

    def base_of(self, sampled: Mapping[str, Any]) -> str:
        """The base configuration of a sample, as a text that is equal where the whole `base` subtree is equal."""
        return json.dumps(
            {path: value for path, value in {**self.default, **sampled}.items() if is_base(path)}, sort_keys=True
        )

    def written_ranges(self) -> dict[str, Any]:
        """The ranges as in a space file (JSON-able)."""
        return {path: range_.written() for path, range_ in self.ranges.items()}

    def describe(self) -> list[SpaceRow]:
        """One row per parameter, the searched ones first."""
        known = leaves(self.config)
        paths = [*self.ranges, *(path for path in known if path not in self.ranges)]
        return [
            SpaceRow(
                path=path,
                value=str(self.ranges.get(path, self.default[path])),
                default=self.default[path],
                searched=path in self.ranges,
                description=known[path].description,
            )
            for path in paths
        ]

    def _model(self, sampled: Mapping[str, Any]) -> tuple[Settings | None, str | None]:
        unknown = sampled.keys() - self.ranges.keys()
        if unknown:
            raise ValueError(f"not searched: {', '.join(sorted(unknown))}")
        try:
            return self.config.model_validate(unflatten({**self.default, **sampled})), None
        except ValidationError as error:
            return None, describe_validation(error, "")


def is_base(path: str) -> bool:
    """Say whether a parameter belongs to the base task."""
    return path.startswith("base.")


def parse_override(text: str) -> tuple[str, Any]:
    """Read `path=value` of `--set`; the value is a number, text, true/false, or an inline range.

    Example:
        >>> parse_override("increment.classifier.learning_rate={log: [1e-4, 1e-2]}")
        ('increment.classifier.learning_rate', {'log': [0.0001, 0.01]})

    Raises:
        TuneCLError: it is not of that form.
    """
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path or not value.strip():
        raise TuneCLError(f"--set {text}: write path=value, such as increment.classifier.learning_rate=1e-3")
    return path, parse_yaml(value, f"--set {path}")


def resolve(
    space: SpaceFile,
    *,
    config: type[Settings],
    scale: str,
    budget: str,
    overrides: Mapping[str, Any],
    data_set: str = "",
    preset: str | None = None,
) -> SearchSpace:
    """Settle every parameter: method's default < scale's < budget's < `parameters` < scale's `parameters` < overrides.

    What a scale says of the data set comes right after the scale's own defaults. A preset's defaults come after the
    budget's, its `parameters` after the scale's.

    An entry replaces an earlier one whole, a range with its conditions; only the default is inherited by a range that
    names none. Every scale and budget of the file is checked, the chosen ones are used.

    Args:
        space: the space file.
        config: the method's configuration tree.
        scale: the stream's scale, such as `small28`.
        budget: `quick`, `full` or what else the file offers.
        overrides: path -> value or range, as `parse_override` reads them.
        data_set: name of the stream's data set, for what the scale says of it.
        preset: name of one of the scale's presets; None for the space's own choice, if it has made one.

    Raises:
        TuneCLError: an entry is wrong (file and key are named), or trial 0 would not be an allowed configuration.
    """
    draft = _Draft(leaves(config), space.where)
    draft.check_scales(space.scales)
    at = ("scales", scale)
    chosen = _pick(space.scales, scale, space.where("scales"), "scale")
    steps = _pick(chosen.budgets, budget, space.where(*at, "budgets"), "budget")
    draft.fix_all(chosen.defaults, *at, "defaults")
    if data_set in chosen.data_sets:
        draft.fix_all(chosen.data_sets[data_set], *at, "data_sets", data_set)
    draft.fix_all(steps, *at, "budgets", budget)
    name = space.preset if preset is None else preset
    wanted = Preset({}) if name is None else _pick(chosen.presets, name, space.where(*at, "presets"), "preset")
    draft.fix_all(wanted.defaults, *at, "presets", str(name), "defaults")
    draft.enter_all(space.parameters, "parameters")
    draft.enter_all(chosen.parameters, *at, "parameters")
    draft.enter_all(wanted.parameters, *at, "presets", str(name), "parameters")
    for path, raw in overrides.items():
        draft.enter(path, raw, f"--set {path}")
    ranges = draft.checked_ranges(set(overrides))
    fixed = {path: value for path, value in draft.default.items() if path not in ranges}
    resolved = SearchSpace(config, fixed, ranges, draft.default, space.source)
    complaint = resolved.complaint({})
    if complaint is None:
        return resolved
    if overrides:
        # What the file alone has wrong.
        resolve(space, config=config, scale=scale, budget=budget, overrides={}, data_set=data_set, preset=preset)
    raise TuneCLError(
        f"{with_options(space.source, overrides)}: the default configuration (trial 0) is not allowed: {complaint}"
    )


def space_around(
    config: type[Settings], values: Mapping[str, Any], ranges: Mapping[str, Any], source: str
) -> SearchSpace:
    """The space of a configuration in which some parameters are searched.

    Args:
        config: the method's configuration tree.
        values: path -> value of every parameter: trial 0.
        ranges: path -> range as in a space file.
        source: what messages call the space.

    Raises:
        TuneCLError: a path is unknown, a range malformed, or the value of trial 0 outside of it.
    """
    draft = _Draft(leaves(config), lambda *place: f"{source}: {place[-1]}")
    draft.default = dict(values)
    for path, raw in ranges.items():
        leaf = find_leaf(draft.known, path, draft.where(path))
        if not isinstance(raw, Mapping):
            hint = written_here(leaf, raw) or "; a range is written {log: [low, high]} or {choice: [first, second]}"
            raise TuneCLError(f"{draft.where(path)}: {shown(raw)} is no range{hint}")
        draft.enter(path, raw, draft.where(path))
        draft.default[path] = values[path]
    found = draft.checked_ranges(set())
    fixed = {path: value for path, value in values.items() if path not in found}
    return SearchSpace(config, fixed, found, dict(values), source)


def with_options(source: object, overrides: Iterable[str]) -> str:
    """A file, and the paths that `--set` changes of it, for messages."""
    options = " and ".join(f"--set {path}" for path in overrides)
    return f"{source} with {options}" if options else str(source)


@dataclass
class _Draft:
    """A search space in the making."""

    known: Mapping[str, Leaf]
    where: Callable[..., str]  # keys of a file -> what messages call the place
    default: dict[str, Any] = field(init=False)
    ranges: dict[str, Range] = field(default_factory=dict)
    wheres: dict[str, str] = field(default_factory=dict)  # path -> where its range was written

    def __post_init__(self) -> None:
        self.default = {path: leaf.default for path, leaf in self.known.items()}

    def check_scales(self, scales: Mapping[str, ScaleSettings]) -> None:
        for name, scale in scales.items():
            at = ("scales", name)
            self._values(scale.defaults, *at, "defaults")
            _Draft(self.known, self.where).enter_all(scale.parameters, *at, "parameters")
            for data_set, values in scale.data_sets.items():
                self._values(values, *at, "data_sets", data_set)
            for preset, its in scale.presets.items():
                self._values(its.defaults, *at, "presets", preset, "defaults")
                _Draft(self.known, self.where).enter_all(its.parameters, *at, "presets", preset, "parameters")
            for budget, steps in scale.budgets.items():
                self._values(steps, *at, "budgets", budget)

    def fix_all(self, values: Mapping[str, Any], *place: str) -> None:
        self.default.update(self._values(values, *place))

    def enter_all(self, entries: Mapping[str, Any], *place: str) -> None:
        for path, raw in entries.items():
            self.enter(path, raw, self.where(*place, path))

    def enter(self, path: str, raw: Any, where: str) -> None:
        leaf = find_leaf(self.known, path, where)
        if not isinstance(raw, Mapping):
            self.default[path] = check_value(leaf, raw, where)
            self.ranges.pop(path, None)
            return
        range_, default = parse_range(leaf, raw, where)
        if "when" in raw:
            range_ = replace(range_, when=parse_when(self.known, path, raw["when"], where))
        self.ranges[path], self.wheres[path] = range_, where
        if default is not None:
            self.default[path] = default

    def checked_ranges(self, overridden: set[str]) -> dict[str, Range]:
        for path, range_ in self.ranges.items():
            if not range_.contains(self.default[path]):
                raise TuneCLError(
                    f"{self.wheres[path]}: the default {self.default[path]!r} lies outside the range ({range_}); "
                    "add `default: v` with a value within the range, or widen it"
                )
        return without_idle(in_order(self.ranges, self.wheres), self.default, self.wheres, overridden)

    def _values(self, values: Mapping[str, Any], *place: str) -> dict[str, Any]:
        checked = {}
        for path, value in values.items():
            where = self.where(*place, path)
            leaf = find_leaf(self.known, path, where)
            if isinstance(value, Mapping):
                raise TuneCLError(f"{where}: a range belongs under `parameters`; here write one value")
            checked[path] = check_value(leaf, value, where)
        return checked


def _pick(known: Mapping[str, Any], name: str, where: str, kind: str) -> Any:
    if name not in known:
        hint = near_matches(name, known)
        has = f"this space has {', '.join(known)}" if known else "this space has none there"
        raise TuneCLError(f"{where}: no {kind} {name!r}; {has}{hint}")
    return known[name]
