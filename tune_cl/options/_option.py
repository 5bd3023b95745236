"""An option: a field of a frozen record with a type, a default, bounds and a sentence, each written down once."""

import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any

from tune_cl.options._kinds import Kind


@dataclass(frozen=True)
class Option:
    """What a field says of itself, as `Annotated[type, Option(...)]`.

    Attributes:
        help: one sentence.
        kind: how its values are read and checked.
        group: heading that it stands under in `--help`.
        flag: its name on the command line, where that is not the field's; without dashes for a positional argument.
        in_shell: whether the command line has it; what is given as objects it has not.
    """

    help: str
    kind: Kind
    group: str = ""
    flag: str = ""
    in_shell: bool = True


@dataclass(frozen=True)
class Declared:
    """An option with its field's name and default.

    Attributes:
        name: of the field, as Python callers write it.
        flag: as the command line has it.
        default: MISSING where a value is required.
    """

    name: str
    flag: str
    default: Any
    option: Option


def declared(record: type) -> list[Declared]:
    """The options of a record in the order of their declarations, its own before those that it shares with others."""
    own = inspect.get_annotations(record)
    return [_declared(field) for field in sorted(fields(record), key=lambda field: field.name not in own)]


def _declared(field: "Field[Any]") -> Declared:
    option: Option = field.type.__metadata__[0]  # type: ignore[union-attr]
    factory = field.default_factory
    default = field.default if factory is MISSING else factory()
    return Declared(field.name, option.flag or f"--{field.name.replace('_', '-')}", default, option)


class Options:
    """Base of all records: checks every field that is not at its default, and brings it into one form."""

    def __post_init__(self) -> None:
        for known in declared(type(self)):
            value = getattr(self, known.name)
            if value is not known.default:
                object.__setattr__(self, known.name, known.option.kind.check(value, known.name))


def written(options: Options, leave_out: Sequence[str] = ()) -> list[str]:
    """A record as words of the command line, `--name=value`; defaults are left out.

    Args:
        options: the record.
        leave_out: names of fields.
    """
    return [word for known in declared(type(options)) if known.name not in leave_out for word in _words(known, options)]


def _words(known: Declared, options: Options) -> Iterator[str]:
    value = getattr(options, known.name)
    if value == known.default or not known.option.in_shell:
        return
    if value is True:
        yield known.flag
        return
    if isinstance(value, dict):
        plain = known.option.kind.metavar == "NAME=DIR"  # a folder, which is not quoted
        as_text = {p: v if plain and isinstance(v, str) else json.dumps(v, default=str) for p, v in value.items()}
        value = [f"{path}={item}" for path, item in as_text.items()]
    for item in value if isinstance(value, list | tuple) else [value]:
        if known.option.kind.objects and not isinstance(item, str):
            continue  # given again by the script that resumes
        yield f"{known.flag}={f'{item:.6f}'.rstrip('0').rstrip('.') if isinstance(item, float) else item}"
