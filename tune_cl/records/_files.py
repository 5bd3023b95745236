"""Reading and writing records so that a crash leaves either the old file or the new one."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from tune_cl.errors import TuneCLError
from tune_cl.records._models import Record, RunConfig

R = TypeVar("R", bound=Record)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` beside `path`, flush it to disk and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    data = content.encode() if isinstance(content, str) else content
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
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


def write_run(path: Path, run: RunConfig, plugins: Sequence[str] = ()) -> None:
    """Write a configuration under the command that runs it again.

    Args:
        path: the file.
        run: the configuration.
        plugins: modules that bring its method, where the package does not.
    """
    options = "".join(f"--plugin {module} " for module in plugins)
    write_yaml(path, run, f"tune-cl train {options}--config {path}")


def read_record(path: Path, kind: type[R]) -> R:
    """Read a JSON or YAML file as a record of the given kind.

    Raises:
        TuneCLError: the file is missing, is not YAML/JSON, or does not fit the record.
    """
    try:
        if path.suffix == ".json":  # not through YAML, which reads 1e-06 as text
            return kind.model_validate_json(read_text(path))
        return kind.model_validate(read_yaml(path))
    except ValidationError as error:
        raise TuneCLError(f"{path}: {describe_validation(error)}") from None


def read_yaml(path: Path) -> Any:
    """Read a YAML (or JSON) file with the safe loader.

    Raises:
        TuneCLError: the file is missing, unreadable, or not YAML.
    """
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise TuneCLError(f"{path}: {place}{problem}") from None


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


def describe_validation(error: ValidationError, whole: str = "the file") -> str:
    """Put pydantic's first complaint into one sentence: key (or `whole`, where it is about no key), what is wrong."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or whole
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


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
