"""Where what was computed from a folder of images is kept for later commands. Everything there may be deleted."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

CACHE_FOLDER = ".tune_cl-cache"


def cache_folder(folder: Path) -> Path:
    """The cache of a data folder: inside it, or where it cannot be written, in the user's own cache folder."""
    inside = folder / CACHE_FOLDER
    if os.access(inside if inside.exists() else folder, os.W_OK):
        return inside
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return users / "tune_cl" / hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]


def keep(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside its place and move it there when it is whole.

    Raises:
        OSError: nothing can be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".keeping-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
