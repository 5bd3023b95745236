"""Commands that a person is told to type: such as run from here, in the manner in which this one was started."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tune_cl.records import SearchFolder

SUBMITTED = "TUNE_CL_COMMAND"  # the command that submitted the job in which this process runs
_INSTALLED = "tune-cl"
_VERBS = ("search", "submit", "train", "evaluate", "compare", "report", "watch", "sync", "sweep", "stages")
_OF_DATA = ("--data-root", "--data-set", "--plugin", "--backbone-weights")
_LAUNCH = Path(__file__).parents[1] / "launch"  # in a checkout


def program(verb: str, started: str | None = None) -> list[str]:
    """The words that start a command of tune_cl.

    Args:
        verb: the command, 'evaluate' say.
        started: the first word of the command line that it shall resemble; None for this process's own.
    """
    own = Path(sys.argv[0] if started is None else started)
    if own.name == _INSTALLED:
        return [_script(own), verb]
    if own.suffix == ".py" and own.stem in _VERBS:
        return [python_text(), str(own.with_name(f"{verb}.py"))]
    if (_LAUNCH / f"{verb}.py").is_file():  # called by a script or a notebook, beside a checkout
        return [python_text(), _from_here(_LAUNCH / f"{verb}.py")]
    return [_INSTALLED, verb]


def python_text() -> str:
    """How to call this Python from here: by its name where that finds it, else by its path.

    A path below this folder (a `.venv` that is not activated) is written as such.
    """
    found = shutil.which("python")
    own = found is not None and Path(found).parent == Path(sys.executable).parent  # `python3` may have started it
    if SUBMITTED in os.environ or not os.path.isabs(sys.executable) or own:
        return "python"
    return _from_here(Path(sys.executable))


def beside_python(name: str) -> str:
    """How to call a script that was installed beside this Python."""
    return _script(Path(sys.executable).with_name(name))


def sync_command(folder: SearchFolder) -> str:
    """The command that uploads what W&B's server has not got of a search."""
    return shlex.join([*program("sync"), str(folder.path)])


def evaluate_command(search_command: Sequence[str], folder: Path) -> str:
    """The command that evaluates a search's choice, in the manner in which the search was started."""
    start = program("evaluate", search_command[0] if search_command else None)
    return shlex.join([*start, str(folder), "--with-default", *data_options(search_command)])


def continue_command(search_command: Sequence[str], trials: int | None = None) -> str:
    """The search's own command line, with another number of trials if one is given."""
    if not search_command:
        return "the same command" + ("" if trials is None else f" with --trials {trials}")
    first, *arguments = search_command
    if trials is not None:
        arguments = [*_without_trials(arguments), "--trials", str(trials)]
    if Path(first).name == _INSTALLED:
        start = (
            [_script(Path(first))] if arguments[:1] in (["search"], ["submit"]) else [_script(Path(first)), "search"]
        )
    else:
        start = [python_text(), first] if first.endswith(".py") else [first]
    return shlex.join([*start, *arguments])


def data_options(command: Sequence[str]) -> list[str]:
    """The options of a command that others on its results need as well: where data lie, what comes from outside."""
    return list(_data_options(command))


def _data_options(command: Sequence[str]) -> Iterator[str]:
    take = False
    for word in command:
        name = word.partition("=")[0]
        if take or name in _OF_DATA or word == "--accept-modified-data":
            yield word
        take = not take and word in _OF_DATA


def _without_trials(arguments: Sequence[str]) -> Iterator[str]:
    skip = False
    for word in arguments:
        if skip or word == "--trials":
            skip = not skip
        elif not word.startswith("--trials="):
            yield word


def _script(path: Path) -> str:
    """How to call an installed script: by its name where that finds it, else by its path, if that is known."""
    found = shutil.which(path.name)
    if not path.is_file() or (found is not None and os.path.samefile(found, path)):
        return path.name
    return _from_here(path)


def _from_here(path: Path) -> str:
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
