"""Where a study is kept: an Optuna journal file, or a relational database by URL."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import TrialState

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


def check_url(storage: str) -> None:
    """Check a database URL as far as that goes without the database.

    Raises:
        TuneCLError: it is none, or names a database in memory, which no search could go on with.
    """
    from sqlalchemy.engine import make_url  # imported here, since only a URL needs it
    from sqlalchemy.exc import SQLAlchemyError

    example = "write one such as sqlite:///study.db"
    if not is_url(storage):
        raise TuneCLError(f"--storage {storage}: not a database URL; {example}")
    try:
        url = make_url(storage)
    except (SQLAlchemyError, ValueError):
        raise TuneCLError(f"--storage {storage_name(storage)}: not a database URL; {example}") from None
    in_memory = not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"
    if url.get_backend_name() == "sqlite" and in_memory:
        raise TuneCLError(
            f"--storage {storage_name(storage)}: a database in memory is lost when the search ends, which then cannot "
            f"go on; {example}"
        )


def open_storage(storage: str | Path) -> "Guarded":
    """Open a study's storage, creating the file where there is none.

    Raises:
        TuneCLError: it cannot be opened, or holds something else.
    """
    name = storage_name(storage)
    with _as_sentence(name):
        return Guarded(_open_database(str(storage)) if is_url(storage) else _open_journal(Path(storage)), name)


class Guarded:
    """A storage whose database may be locked, lost or damaged at any time: that is a sentence."""

    def __init__(self, storage: BaseStorage, name: str) -> None:
        self._storage, self._name = storage, name

    def __getattr__(self, method: str) -> Any:
        asked = getattr(self._storage, method)

        @wraps(asked)
        def call(*args: Any, **options: Any) -> Any:
            with _database_as_sentence(self._name):
                return asked(*args, **options)

        return call


def _open_database(url: str) -> RDBStorage:
    # Optuna makes the tables that are missing: none must be somebody else's.
    from optuna.storages._rdb.models import BaseModel
    from sqlalchemy import create_engine, inspect

    engine = create_engine(url)
    try:
        tables = set(inspect(engine).get_table_names())
    finally:
        engine.dispose()
    taken = sorted(tables & set(BaseModel.metadata.tables))
    if taken and "version_info" not in tables:
        raise TuneCLError(
            f"{storage_name(url)}: the database of another program, whose table {taken[0]!r} is not Optuna's; name "
            "another database"
        )
    return RDBStorage(url)


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
        with _database_as_sentence(name):
            yield
    except OSError as error:
        raise TuneCLError(f"{name}: the study cannot be opened ({error.strerror}); give a path to write to") from None
    except RuntimeError:
        raise TuneCLError(
            f"{name}: a database of another version of Optuna; `optuna storage upgrade --storage URL` brings one of an "
            "older version up to date (keep a copy), or name another database"
        ) from None
    except (ValueError, KeyError, TypeError, AssertionError):
        raise TuneCLError(
            f"{name}: not an Optuna journal; restore it from a copy, or give the search another --name"
        ) from None
    except ImportError as error:
        raise TuneCLError(f"{name}: the database needs a Python driver that is not installed ({error.name})") from None


@contextmanager
def _database_as_sentence(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        trouble = _trouble_of(error)
        if trouble is None:
            raise
        raise TuneCLError(f"{name}: {trouble}") from None


def _trouble_of(error: Exception) -> str | None:
    """What a database's complaint means; None where it is no database's."""
    if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "optuna"):
        return None
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    if not isinstance(error, SQLAlchemyError | StorageInternalError):
        return None
    reason = str(getattr(error.__cause__ if isinstance(error, StorageInternalError) else error, "orig", error))
    if "locked" in reason or "busy" in reason:
        return "the database is locked by another program, such as an open transaction; end that, and run this again"
    if "no such column" in reason or "no such table" in reason or "does not exist" in reason:
        return f"the tables are not those of this version of Optuna ({reason.splitlines()[0]}); name another database"
    if "readonly" in reason or "read-only" in reason:
        return "the database cannot be written; name another one, or mend that"
    return f"the database cannot be used ({type(error).__name__}: {reason.splitlines()[0]}); check the URL"


@dataclass(frozen=True)
class StudyTrial:
    """A finished trial of a study that somebody has."""

    parameters: Mapping[str, Any]  # name -> value
    value: float


def read_study(storage: str | Path, name: str | None, where: str) -> list[StudyTrial]:
    """The finished trials of an Optuna study with one objective, the best first.

    Args:
        storage: a database URL or a journal file, which must be there.
        name: of the study; None where the storage has one alone.
        where: what a message begins with.

    Raises:
        TuneCLError: the storage cannot be opened, has no such study, or the study has several objectives.
    """
    file = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+).*", str(storage))
    if (not is_url(storage) and not Path(storage).is_file()) or (file and not Path(file[1]).is_file()):
        raise TuneCLError(f"{where}: {storage_name(storage)}: no such file")
    opened = open_storage(storage)
    studies = {study.study_name: study for study in opened.get_all_studies()}
    if name is None and len(studies) != 1:
        raise TuneCLError(f"{where}: it has {len(studies)} studies ({', '.join(sorted(studies))}); append #NAME of one")
    study = next(iter(studies.values())) if name is None else studies.get(name)
    if study is None:
        raise TuneCLError(f"{where}: it has no study {name!r}; it has {', '.join(sorted(studies)) or 'none'}")
    if len(study.directions) != 1:
        raise TuneCLError(f"{where}: the study has {len(study.directions)} objectives; one is wanted")
    trials = opened.get_all_trials(study._study_id, deepcopy=False)
    found = [StudyTrial(dict(t.params), float(t.value)) for t in trials if t.state is TrialState.COMPLETE]
    return sorted(found, key=lambda t: t.value, reverse=study.directions[0] is StudyDirection.MAXIMIZE)
