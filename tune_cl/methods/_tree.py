"""Configuration trees: what a method can be told, as typed, bounded leaves with paths like `base.classifier.epochs`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo


class Settings(BaseModel):
    """Base of every configuration model: typed, bounded, immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Leaf:
    """One parameter of a method."""

    path: str
    kind: type  # bool, int, float or str
    default: Any
    low: float | None  # inclusive unless exclusive_low
    high: float | None
    exclusive_low: bool
    choices: tuple[Any, ...] | None
    description: str
    source: str
    later: bool = False  # see `parameter`

    def allows(self, value: Any) -> bool:
        """Say whether a value is of the leaf's type, within its bounds, among its choices."""
        if self.choices is not None:
            return value in self.choices
        if self.kind is bool:
            return isinstance(value, bool)
        if isinstance(value, bool) or not isinstance(value, int | float if self.kind is float else self.kind):
            return False
        if not isinstance(value, int | float):
            return True
        above = self.low is None or (value > self.low if self.exclusive_low else value >= self.low)
        return above and (self.high is None or value <= self.high)

    def bounds(self) -> str:
        """The leaf's domain in words."""
        if self.choices is not None:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        low = "" if self.low is None else f"{'above' if self.exclusive_low else 'at least'} {self.low:g}"
        high = "" if self.high is None else f"at most {self.high:g}"
        return " and ".join([self.kind.__name__, *filter(None, [low, high])]).replace(" and ", ", ", 1)


def parameter(
    default: Any,
    description: str,
    *,
    source: str,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    later: bool = False,
    choices: Callable[[], tuple[str, ...]] | None = None,
) -> Any:
    """Declare a parameter: default, one sentence (with the unit where there is one), bounds, source of the default.

    `choices`: gives the names that there are now, where plug-ins may bring others; the model checks them itself.

    `later`: it came after stages had been trained without it; at its default it is left out of stage keys, so that
    those stages are found. Its default must then mean what was done before it was there.
    """
    extra: dict[str, Any] = {
        "source": source,
        **({"later": True} if later else {}),
        **({"choices": choices} if choices else {}),
    }
    return Field(default, description=description, ge=ge, gt=gt, le=le, json_schema_extra=extra)


def keyed(config: Settings) -> dict[str, Any]:
    """What a stage key holds of a phase's subtree, as plain JSON data: all but later parameters at their default."""
    values = config.model_dump(mode="json")
    for name, info in type(config).model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and extra.get("later") and getattr(config, name) == info.default:
            del values[name]
    return values


def method_config(
    base: Mapping[str, type[Settings]], increment: Mapping[str, type[Settings]], rules: type[Settings] = Settings
) -> type[Settings]:
    """A method's configuration tree out of the parameters of its phases.

    Args:
        base: phase of the base task -> its parameters.
        increment: phase of every increment after it -> its parameters.
        rules: a class with validators over the whole tree, whose fields `base` and `increment` it does not declare.

    Example:
        >>> method_config(base={"classifier": BaseClassifier}, increment={"classifier": LwfClassifier})
    """
    holders = {}
    for part, phases in {"base": base, "increment": increment}.items():
        groups: dict[str, Any] = {name: (group, group()) for name, group in phases.items()}
        holders[part] = create_model(part.title(), __base__=Settings, **groups)
    tree: dict[str, Any] = {part: (holder, holder()) for part, holder in holders.items()}
    return create_model("MethodConfig", __base__=rules, **tree)


def leaves(config: type[BaseModel], prefix: str = "") -> dict[str, Leaf]:
    """Every parameter of a configuration tree by its dotted path."""
    found: dict[str, Leaf] = {}
    for name, info in config.model_fields.items():
        path = f"{prefix}{name}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found.update(leaves(info.annotation, f"{path}."))
        else:
            found[path] = _leaf(path, info)
    return found


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` -> `{"a": {"b": 1}}`."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *branches, name = path.split(".")
        node = tree
        for branch in branches:
            node = node.setdefault(branch, {})
        node[name] = value
    return tree


def _leaf(path: str, info: FieldInfo) -> Leaf:
    choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else None
    low: Any = None
    high: Any = None
    exclusive = False
    for bound in info.metadata:
        if isinstance(bound, annotated_types.Ge):
            low = bound.ge
        elif isinstance(bound, annotated_types.Gt):
            low, exclusive = bound.gt, True
        elif isinstance(bound, annotated_types.Le):
            high = bound.le
    extra: dict[str, Any] = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    choices = extra["choices"]() if "choices" in extra else choices
    kind = type(choices[0]) if choices else info.annotation
    return Leaf(
        path=path,
        kind=kind,  # type: ignore[arg-type]
        default=info.default,
        low=low,
        high=high,
        exclusive_low=exclusive,
        choices=choices,
        description=info.description or "",
        source=str(extra.get("source", "")),
        later=bool(extra.get("later", False)),
    )
