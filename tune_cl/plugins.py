"""Plug-ins: modules from outside the package that bring methods, networks, data sets, metrics, samplers and others.

A plug-in is a module, a path to a `.py` file, or an entry point of the group `tune_cl.plugins` of an installed package.
What it brings stands in constants named after the kind: `METHOD`, `NETWORK`, `DATASET`, `METRIC`, `SAMPLER`,
`STOPPING_RULE`, `TRACKER`, or a list under the plural.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.methods import module_source
from tune_cl.registry import Origin

ENTRY_POINTS = "tune_cl.plugins"
_LOADED: dict[str, tuple[ModuleType, "Plugin"]] = {}  # as this process imported them


@dataclass(frozen=True)
class Plugin:
    """A module that was imported here, and how another process finds it."""

    module: str
    folder: str | None  # the entry of sys.path that it was found in, None for a module without a file
    source: str  # sha256 of its source and of what it imports from its own folder


@dataclass(frozen=True)
class _Kind:
    """What a plug-in may bring."""

    constant: str  # a list of several is under its plural
    what: str  # the type that is wanted, for messages
    is_one: Callable[[Any], bool]
    register: Callable[[Any, Origin], None]


def load_plugins(plugins: Iterable[str]) -> tuple[Plugin, ...]:
    """Load plug-ins, those of installed packages (entry points) first, and make known what they bring.

    Args:
        plugins: importable names (`my_package.my_method`) and paths of files (`plugins/my_sampler.py`).

    Returns:
        What another process needs in order to do the same (`load_again`).

    Raises:
        TuneCLError: one cannot be imported, brings nothing or something unfit, has no source, or its source has changed
            since this process imported it.
    """
    installed = [(entry.module, f"plug-in {entry.name!r} of an installed package") for entry in _entry_points()]
    named = [(_importable(plugin), f"--plugin {plugin}") for plugin in plugins]
    return tuple(_load(module, where) for module, where in [*installed, *named])


def load_again(plugins: Iterable[Plugin]) -> None:
    """Load in a worker what the driver has loaded.

    Raises:
        TuneCLError: that is not possible here, or what lies here is another source.
    """
    for plugin in plugins:
        before = _loaded_here(plugin.module)
        if before is not None and before.source == plugin.source:
            continue  # also where the file has changed since: what runs here is what was read
        _make_findable(plugin.folder)
        there = f"on the node {socket.gethostname()}: a plugin must be there on all nodes"
        where = f"--plugin {plugin.module}"
        try:
            here = _load(plugin.module, where)
        except TuneCLError as error:
            raise TuneCLError(f"{error} ({there})") from None
        if here.source != plugin.source:
            raise TuneCLError(
                f"{where}: its source here is another than where the search was started (SHA-256 {here.source[:12]} "
                f"here, {plugin.source[:12]} there; {there}, in the same version)"
            )


def _kinds() -> Iterator[_Kind]:
    # Imported here, so that a process without a sampler of its own needs no Optuna.
    from tune_cl.methods import Method, register

    yield _Kind("METHOD", "a tune_cl.methods.Method", _instance_of(Method), lambda method, _: register(method))

    from tune_cl.streams import Dataset, register_dataset

    yield _Kind("DATASET", "a tune_cl.streams.Dataset", _instance_of(Dataset), register_dataset)

    from tune_cl.metrics import Metric, register_metric

    yield _Kind("METRIC", "a tune_cl.metrics.Metric", _instance_of(Metric), register_metric)

    from tune_cl.nets import Network, register_network

    yield _Kind("NETWORK", "a tune_cl.nets.Network", _instance_of(Network), register_network)

    from tune_cl.tracking import register_tracker

    yield _Kind(
        "TRACKER",
        "a class with the methods handle and close, see tune_cl.tracking.Tracker",
        lambda member: callable(getattr(member, "handle", None)) and callable(getattr(member, "close", None)),
        register_tracker,
    )

    def is_sampler(member: Any) -> bool:
        from tune_cl.study import Sampler

        return isinstance(member, type) and issubclass(member, Sampler)

    def add_sampler(member: Any, origin: Origin) -> None:
        from tune_cl.study import register_sampler

        register_sampler(member, origin)

    yield _Kind("SAMPLER", "a class derived from tune_cl.study.Sampler", is_sampler, add_sampler)

    def is_rule(member: Any) -> bool:
        from tune_cl.study import StoppingRule

        return isinstance(member, type) and issubclass(member, StoppingRule)

    def add_rule(member: Any, origin: Origin) -> None:
        from tune_cl.study import register_stopping_rule

        register_stopping_rule(member, origin)

    yield _Kind("STOPPING_RULE", "a class derived from tune_cl.study.StoppingRule", is_rule, add_rule)


def _instance_of(kind: type) -> Callable[[Any], bool]:
    return lambda member: isinstance(member, kind)


def _load(name: str, where: str) -> Plugin:
    module = _imported(name, where)
    place = f"{where} ({getattr(module, '__file__', None) or 'built in'})"
    found = [(kind, member) for kind in _kinds() for member in _members(module, kind, place)]
    if not found:
        constants = [kind.constant for kind in _kinds()]
        hint = near_matches("METHOD", vars(module)) or "; define METHOD = Method(...), say"
        raise TuneCLError(f"{place}: has none of {', '.join(constants)}{hint}")
    try:
        plugin = Plugin(name, _folder(module, name), module_source(module))
    except TuneCLError as error:
        raise TuneCLError(f"{where}: {error}") from None
    before = _loaded_here(name)
    if before is not None and before.source != plugin.source:
        raise TuneCLError(
            f"{where}: its source has changed since this process imported it, and what runs here is still the old one; "
            "restart the process (in a notebook: the kernel)"
        )
    for kind, member in found:
        try:
            kind.register(member, Origin(name, plugin.source))
        except TuneCLError as error:
            raise TuneCLError(f"{where}: {error}") from None
    _LOADED[name] = (module, plugin)
    return plugin


def _imported(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise TuneCLError(f"{where}: cannot be imported: {_last_line(error)}") from None
        hint = near_matches(name, _modules_nearby()) or "; it is looked for in the current folder, then as installed"
        raise TuneCLError(f"{where}: no module {error.name!r}{hint}") from None
    except (Exception, SystemExit) as error:
        raise TuneCLError(f"{where}: cannot be imported: {_last_line(error)}") from None


def _members(module: ModuleType, kind: _Kind, place: str) -> list[Any]:
    """What a module has of a kind; each once."""
    found, several_name = vars(module), f"{kind.constant}S"
    several = found.get(several_name, ())
    if not isinstance(several, list | tuple):
        raise TuneCLError(f"{place}: {several_name} is a {type(several).__name__}; write a list")
    if several_name in found and not several:
        raise TuneCLError(f"{place}: {several_name} is empty")
    members = [*((several_name, m) for m in several)]
    members += [(kind.constant, found[kind.constant])] if kind.constant in found else []
    for name, member in members:
        if not kind.is_one(member):
            what = member.__name__ if isinstance(member, type) else f"a {type(member).__name__}"
            raise TuneCLError(f"{place}: {name} holds {what}, not {kind.what}")
    unique: list[Any] = []
    for _, member in members:
        if not any(member is other for other in unique):
            unique.append(member)
    return unique


def _importable(plugin: str) -> str:
    """The name under which a plug-in can be imported; the folder of a file is put where imports look.

    Raises:
        TuneCLError: it is neither the name of a module nor a file.
    """
    where = f"--plugin {plugin}"
    if not plugin.endswith(".py"):
        if all(part.isidentifier() for part in plugin.split(".")):
            return plugin
        raise TuneCLError(f"{where}: write the name of a module, such as my_package.my_method, or a path to a .py file")
    file = Path(plugin).expanduser().absolute()
    if not file.is_file():
        raise TuneCLError(f"{where}: no such file")
    root, parts = file.parent, [file.stem]
    while (root / "__init__.py").is_file():  # a file of a package is imported as such
        root, parts = root.parent, [root.name, *parts]
    name = ".".join(parts)
    if not all(part.isidentifier() for part in parts):
        raise TuneCLError(f"{where}: {file.stem!r} cannot be imported; rename the file, with letters, digits and _")
    known = sys.modules.get(name)
    if known is None:
        _make_findable(str(root))
        spec = importlib.util.find_spec(name)
        origin = None if spec is None else spec.origin
    else:
        origin = getattr(known, "__file__", None)
    if origin is None or not os.path.exists(origin) or not os.path.samefile(origin, file):
        raise TuneCLError(f"{where}: another module has the name {name!r} ({origin or 'built in'}); rename the file")
    return name


def _make_findable(folder: str | None) -> None:
    """Have this process look for modules in a folder."""
    if folder is not None and folder not in sys.path:
        sys.path.insert(0, folder)
        importlib.invalidate_caches()


@cache
def _entry_points() -> list[importlib.metadata.EntryPoint]:
    return sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)


def _loaded_here(name: str) -> Plugin | None:
    """What this process read of a module when it imported it, if it has."""
    module, plugin = _LOADED.get(name, (None, None))
    return plugin if module is not None and sys.modules.get(name) is module else None


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
