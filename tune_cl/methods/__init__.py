"""Methods: named compositions and the phases that they are made of. A method is one file here."""

import socket
import sys
from collections.abc import Iterable
from dataclasses import replace
from types import ModuleType

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.methods import (
    feature_replay,
    finetune,
    frozen,
    genifer,
    icarl,
    il_baseline,
    image_replay,
    joint,
    lucir,
    lwf,
    oracle,
    podnet,
)
from tune_cl.methods._phase import (
    CLASS_MEANS,
    CLASSIFIER,
    DISCRIMINATOR,
    GENERATOR,
    MEMORY,
    Checkpoint,
    Diverged,
    Extent,
    Method,
    Phase,
    PhaseContext,
    PhaseData,
    PhaseResult,
    Sizes,
    State,
)
from tune_cl.methods._plugins import Plugin, check_method, import_plugin, make_findable
from tune_cl.methods._replay_student import SPREAD, STUDENT, within_class_spread
from tune_cl.methods._sizes import stage_bytes
from tune_cl.methods._source import method_source, with_sources
from tune_cl.methods._tree import Leaf, Settings, keyed, leaves, parameter, unflatten
from tune_cl.records import flatten
from tune_cl.store import Stateful
from tune_cl.streams import register_dataset

_METHODS: dict[str, Method] = {
    module.METHOD.name: module.METHOD
    for module in (
        *(frozen, finetune, lwf, feature_replay, image_replay, genifer, oracle, joint),
        *(il_baseline, icarl, lucir, podnet),
    )
}
_OURS = tuple(phase.run for method in _METHODS.values() for part in method.parts().values() for phase in part)
_LOADED: dict[str, tuple[ModuleType, Plugin]] = {}  # modules from outside the package, as this process imported them


def method_names() -> list[str]:
    """The methods that can be named in a space file: the ladder from its lower end up, then the exemplar methods."""
    return list(_METHODS)


def get_method(name: str) -> Method:
    """Look a method up.

    Raises:
        TuneCLError: there is no such method.
    """
    if name not in _METHODS:
        raise TuneCLError(
            f"unknown method {name!r}{near_matches(name, _METHODS)} (known: {', '.join(_METHODS)}; a method from "
            "outside the package needs --plugin MODULE)"
        )
    return _METHODS[name]


def register(method: Method) -> None:
    """Make a method from outside the package known in this process; the same one again does nothing.

    Its phases get the hash of their source, which is read now: register a method right after it was imported.

    Raises:
        TuneCLError: it is not sound, has no source, or its name or one of its kinds of phases is taken.
    """
    known = _METHODS.get(method.name)
    if known is None or _as_made(known) != _as_made(method):
        check_method(method, _METHODS.values())
        _METHODS[method.name] = with_sources(method, _OURS)


def _as_made(method: Method) -> Method:
    """A method as its module has made it."""
    base, increment = (tuple(replace(p, source=None) for p in part) for part in (method.base, method.increment))
    return replace(method, base=base, increment=increment, judge=method.judge and replace(method.judge, source=None))


def load_plugins(modules: Iterable[str]) -> tuple[Plugin, ...]:
    """Import modules from outside the package and register their methods.

    Args:
        modules: importable names; each module has a METHOD, or a list METHODS.

    Returns:
        What another process needs in order to do the same (`load_again`).

    Raises:
        TuneCLError: a module cannot be imported, its methods cannot be registered, or its source has changed since this
            process imported it.
    """
    loaded = []
    for name in modules:
        plugin, methods, datasets = import_plugin(name)
        before = _loaded_here(name)
        if before is not None and before.source != plugin.source:
            raise TuneCLError(
                f"--plugin {name}: its source has changed since this process imported it, and what runs here is still "
                "the old one; restart the process (in a notebook: the kernel)"
            )
        for method in methods:
            try:
                register(method)
            except TuneCLError as error:
                raise TuneCLError(f"--plugin {name}: {error}") from None
        for dataset in datasets:
            try:
                register_dataset(dataset, name)
            except TuneCLError as error:
                raise TuneCLError(f"--plugin {name}: {error}") from None
        _LOADED[name] = (sys.modules[name], plugin)
        loaded.append(plugin)
    return tuple(loaded)


def _loaded_here(name: str) -> Plugin | None:
    """What this process read of a module when it imported it, if it has."""
    module, plugin = _LOADED.get(name, (None, None))
    return plugin if module is not None and sys.modules.get(name) is module else None


def load_again(plugins: Iterable[Plugin]) -> None:
    """Load in a worker what the driver has loaded.

    Raises:
        TuneCLError: that is not possible here, or what lies here is another source.
    """
    for plugin in plugins:
        before = _loaded_here(plugin.module)
        if before is not None and before.source == plugin.source:
            continue  # also where the file has changed since: what runs here is what was read
        make_findable(plugin)
        there = f"on the node {socket.gethostname()}: a plugin must be there on all nodes"
        try:
            (here,) = load_plugins([plugin.module])
        except TuneCLError as error:
            raise TuneCLError(f"{error} ({there})") from None
        if here.source != plugin.source:
            raise TuneCLError(
                f"--plugin {plugin.module}: its source here is another than where the search was started (SHA-256 "
                f"{here.source[:12]} here, {plugin.source[:12]} there; {there}, in the same version)"
            )


__all__ = [
    "CLASSIFIER",
    "CLASS_MEANS",
    "DISCRIMINATOR",
    "GENERATOR",
    "MEMORY",
    "SPREAD",
    "STUDENT",
    "Checkpoint",
    "Diverged",
    "Extent",
    "Leaf",
    "Method",
    "Phase",
    "PhaseContext",
    "PhaseData",
    "PhaseResult",
    "Plugin",
    "Settings",
    "Sizes",
    "State",
    "Stateful",
    "flatten",
    "get_method",
    "keyed",
    "leaves",
    "load_again",
    "load_plugins",
    "method_names",
    "method_source",
    "parameter",
    "register",
    "stage_bytes",
    "unflatten",
    "within_class_spread",
]
