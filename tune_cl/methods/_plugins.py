"""What comes from outside the package: a module is imported, and what it calls METHOD or DATASET is looked at."""

import importlib
import keyword
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.methods._phase import Method, Phase
from tune_cl.methods._source import module_source
from tune_cl.methods._tree import Settings
from tune_cl.streams import Dataset

T = TypeVar("T")

# What names of a row, or of W&B's columns of it, begin with; those of phases stand beside them.
TAKEN = ("val", "test", "paid", "losses", "stages", "warnings", "R", "config")


@dataclass(frozen=True)
class Plugin:
    """A module that was imported here, and how another process finds it."""

    module: str
    folder: str | None  # the entry of sys.path that it was found in, None for a module without a file
    source: str  # sha256 of its source and of what it imports from its own folder


def import_plugin(name: str) -> tuple[Plugin, tuple[Method, ...], tuple[Dataset, ...]]:
    """Import a module.

    Args:
        name: dotted, as in an import statement.

    Returns:
        How another process finds it, its methods, and its data sets.

    Raises:
        TuneCLError: it cannot be imported, brings nothing, or has no source.
    """
    source = f"--plugin {name}"
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        named = ".".join(Path(name).with_suffix("").parts) if name.endswith(".py") else ""
        hint = f"; write {named}" if all(part.isidentifier() for part in named.split(".")) else ""
        raise TuneCLError(f"{source}: not the name of a module, such as my_method or my_package.my_method{hint}")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise TuneCLError(f"{source}: cannot be imported: {_last_line(error)}") from None
        hint = near_matches(name, _modules_nearby()) or "; it is looked for in the current folder, then as installed"
        raise TuneCLError(f"{source}: no module {error.name!r}{hint}") from None
    except (Exception, SystemExit) as error:
        raise TuneCLError(f"{source}: cannot be imported: {_last_line(error)}") from None
    place = f"{source} ({getattr(module, '__file__', None) or 'built in'})"
    methods = _members(module, place, "METHOD", Method, "tune_cl.methods.Method")
    datasets = _members(module, place, "DATASET", Dataset, "tune_cl.streams.Dataset")
    if not methods and not datasets:
        hint = near_matches("METHOD", vars(module)) or "; a plugin defines METHOD = Method(...)"
        raise TuneCLError(f"{place}: has no METHOD and no DATASET{hint}")
    try:
        return Plugin(name, _folder(module, name), module_source(module)), methods, datasets
    except TuneCLError as error:
        raise TuneCLError(f"{source}: {error}") from None


def make_findable(plugin: Plugin) -> None:
    """Have this process look for a plugin where the driver found it."""
    if plugin.folder is not None and plugin.folder not in sys.path:
        sys.path.insert(0, plugin.folder)
        importlib.invalidate_caches()


def check_method(method: Method, known: Iterable[Method]) -> None:
    """Check that a method can stand beside those that are known.

    Raises:
        TuneCLError: its name is taken or unfit, a phase has no parameters or parameters have no phase, or one of its
            kinds of phases is another procedure elsewhere, whose stages would be taken for its own.
    """
    known = list(known)
    where = f"method {method.name!r}"
    if not re.fullmatch(r"[A-Za-z0-9_-]+", str(method.name)):
        raise TuneCLError(f"{where}: unfit as a name, since folders are named after it; use letters, digits, _ and -")
    if any(method.name == other.name for other in known):
        raise TuneCLError(f"{where}: there is another method of that name already; give this one another")
    if not (isinstance(method.config, type) and issubclass(method.config, Settings)):
        raise TuneCLError(f"{where}: its config is no class derived from tune_cl.methods.Settings")
    try:
        config = method.config()
    except Exception as error:
        raise TuneCLError(f"{where}: its parameters have no allowed defaults: {_last_line(error)}") from None
    for part, phases in method.parts().items():
        if part == "base" and not phases:
            raise TuneCLError(f"{where}: has no phases in `base`; it needs at least one, which leaves a classifier")
        _check_names(where, phases, [phase.name for phase in phases if phase.needed(config)])
        for phase in phases:
            group: Any = getattr(getattr(config, part, None), phase.name, None)
            if not isinstance(group, Settings):
                raise TuneCLError(f"{where}: its phase {phase.name!r} needs a group of parameters {part}.{phase.name}")
            _check_kind(method, phase, known)
    _check_all_is_read(method, config)


def _check_names(where: str, phases: Iterable[Phase], together: Sequence[str]) -> None:
    """Check the names of the phases of one increment: groups of parameters, random numbers and columns go by them.

    `together` has the names of those that one configuration has: phases of one name may stand in for each other.
    """
    for name in (phase.name for phase in phases):
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise TuneCLError(
                f"{where}: {name!r} is unfit as the name of a phase, since a group of parameters has it; use letters, "
                "digits and _, and begin with a letter"
            )
        if name in TAKEN:
            raise TuneCLError(
                f"{where}: a phase cannot have the name {name!r}, since other columns of a row begin with it; taken "
                f"are {', '.join(TAKEN)}"
            )
        if together.count(name) > 1:
            raise TuneCLError(
                f"{where}: has two phases {name!r} in one increment, which would draw the same random numbers; give "
                "each a name of its own"
            )


def _check_all_is_read(method: Method, config: Settings) -> None:
    """Check that each group of parameters is one of a phase: another would be searched without effect."""
    phases = method.parts()
    unread = [name for name in type(config).model_fields if name not in phases]
    for part, its_phases in phases.items():
        groups = getattr(type(getattr(config, part)), "model_fields", {})
        unread += [f"{part}.{name}" for name in groups if name not in {phase.name for phase in its_phases}]
    if unread:
        raise TuneCLError(
            f"method {method.name!r}: no phase reads its parameters {' and '.join(unread)}; a phase is given the group "
            "base.<its name> or increment.<its name>, so add such a phase, or leave them out"
        )


def _check_kind(method: Method, phase: Any, known: Iterable[Method]) -> None:
    same = [
        (other, theirs)
        for other in known
        for phases in other.parts().values()
        for theirs in phases
        if (theirs.kind, theirs.version) == (phase.kind, phase.version)
    ]
    if same and not any(theirs.run is phase.run for _, theirs in same):
        raise TuneCLError(
            f"method {method.name!r}: its phase kind {phase.kind!r}, version {phase.version}, is another procedure in "
            f"method {same[0][0].name!r}, and stages are found by it; give the phase a kind of its own"
        )


def _members(module: ModuleType, place: str, name: str, kind: type[T], kind_name: str) -> tuple[T, ...]:
    """What a module calls `name`, and what it lists under the plural of that; each once."""
    found = vars(module)
    several = found.get(f"{name}S", ())
    if not isinstance(several, list | tuple):
        raise TuneCLError(f"{place}: {name}S is a {type(several).__name__}; write a list of {name.lower()}s")
    if f"{name}S" in found and not several:
        raise TuneCLError(f"{place}: {name}S is empty")
    members = [*several, *([found[name]] if name in found else [])]
    for member in members:
        if not isinstance(member, kind):
            where = name if member is found.get(name) else f"{name}S"
            raise TuneCLError(f"{place}: {where} holds a {type(member).__name__}, not a {kind_name}")
    return tuple(member for i, member in enumerate(members) if not any(member is m for m in members[:i]))


def _folder(module: ModuleType, name: str) -> str | None:
    """The folder that an import of `name` begins in."""
    if getattr(module, "__file__", None) is None:
        return None
    file = Path(str(module.__file__)).absolute()
    inside = file.parent.parent if hasattr(module, "__path__") else file.parent
    return str(inside.parents[name.count(".") - 1] if "." in name else inside)


def _modules_nearby() -> list[str]:
    """Names that could be imported from the current folder."""
    here = Path.cwd()
    return [*(file.stem for file in here.glob("*.py")), *(init.parent.name for init in here.glob("*/__init__.py"))]


def _last_line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip().splitlines()[-1]
