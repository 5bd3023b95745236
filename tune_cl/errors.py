"""The one error that a person is meant to read."""

import difflib
from collections.abc import Iterable


class TuneCLError(Exception):
    """Bad input: one sentence that says what is wrong, where, and what would be right (exit code 2)."""


def near_matches(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'a' or 'b'?"`` for the known words closest to ``word``, or ``""``."""
    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(match) for match in close)}?" if close else ""
