"""What a command prints, wherever it goes: to a terminal of another encoding, to a reader that has gone, or nowhere."""

import codecs
import io
import os
import select
import sys
from typing import TextIO

_ERRORS = "tune_cl.readable"  # our handler's name among Python's codecs
_IN_ASCII = {
    "…": "...", "–": "-", "—": "-", "→": "->", "×": "x", "±": "+-", "≤": "<=", "≥": ">=", "−": "-", "·": "-", "✓": "ok",
    "‘": "'", "’": "'", "“": '"', "”": '"',
}  # fmt: skip
_FIRST_LINE, _LAST_LINE = "\u2500", "\u259f"  # lines and blocks, of which tables and bars are drawn


def settle_output() -> None:
    """Have text that an output's encoding lacks written in letters that it has, and never fail for it.

    A path that is not UTF-8 is written in its own bytes, as `ls` does.
    """
    codecs.register_error(_ERRORS, _readable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def say(line: str) -> None:
    """Write a line to standard error, if anybody reads it."""
    if sys.stderr is None:  # closed before we began; print would take standard output instead
        return
    try:
        print(line, file=sys.stderr, flush=True)
    except BrokenPipeError:
        nobody_reads()  # what is held back would be tried once more at the end
    except (OSError, ValueError):  # closed since
        return


def finish_output() -> None:
    """Write what is held back.

    Raises:
        BrokenPipeError: who read our output has gone.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def nobody_reads() -> bool:
    """Whether who read our output has gone, as `head` does; then no more is written, and nothing is said at the end."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if stream is not None and _is_gone(stream)]
    for stream in gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return bool(gone)


def _is_gone(stream: TextIO) -> bool:
    try:
        poll = select.poll()
        poll.register(stream, select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0))
    except (OSError, ValueError):  # no file of the system's, or closed
        return False


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written in place of characters that an encoding lacks (an error handler of `codecs`)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    if all("\udc80" <= letter <= "\udcff" for letter in letters):
        return bytes(ord(letter) - 0xDC00 for letter in letters), error.end
    return "".join(map(_in_ascii, letters)), error.end


def _in_ascii(letter: str) -> str:
    return _IN_ASCII.get(letter, "-" if _FIRST_LINE <= letter <= _LAST_LINE else "?")
