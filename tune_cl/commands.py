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
_OF_STAGES = ("--results", "--stages")
_LAUNCH = Path(__file__).parents[1] / "launch"  # in a checkout


def program(verb: str, started: str | None = None, there: Path | None = None) -> list[str]:
    """The words that start a command of tune_cl.

    Args:
        verb: the command, 'evaluate' say.
        started: the first word of the command line that it shall resemble; None for this process's own.
        there: the folder in which the command will run; None for the current one.
    """
    own = Path(sys.argv[0] if started is None else started)
    if own.name == _INSTALLED:
        return [_script(own, there), verb]
    if own.suffix == ".py" and own.stem in _VERBS:
        return [python_text(there), str(own.with_name(f"{verb}.py"))]
    if (_LAUNCH / f"{verb}.py").is_file():  # called by a script or a notebook, beside a checkout
        return [python_text(there), _seen_from(there, _LAUNCH / f"{verb}.py")]
    return [_INSTALLED, verb]


def python_text(there: Path | None = None) -> str:
    """How to call this Python from a folder: by its name where that finds it, else by its path.

    A path below the folder (a `.venv` that is not activated) is written as such.
    """
    found = shutil.which("python")
    own = found is not None and Path(found).parent == Path(sys.executable).parent  # `python3` may have started it
    if SUBMITTED in os.environ or not os.path.isabs(sys.executable) or own:
        return "python"
    return _seen_from(there, Path(sys.executable))


def beside_python(name: str) -> str:
    """How to call a script that was installed beside this Python."""
    return _script(Path(sys.executable).with_name(name))


def sync_command(folder: SearchFolder) -> str:
    """The command that uploads what W&B's server has not got of a search."""
    return shlex.join([*program("sync"), str(folder.path)])


def evaluate_command(search_command: Sequence[str], folder: Path, typed_in: str | None = None) -> str:
    """The command that evaluates a search's choice, in the manner in which the search was started.

    Args:
        search_command: the search's own command line.
        folder: of the search.
        typed_in: where that was typed. Its paths are seen from there, so the command begins with `cd` if that is not
            here.
    """
    there = _elsewhere(typed_in) if search_command else None
    start = program("evaluate", search_command[0] if search_command else None, there)
    words = [*start, _seen_from(there, folder.resolve()) if there else str(folder), "--with-default"]
    return _going(there, [*words, *data_options(search_command)])


def continue_command(search_command: Sequence[str], trials: int | None = None, typed_in: str | None = None) -> str:
    """The search's own command line, with another number of trials if one is given; `typed_in` as above."""
    if not search_command:
        return "the same command" + ("" if trials is None else f" with --trials {trials}")
    first, *arguments = search_command
    there = _elsewhere(typed_in)
    if trials is not None:
        arguments = [*_without_trials(arguments), "--trials", str(trials)]
    if Path(first).name == _INSTALLED:
        verb = [] if arguments[:1] in (["search"], ["submit"]) else ["search"]
        start = [_script(Path(first), there), *verb]
    else:
        start = [python_text(there), first] if first.endswith(".py") else [first]
    return _going(there, [*start, *arguments])


def data_options(command: Sequence[str], *, stages: bool = False) -> list[str]:
    """The options of a command that others on its results need as well: where data lie, what comes from outside.

    Args:
        command: words as they were typed.
        stages: those as well that say where trained stages lie.
    """
    return list(_options_of(command, _OF_DATA + _OF_STAGES if stages else _OF_DATA))


def _options_of(command: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    take = False
    for word in command:
        if take or word.partition("=")[0] in names or word == "--accept-modified-data":
            yield word
        take = not take and word in names


def _without_trials(arguments: Sequence[str]) -> Iterator[str]:
    skip = False
    for word in arguments:
        if skip or word == "--trials":
            skip = not skip
        elif not word.startswith("--trials="):
            yield word


def _elsewhere(typed_in: str | None) -> Path | None:
    """Where a command was typed, if that is a folder of this machine and not the current one."""
    if typed_in is None or not os.path.isdir(typed_in) or os.path.samefile(typed_in, os.curdir):
        return None
    return Path(typed_in).resolve()


def _going(there: Path | None, words: Sequence[str]) -> str:
    return shlex.join(words) if there is None else f"cd {shlex.quote(str(there))} && {shlex.join(words)}"


def _script(path: Path, there: Path | None = None) -> str:
    """How to call an installed script: by its name where that finds it, else by its path, if that is known."""
    path = path if there is None else there / path
    found = shutil.which(path.name)
    if not path.is_file() or (found is not None and os.path.samefile(found, path)):
        return path.name
    return _seen_from(there, path)


def _seen_from(there: Path | None, path: Path) -> str:
    """A path as it is written in a folder, which is the current one if none is given."""
    try:
        return str(path.absolute().relative_to(Path.cwd() if there is None else there))
    except ValueError:
        return str(path if there is None else path.absolute())
