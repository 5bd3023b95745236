"""What a method is: phases, their parameters, what they are given; and the methods that are known, by name."""

import re
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

from tune_cl.methods._checks import check_method
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
from tune_cl.methods._source import method_source, module_source, with_sources
from tune_cl.methods._tree import Leaf, Settings, keyed, leaves, method_config, parameter, unflatten
from tune_cl.records import flatten
from tune_cl.registry import Registry
from tune_cl.store import Stateful

_SHIPPED = (
    *("frozen", "finetune", "lwf", "feature_replay", "image_replay", "genifer", "oracle", "joint"),
    *("il_baseline", "icarl", "lucir", "podnet"),
)
METHODS: Registry[Method] = Registry(  # imported late: each brings networks and losses of its own
    "method",
    shipped={name: partial(lambda name: import_module(f"tune_cl.zoo.{name}").METHOD, name) for name in _SHIPPED},
    form=re.compile("[A-Za-z0-9_-]+"),
)


def method_names() -> list[str]:
    """The methods that can be named in a space file: the ladder from its lower end up, then the exemplar methods."""
    return METHODS.names()


def get_method(name: str) -> Method:
    """Look a method up.

    Raises:
        TuneCLError: there is no such method.
    """
    return METHODS.get(name, "method")


def register(method: Method) -> None:
    """Make a method from outside the package known in this process; the same one again does nothing.

    Its phases get the hash of their source, which is read now: register a method right after it was imported.

    Raises:
        TuneCLError: it is not sound, has no source, or its name or one of its kinds of phases is taken.
    """
    known = get_method(method.name) if method.name in METHODS else None
    if known is None or _as_made(known) != _as_made(method):
        check_method(method, map(get_method, method_names()))
        METHODS.add(method.name, with_sources(method, _shipped_runs()))


def _shipped_runs() -> tuple[Any, ...]:
    """What the phases of the package's own methods run."""
    return tuple(phase.run for name in _SHIPPED for part in get_method(name).parts().values() for phase in part)


def _as_made(method: Method) -> Method:
    """A method as its module has made it."""
    base, increment = (tuple(replace(p, source=None) for p in part) for part in (method.base, method.increment))
    return replace(method, base=base, increment=increment, judge=method.judge and replace(method.judge, source=None))


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
    "Settings",
    "Sizes",
    "State",
    "Stateful",
    "flatten",
    "get_method",
    "keyed",
    "leaves",
    "method_config",
    "method_names",
    "method_source",
    "module_source",
    "parameter",
    "register",
    "unflatten",
]
