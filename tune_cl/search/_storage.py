"""Where a study is kept: an Optuna journal file, or a relational database by URL."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from tune_cl.errors import TuneCLError

# How every journal begins; a file that begins otherwise is somebody's, and is not touched.
_FIRST_BYTES = b'{"op_code":'
_PASSWORD = re.compile(r"(?<=://).*@", re.DOTALL)  # up to the last @: a password may hold others


def is_url(storage: str | Path) -> bool:
    """Say whether a storage is a database URL rather than a path."""
    return "://" in str(storage)


def storage_name(storage: str | Path) -> str:
    """The storage for messages: a URL without its user, password and query."""
    return _PASSWORD.sub("", str(storage)).partition("?")[0] if is_url(storage) else str(storage)


def open_storage(storage: str | Path) -> BaseStorage:
    """Open a study's storage, creating the file where there is none.

    Raises:
        TuneCLError: it cannot be opened, or holds something else.
    """
    name = storage_name(storage)
    with _as_sentence(name):
        return RDBStorage(str(storage)) if is_url(storage) else _open_journal(Path(storage))


def _open_journal(path: Path) -> JournalStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    # O_EXCL holds on every local file system and on NFS from version 3; Optuna's other lock needs symbolic links.
    lock = JournalFileOpenLock(str(path))
    if path.exists():
        lock.acquire()
        try:
            _cut_torn_line(path)
        finally:
            lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _cut_torn_line(path: Path) -> None:
    """Drop a last line that a crash left unfinished: the next line, glued to it, would make the journal unreadable."""
    with path.open("rb+") as file:
        content = file.read()
        if content[: len(_FIRST_BYTES)] != _FIRST_BYTES[: len(content)]:
            raise ValueError("not a journal")
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
            os.fsync(file.fileno())


@contextmanager
def _as_sentence(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TuneCLError(f"{name}: the study cannot be opened ({error.strerror}); give a path to write to") from None
    except (ValueError, KeyError, TypeError, AssertionError):
        raise TuneCLError(f"{name}: not an Optuna journal; give another --name, or move the file away") from None
    except ImportError as error:
        raise TuneCLError(f"{name}: the database needs a Python driver that is not installed ({error.name})") from None
    except Exception as error:
        # Imported here, since only a URL needs it.
        from sqlalchemy.exc import SQLAlchemyError

        if not isinstance(error, SQLAlchemyError):
            raise
        raise TuneCLError(f"{name}: the database cannot be opened ({type(error).__name__}); check the URL") from None
