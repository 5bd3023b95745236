"""The one error that a person is meant to read."""

import difflib
import os
from collections.abc import Iterable

_MOST_SHOWN = 100  # characters of a value in a message


class TuneCLError(Exception):
    """Bad input: one sentence that says what is wrong, where, and what would be right (exit code 2)."""


def near_matches(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'a' or 'b'?"`` for the known words closest to ``word``, or ``""``.

    Initials stand for their words, in dotted paths too: ``lr``, ``increment.classifier.lr``.
    """
    known = sorted(known)
    group, _, name = word.rpartition(".")
    close = [match for match in known if match.startswith(group) and name.lower() in _initials(match)]
    close = close or difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(match) for match in close)}?" if close else ""


def _initials(path: str) -> tuple[str, ...]:
    """How a name of several words, the last of a dotted path, may be abbreviated: ``lr`` for ``learning_rate``."""
    words = [word for word in path.rpartition(".")[2].lower().split("_") if word]
    return ("".join(word[0] for word in words), "_".join(word[0] for word in words)) if len(words) > 1 else ()


def readable(path: str | bytes | os.PathLike[str]) -> str:
    """A path as a message and a record can hold it: on one line, and what is no UTF-8 as escapes."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def shown(value: object) -> str:
    """A value as a message shows it: as Python writes it, and of a long one the beginning and the length."""
    if isinstance(value, int) and abs(value) >= 10**_MOST_SHOWN:
        return f"a number of more than {_MOST_SHOWN} digits"
    return shortened(repr(value))


def shortened(text: str) -> str:
    """A text, or its beginning and its length where it is long."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}… ({len(text)} characters)"
