"""What a method must be, so that it can stand beside others."""

import keyword
import re
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.methods._phase import Method, Phase
from tune_cl.methods._tree import Settings

# What names of a row, or of W&B's columns of it, begin with; those of phases stand beside them.
TAKEN = ("val", "test", "paid", "losses", "stages", "warnings", "R", "config")


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


def _last_line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip().splitlines()[-1]
