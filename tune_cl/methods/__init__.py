"""Methods: named compositions and the phases that they are made of. A method is one file here."""

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.methods import finetune, genifer, joint, lwf, oracle
from tune_cl.methods._phase import (
    CLASSIFIER,
    DISCRIMINATOR,
    GENERATOR,
    Checkpoint,
    Diverged,
    Method,
    Phase,
    PhaseContext,
    PhaseData,
    PhaseResult,
    State,
    Stateful,
)
from tune_cl.methods._sizes import stage_bytes
from tune_cl.methods._tree import Leaf, Settings, flatten, leaves, parameter, unflatten

_METHODS = {module.METHOD.name: module.METHOD for module in (finetune, lwf, genifer, oracle, joint)}


def method_names() -> list[str]:
    """The methods that can be named in a space file, from the lower end of the ladder to the upper."""
    return list(_METHODS)


def get_method(name: str) -> Method:
    """Look a method up.

    Raises:
        TuneCLError: there is no such method.
    """
    if name not in _METHODS:
        raise TuneCLError(f"unknown method {name!r}{near_matches(name, _METHODS)} (known: {', '.join(_METHODS)})")
    return _METHODS[name]


__all__ = [
    "CLASSIFIER",
    "DISCRIMINATOR",
    "GENERATOR",
    "Checkpoint",
    "Diverged",
    "Leaf",
    "Method",
    "Phase",
    "PhaseContext",
    "PhaseData",
    "PhaseResult",
    "Settings",
    "State",
    "Stateful",
    "flatten",
    "get_method",
    "leaves",
    "method_names",
    "parameter",
    "stage_bytes",
    "unflatten",
]
