"""What a script gives to a function of tune_cl, checked as strictly as what is typed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tune_cl.errors import TuneCLError, near_matches


def yes_or_no(given: Any, what: str = "accept_modified_data") -> bool:
    """True or False.

    Raises:
        TuneCLError: it is neither.
    """
    if not isinstance(given, bool):
        raise TuneCLError(f"{what} {given!r}: neither True nor False")
    return given


def text(given: Any, what: str) -> str | None:
    """Text, or None.

    Raises:
        TuneCLError: it is neither.
    """
    if given is not None and not isinstance(given, str):
        raise TuneCLError(f"{what} {given!r}: not text")
    return given


def one_of(given: Any, what: str, known: Sequence[str]) -> str:
    """One of a few words.

    Raises:
        TuneCLError: it is none of them.
    """
    if given not in known:
        near = near_matches(given, known) if isinstance(given, str) else ""
        raise TuneCLError(f"{what} {given!r}: not one of {', '.join(known)}{near}")
    return str(given)


def names(given: Any, what: str) -> Sequence[str]:
    """A list of names.

    Raises:
        TuneCLError: it is none; text by itself would be taken for its letters.
    """
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise TuneCLError(f'{what} {given!r}: not a list of names; write ["first", "second"]')
    return given


def folders(given: Any, what: str) -> Mapping[str, Any]:
    """Names of data sets, and the folder, file or settings of each; None for none.

    Raises:
        TuneCLError: it is no mapping, or not of such.
    """
    if given is None:
        return {}
    kinds = (str, Path, Mapping)
    if not isinstance(given, Mapping) or not all(isinstance(k, str) and isinstance(v, kinds) for k, v in given.items()):
        raise TuneCLError(f'{what} {given!r}: not a mapping of names to folders; write {{"glyphs": "path/of/glyphs"}}')
    return given


def changes(given: Any, what: str) -> Mapping[str, Any]:
    """Paths and their values; None for none.

    Raises:
        TuneCLError: it is no mapping, or a path in it is no text.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(path, str) for path in given):
        raise TuneCLError(f'{what} {given!r}: not a mapping of paths to values; write {{"base.classifier.epochs": 2}}')
    return given
