"""What a search was run with, for the reader of `search.json`."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path


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
