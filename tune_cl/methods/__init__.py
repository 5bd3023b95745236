"""Methods: named compositions and the phases that they are made of. A method is one file here."""

import socket
from collections.abc import Iterable

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.methods import (
    feature_replay,
    finetune,
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
    Stateful,
)
from tune_cl.methods._plugins import Plugin, check_method, import_plugin, make_findable
from tune_cl.methods._sizes import stage_bytes
from tune_cl.methods._tree import Leaf, Settings, keyed, leaves, parameter, unflatten
from tune_cl.records import flatten

_METHODS = {
    module.METHOD.name: module.METHOD
    for module in (
        *(finetune, lwf, feature_replay, image_replay, genifer, oracle, joint),
        *(il_baseline, icarl, lucir, podnet),
    )
}


def method_names() -> list[str]:
    """The methods that can be named in a space file: the ladder from its lower end up, then the hosts with a memory."""
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

    Raises:
        TuneCLError: it is not sound, or its name or one of its kinds of phases is taken.
    """
    if _METHODS.get(method.name) is not method:
        check_method(method, _METHODS.values())
        _METHODS[method.name] = method


def load_plugins(modules: Iterable[str]) -> tuple[Plugin, ...]:
    """Import modules from outside the package and register their methods.

    Args:
        modules: importable names; each module has a METHOD, or a list METHODS.

    Returns:
        What another process needs in order to do the same (`load_again`).

    Raises:
        TuneCLError: a module cannot be imported, or its methods cannot be registered.
    """
    loaded = []
    for module in modules:
        plugin, methods = import_plugin(module)
        for method in methods:
            try:
                register(method)
            except TuneCLError as error:
                raise TuneCLError(f"--plugin {module}: {error}") from None
        loaded.append(plugin)
    return tuple(loaded)


def load_again(plugins: Iterable[Plugin]) -> None:
    """Load in a worker what the driver has loaded.

    Raises:
        TuneCLError: that is not possible here.
    """
    for plugin in plugins:
        make_findable(plugin)
        try:
            load_plugins([plugin.module])
        except TuneCLError as error:
            raise TuneCLError(
                f"{error} (on the node {socket.gethostname()}: a plugin must be there on all nodes)"
            ) from None


__all__ = [
    "CLASSIFIER",
    "CLASS_MEANS",
    "DISCRIMINATOR",
    "GENERATOR",
    "MEMORY",
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
    "parameter",
    "register",
    "stage_bytes",
    "unflatten",
]
