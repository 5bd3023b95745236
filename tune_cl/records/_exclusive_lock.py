"""One process at a time in the folder of a search, or of its evaluation."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.records._folders import EvaluationFolder, SearchFolder


@contextmanager
def exclusive_lock(folder: SearchFolder | EvaluationFolder, otherwise: str = "") -> Iterator[None]:
    """Lock the folder of a search, or of its evaluation, against a second process.

    Args:
        folder: the folder; it is made.
        otherwise: what a person may do about it, where it is locked.

    Raises:
        TuneCLError: another process runs this search, or evaluates it; its folder cannot be written, or something else
            is in the place of a file of ours.
    """
    make_folder(folder.path, "--results")
    folder.check_places()
    try:
        lock = folder.lock.open("a")
    except OSError as error:
        raise TuneCLError(
            f"{folder.path}: cannot be written ({error.strerror}); copy it to a folder of yours"
        ) from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what = "running this search" if isinstance(folder, SearchFolder) else "evaluating this search"
            raise TuneCLError(f"{folder.path}: another process is {what}; wait for it{otherwise}") from None
        yield


def make_folder(path: Path, option: str) -> None:
    """Make a folder to write to.

    Raises:
        TuneCLError: it cannot be made; `option` is what names it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TuneCLError(f"{option}: the folder {path} cannot be made ({error.strerror}); name another") from None
