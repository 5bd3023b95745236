"""Reading and writing records so that a crash leaves either the old file or the new one."""

import json
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records._models import Record, RunConfig
from tune_cl.records._yaml import parse_yaml

R = TypeVar("R", bound=Record)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` beside `path`, flush it to disk and rename it into place; a file that is there keeps its mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.tmp")  # a long name leaves no room for more
    data = content.encode() if isinstance(content, str) else content
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            with suppress(OSError):  # nothing is there yet, or its file system has no modes
                os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, record: Record) -> None:
    """Write a record as indented JSON."""
    write_atomically(path, record.model_dump_json(indent=2) + "\n")


def write_yaml(path: Path, record: Record, heading: str = "") -> None:
    """Write a record as YAML, under comment lines that say how to use it."""
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    body = yaml.safe_dump(json.loads(record.model_dump_json()), sort_keys=False, width=110)
    write_atomically(path, comment + body)


def write_run(path: Path, run: RunConfig, options: Sequence[str] = ()) -> None:
    """Write a configuration under the command that runs it again.

    Args:
        path: the file.
        run: the configuration.
        options: what the command needs besides: where data lie, what comes from outside.
    """
    write_yaml(path, run, shlex.join(["tune-cl", "train", *options, "--config", str(path)]))


def read_record(path: Path, kind: type[R]) -> R:
    """Read a JSON or YAML file as a record of the given kind.

    Raises:
        TuneCLError: the file is missing, is not YAML/JSON, was written by a newer tune_cl, or does not fit the record.
    """
    return record_of(read_content(path), path, kind)


def record_of(content: Any, path: Path, kind: type[R]) -> R:
    """What was read from a file, as a record of the given kind.

    Raises:
        TuneCLError: it was written by a newer tune_cl, or does not fit the record.
    """
    _check_version(path, content, kind)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise TuneCLError(f"{path}: {describe_validation(error, model=kind)}") from None


def _check_version(path: Path, content: Any, kind: type[Record]) -> None:
    field = kind.model_fields.get("schema_version")
    found = content.get("schema_version") if isinstance(content, dict) else None
    if field is not None and isinstance(found, int) and found > field.default:
        raise TuneCLError(
            f"{path}: written by a newer tune_cl (schema_version {found}, and this one reads {field.default}); update "
            "tune_cl"
        )


def read_content(path: Path) -> Any:
    """Read a JSON file, or a YAML file as `parse_yaml` does.

    Raises:
        TuneCLError: the file is missing, unreadable, or not JSON or such YAML.
    """
    text = read_text(path)
    if path.suffix != ".json":
        return parse_yaml(text, str(path))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TuneCLError(f"{path}: not valid JSON ({error})") from None


def read_text(path: Path) -> str:
    """Read a file as UTF-8 text.

    Raises:
        TuneCLError: the file is missing or unreadable.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TuneCLError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TuneCLError(f"{path}: cannot be read ({error})") from None


def describe_validation(error: ValidationError, whole: str = "the file", model: type[BaseModel] | None = None) -> str:
    """Put one of pydantic's complaints into a sentence: key (or `whole`, where it is about no key), what is wrong.

    An unknown key comes first, since what it should have been may be missed elsewhere.

    Args:
        error: the complaints.
        whole: what the message calls what was validated.
        model: of what was validated, for the near matches of an unknown key.
    """
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"]) or whole
    message = _message(first, model)
    return f"{key}: {message}" if key else message


def _message(complaint: ErrorDetails, model: type[BaseModel] | None) -> str:
    if complaint["type"] == "extra_forbidden":
        *groups, key = complaint["loc"]
        known = _keys_in(model, groups)
        those = f"; known are {', '.join(known)}" if known else ""
        return f"unknown key{near_matches(str(key), known) or those}"
    if complaint["type"] == "missing":
        return "missing"
    if complaint["type"] in ("model_type", "dict_type"):
        return "not a mapping of `key: value` lines"
    return complaint["msg"].removeprefix("Value error, ")


def _keys_in(model: type[BaseModel] | None, groups: Sequence[int | str]) -> list[str]:
    """The keys of the group at a path; none where that is no model."""
    for group in groups:
        field = model.model_fields.get(str(group)) if model is not None else None
        kind = field.annotation if field is not None else None
        model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return list(model.model_fields) if model is not None else []


def append_line(path: Path, record: Record) -> None:
    """Append one JSON line and flush it; a torn last line of an earlier crash is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = record.model_dump_json().encode() + b"\n"
    with path.open("ab+") as file:
        _cut_torn_line(file)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of a JSON-lines file; a torn last line is left out."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield kind.model_validate_json(line)


def _cut_torn_line(file: Any) -> None:
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
