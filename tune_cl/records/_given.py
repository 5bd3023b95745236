"""Paths that a person gave: looked at before anything is done with them, and what is wrong said in one sentence."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tune_cl.errors import TuneCLError

_SHOWN = 200  # characters of a path in a message
_REASONS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENAMETOOLONG: "a name in it is longer than a file system allows",
    errno.ELOOP: "its links lead in a circle",
}
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def given_path(given: str | os.PathLike[str], what: str) -> Path:
    """A path as a person gave it, with `~` as their home folder; whether something lies there can be found out.

    Args:
        given: what was given; a shell leaves the `~` of `--results=~/x` as it is.
        what: the option or argument, with which a message begins.

    Raises:
        TuneCLError: it is no text, empty, not UTF-8, or cannot be looked at.
    """
    path = given_text(given, what)
    _status(path, what)
    return path


def given_text(given: str | os.PathLike[str], what: str) -> Path:
    """A path as a person gave it, with `~` as their home folder, that may lie on another machine.

    Raises:
        TuneCLError: it is no text, empty, or not UTF-8.
    """
    text = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise TuneCLError(f"{what} {given!r}: no path; give text or a pathlib.Path")
    if not text:
        raise TuneCLError(f"{what}: empty; name a path, or leave it out")
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = text.encode("utf-8", "backslashreplace").decode()
        raise TuneCLError(f"{what} {shown}: not UTF-8, which every record of a search is; name another") from None
    if "\0" in text:
        raise TuneCLError(f"{what} {text!r}: holds a null character; name another")
    return _expanded(text, what)


def given_folder(given: str | os.PathLike[str], what: str) -> Path:
    """A folder that a person gave: it is there and may be entered, or can be made unless a file is in the way.

    Raises:
        TuneCLError: as for `given_path`, or it is no folder, or may not be entered.
    """
    path = given_path(given, what)
    for place in (path, *path.parents):
        found = _status(place, what)
        if found is None:
            continue
        if not stat.S_ISDIR(found.st_mode):
            raise TuneCLError(
                f"{what}: the folder {shown(path)} cannot be made ({shown(place)} is {_kind(found)}); name another"
            )
        if not os.access(place, os.X_OK):
            raise TuneCLError(f"{what} {shown(path)}: permission denied to enter {shown(place)}; name another")
        break
    return path


def given_file(given: str | os.PathLike[str], what: str) -> Path:
    """A file to read that a person gave: an ordinary one, which may be read.

    Raises:
        TuneCLError: as for `given_path`, or there is no such file.
    """
    path = given_path(given, what)
    found = _status(path, what)
    if found is None:
        raise TuneCLError(f"{what} {shown(path)}: no such file")
    if not stat.S_ISREG(found.st_mode):
        raise TuneCLError(f"{what} {shown(path)}: {_kind(found)}; name a file")
    if not os.access(path, os.R_OK):
        raise TuneCLError(f"{what} {shown(path)}: permission denied; name a file that may be read")
    return path


def given_output(given: str | os.PathLike[str], what: str) -> Path:
    """A file to write that a person gave: new, or an ordinary one that may be replaced.

    Returns:
        Where to write. Behind a link that is the file that it leads to, so the link stays.

    Raises:
        TuneCLError: as for `given_path`, or something else than a file lies there, or it may not be written.
    """
    path = given_path(given, what)
    found = _status(path, what)
    if found is not None and not stat.S_ISREG(found.st_mode):
        example = f", such as {shown(path / 'comparison.html')}" if stat.S_ISDIR(found.st_mode) else ""
        raise TuneCLError(f"{what} {shown(path)}: {_kind(found)}; name a file{example}")
    if found is not None and not os.access(path, os.W_OK):
        raise TuneCLError(f"{what} {shown(path)}: cannot be written (permission denied); name another file")
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    given_folder(target.parent, what)
    return target


def lies_there(path: Path, what: str = "") -> bool:
    """Whether something lies at a path that was put together from one that a person gave.

    Raises:
        TuneCLError: that cannot be found out.
    """
    return _status(path, what) is not None


def shown(path: Path) -> str:
    """A path in a message: what is very long is cut in its middle."""
    text = str(path)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"


@contextmanager
def nothing_left(*folders: Path) -> Iterator[None]:
    """Take away again which of these folders were made inside, if it ends with bad input; what others filled stays."""
    new = [place for folder in folders for place in (folder, *folder.parents) if not os.path.lexists(place)]
    try:
        yield
    except TuneCLError:
        for place in sorted(new, key=lambda place: len(place.parts), reverse=True):
            with suppress(OSError):  # not empty, or never made
                place.rmdir()
        raise


def _expanded(text: str, what: str) -> Path:
    if not text.startswith("~") or os.path.lexists(text):
        return Path(text)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise TuneCLError(f"{what} {text}: there is no such user; a file of that name is ./{text}") from None


def _status(path: Path, what: str) -> os.stat_result | None:
    """What lies at a path, behind links; None where nothing does."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise TuneCLError(f"{what} {shown(path)}: {reason}; name another".lstrip()) from None


def _kind(found: os.stat_result) -> str:
    return next((kind for test, kind in _KINDS if test(found.st_mode)), "a file")
