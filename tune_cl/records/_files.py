"""Reading and writing records so that a crash leaves either the old file or the new one.

What is read is what was written, or it is refused: every field is there (but those that came later, `Record.later`), of
its own type (no `true` for 1, no `'8'` for 8), no key is given twice, and no file ends in the middle of a line.
"""

import json
import math
import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records._models import RunConfig
from tune_cl.records._record import Record
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
    # No text is folded: a file that is cut off at the end of a line then lacks a key, or part of a quotation.
    body = yaml.safe_dump(json.loads(record.model_dump_json()), sort_keys=False, width=math.inf)
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


def sound_record(path: Path, kind: type[R]) -> R | None:
    """The same; None where the file is missing or damaged, and what it says can be had again."""
    try:
        return read_record(path, kind)
    except TuneCLError:
        return None


def record_of(content: Any, where: Path | str, kind: type[R]) -> R:
    """What was read from a file, as a record of the given kind.

    Args:
        content: the mapping.
        where: what a message begins with: the file, or a line of it.
        kind: of the record.

    Raises:
        TuneCLError: it was written by a newer tune_cl, or does not fit the record.
    """
    _check_version(where, content, kind)
    try:
        # JSON's strict types: a whole number may stand for a float, a list for a tuple, and nothing else for another.
        record = kind.model_validate_json(json.dumps(content, allow_nan=False), strict=True)
    except ValidationError as error:
        raise TuneCLError(f"{where}: {describe_validation(error, model=kind)}") from None
    except (ValueError, RecursionError):
        raise TuneCLError(f"{where}: holds a number that is not finite, or brackets too deep to be read") from None
    lost = next(_lost(record), None)
    if lost is not None:
        raise TuneCLError(f"{where}: {lost}: missing; such a file is always written whole, so that a line was lost")
    return record


def _lost(value: Any, path: str = "") -> Iterator[str]:
    """The fields of a record, and of those inside it, that were not in what it was read from."""
    if isinstance(value, Record):
        for name in type(value).model_fields:
            if name in value.model_fields_set:
                yield from _lost(getattr(value, name), f"{path}.{name}" if path else name)
            elif name not in type(value).later:
                yield f"{path}.{name}" if path else name
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _lost(inner, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _lost(inner, f"{path}.{index}")


def _check_version(where: Path | str, content: Any, kind: type[Record]) -> None:
    field = kind.model_fields.get("schema_version")
    found = content.get("schema_version") if isinstance(content, dict) else None
    if field is not None and isinstance(found, int) and found > field.default:
        raise TuneCLError(
            f"{where}: written by a newer tune_cl (schema_version {found}, and this one reads {field.default}); update "
            "tune_cl"
        )
    if field is not None and isinstance(found, int) and found < 1:
        raise TuneCLError(f"{where}: schema_version: {found} is no version that there was; the first is 1")


def read_content(path: Path) -> Any:
    """Read a JSON file, or a YAML file as `parse_yaml` does.

    Raises:
        TuneCLError: the file is missing, unreadable, cut off, or not JSON or such YAML.
    """
    text = read_text(path)
    if path.suffix == ".json":
        return _parse_json(text, path)
    content = parse_yaml(text, str(path))
    if not text.endswith("\n"):
        raise TuneCLError(
            f"{path}: does not end with a line break, as every file of ours does, so that its end may have been cut "
            "off; restore it, or add the line break if nothing is missing"
        )
    return content


def _parse_json(text: str | bytes, where: Path | str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError) as error:
        raise TuneCLError(f"{where}: not valid JSON ({error})") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {twice!r} is given twice")
    return content


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
    found = complaint["input"]
    if complaint["type"].endswith("_type") and isinstance(found, str | int | float | None):
        return f"{complaint['msg'].replace('Input should', 'should')}, not {json.dumps(found)}"
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
    """Yield the records of a JSON-lines file, none where there is no file; a torn last line is left out.

    Raises:
        TuneCLError: the file cannot be read, or a line does not fit the record; the line is named.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise TuneCLError(f"{path}: cannot be read ({error.strerror})") from None
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        where = f"{path}, line {number}"
        yield record_of(_parse_json(line, where), where, kind)


def _cut_torn_line(file: Any) -> None:
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
