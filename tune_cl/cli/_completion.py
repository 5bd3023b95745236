"""Completion of commands, options and values in bash and zsh, by argcomplete; looked up anew on each TAB."""

import argparse
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from tune_cl.cli._parser import PARSERS
from tune_cl.errors import TuneCLError, near_matches

SHELLS = ("bash", "zsh")
_BUDGETS, _MODES = ("quick", "full"), ("online", "offline", "disabled")
_WORDS = {"budget": _BUDGETS, "wandb_mode": _MODES, "verb": ("list", "verify", "prune")}


def script(shell: str) -> str:
    """What a shell evaluates to complete `tune-cl`.

    Raises:
        TuneCLError: the shell is none that is known, or argcomplete is not installed.
    """
    if shell not in SHELLS:
        raise TuneCLError(f"--completion {shell}: not one of {', '.join(SHELLS)}{near_matches(shell, SHELLS)}")
    return str(_argcomplete().shellcode(["tune-cl"]))


def complete() -> None:
    """Answer a shell that asks for completions, and end the process."""
    _argcomplete().autocomplete(_whole(), default_completer=None, always_complete_options=False)


def _argcomplete() -> Any:
    try:
        import argcomplete
    except ImportError:
        raise TuneCLError("completion needs argcomplete, which is not installed; pip install argcomplete") from None
    return argcomplete


def _whole() -> argparse.ArgumentParser:
    """One parser with all commands."""
    whole = argparse.ArgumentParser(prog="tune-cl")
    commands = whole.add_subparsers()
    for name, make in PARSERS.items():
        parser = make()
        for action in parser.known:
            completer = _completer(action)
            if completer is not None:
                action.completer = completer  # type: ignore[attr-defined]
        commands.add_parser(name, parents=[parser], add_help=False)
    return whole


def _completer(action: argparse.Action) -> Callable[..., Any] | None:
    if action.dest == "space":
        return _spaces
    if action.dest in ("search", "searches"):
        return _searches
    if action.dest in _WORDS:
        return lambda **_: _WORDS[action.dest]
    completers: Any = _argcomplete().completers
    files_or_folders: Callable[..., Any] | None = {
        "DIR": completers.DirectoriesCompleter(),
        "FILE": completers.FilesCompleter(),
    }.get(str(action.metavar))
    return files_or_folders


def _spaces(prefix: str, **_: Any) -> Iterator[str]:
    """Shipped spaces, and files here."""
    yield from (file.name for file in files("tune_cl.spaces").iterdir() if file.name.endswith(".yaml"))
    yield from _argcomplete().completers.FilesCompleter(["yaml", "yml"])(prefix)


def _searches(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterator[str]:
    """Names of searches below --results, and folders here."""
    results = Path(parsed_args.results or "results")
    yield from (file.parent.name for file in results.glob("*/search.json"))
    yield from _argcomplete().completers.DirectoriesCompleter()(prefix)
