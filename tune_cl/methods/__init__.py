"""Methods: named compositions and the phases that they are made of. A method is one file here."""

from dataclasses import replace

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
from tune_cl.methods._replay_student import SPREAD, STUDENT, within_class_spread
from tune_cl.methods._sizes import stage_bytes
from tune_cl.methods._source import method_source, module_source, with_sources
from tune_cl.methods._tree import Leaf, Settings, keyed, leaves, parameter, unflatten
from tune_cl.records import flatten
from tune_cl.store import Stateful

_METHODS: dict[str, Method] = {
    module.METHOD.name: module.METHOD
    for module in (
        *(frozen, finetune, lwf, feature_replay, image_replay, genifer, oracle, joint),
        *(il_baseline, icarl, lucir, podnet),
    )
}
_OURS = tuple(phase.run for method in _METHODS.values() for part in method.parts().values() for phase in part)


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
            "outside the package needs --plugin)"
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
    "Settings",
    "Sizes",
    "State",
    "Stateful",
    "flatten",
    "get_method",
    "keyed",
    "leaves",
    "method_names",
    "method_source",
    "module_source",
    "parameter",
    "register",
    "stage_bytes",
    "unflatten",
    "within_class_spread",
]
