"""What a search was run with, for the reader of `search.json`."""

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tune_cl.commands import SUBMITTED
from tune_cl.errors import readable
from tune_cl.methods import Method, method_source
from tune_cl.plugins import Plugin
from tune_cl.streams import Stream
from tune_cl.study import SearchSpace

_SECRET_NAMES = "pass|pwd|secret|token|key"
SECRET = re.compile(_SECRET_NAMES, re.IGNORECASE)  # in the name of a URL's query
_PASSWORD = re.compile(r"(://[^/:]*:).*@", re.DOTALL)  # up to the last @: a user and a password may hold others
_IN_QUERY = re.compile(rf"([?&][^=&]*(?:{_SECRET_NAMES})[^=&]*=)[^&]*", re.IGNORECASE)


def command_line(argv: Sequence[str]) -> list[str]:
    """The command as it was typed, but for the passwords of a URL; in a job, the command that submitted it."""
    if SUBMITTED in os.environ:
        return shlex.split(os.environ[SUBMITTED])
    return [sys.argv[0], *without_secrets(argv)]


def without_secrets(argv: Sequence[str]) -> list[str]:
    """Options as they were typed, but for the passwords of a URL: its user's, and those in its query."""
    return [_IN_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1***@", word)) for word in argv]


def provenance(method: Method, space: SearchSpace, stream: Stream, plugins: Sequence[Plugin]) -> dict[str, Any]:
    """The part of a search's record that follows from its method, its space, its data and this installation."""
    return {
        "method": method.name,
        "fixed": dict(space.fixed),
        "ranges": space.written_ranges(),
        "default": dict(space.default),
        "data_fingerprint": stream.fingerprint,
        "method_source": method_source(method),
        "versions": versions(),
        "git_commit": git_commit(),
        "plugins": [plugin.module for plugin in plugins],
        "typed_in": None if SUBMITTED in os.environ else readable(os.getcwd()),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Versions of what the numbers come from."""
    packages = ("tune_cl", "torch", "torchvision", "ray", "optuna", "wandb", "numpy")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


def git_commit() -> str | None:
    """Commit of the checkout that this package runs from, if it is one (and not an install inside somebody's)."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("rev-parse", "HEAD") or None
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), *arguments],
        capture_output=True,
        text=True,
        timeout=5,
        check=True,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    )
    return done.stdout.strip()
