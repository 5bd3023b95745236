"""Entry of every command: finds it, runs it, and turns what goes wrong into a sentence and an exit code.

Exit codes: 0 done; 2 bad input (one sentence, no traceback); 130 interrupted (resumable); 1 anything else.
"""

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import tune_cl
from tune_cl.cli._output import finish_output, nobody_reads, say, settle_output
from tune_cl.cli._parser import PARSERS, check, jobs_parser
from tune_cl.errors import TuneCLError, near_matches

# What a disk may say at any time, which is no fault of ours.
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
# What is wrong with a place, found late: below a folder that a person named.
_PLACES = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)

_USAGE = """usage: tune-cl COMMAND [options]

Honest hyperparameter search for class-incremental learning.

commands:
  search    search a method's hyperparameters on a stream
  submit    run a search as a job on a Ray cluster; status, logs and stop of such jobs
  train     run one configuration without a search
  evaluate  retrain what a search has chosen, and read test data
  compare   compare searches: configurations, curves, cost, and what is noise
  report    write a search as a page for a browser
  watch     show a search in a browser while it runs
  sync      upload to W&B what its server has not got of a search
  sweep     turn a space file into a W&B sweep file, and back
  stages    list, verify and prune the store of trained stages

`tune-cl COMMAND --help` explains a command, `tune-cl --version` says which one this is. `python launch/search.py` is
`tune-cl search`, and so on; `python -m tune_cl` is `tune-cl`. Completion in bash or zsh: put
`eval "$(tune-cl --completion bash)"` into ~/.bashrc, or with zsh into ~/.zshrc (needs `pip install argcomplete`).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    settle_output()
    try:
        try:
            return _answer(argv)
        finally:
            finish_output()
    except BrokenPipeError:
        if not nobody_reads():
            raise
        return 1
    except TuneCLError as error:
        say(f"tune-cl: {error}")
        return 2
    except OSError as error:
        return _said_of_place(error)
    except MemoryError:
        say("tune-cl: this machine ran out of memory; free some and rerun the command to resume")
        return 1
    except KeyboardInterrupt:
        say("tune-cl: interrupted; rerun the command to resume")
        return 130


def _said_of_place(error: OSError) -> int:
    """Say what is wrong with a disk, or with a place on it; returns the exit code. What else it may be is raised."""
    place = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else None
    if error.errno in _STORAGE:
        say(f"tune-cl: {error.strerror} ({place or 'a file of ours'}); fix this and rerun the command to resume")
        return 1
    if error.errno not in _PLACES or place is None:
        raise error
    say(f"tune-cl: {place}: {error.strerror}; fix this, or name another place")
    return 2


def _answer(argv: Sequence[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:  # a shell asks for completions
        from tune_cl.cli._completion import complete

        complete()
    if argv and argv[0].partition("=")[0] == "--completion":
        from tune_cl.cli._completion import script

        print(script(" ".join([*argv[0].split("=")[1:], *argv[1:]])))
        return 0
    if not argv or argv[0] in ("-h", "--help"):
        print(_USAGE)
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"tune-cl {tune_cl.__version__}")
        return 0
    if argv[0] not in PARSERS:
        raise TuneCLError(f"unknown command {argv[0]!r}{near_matches(argv[0], PARSERS)}; see tune-cl --help")
    return _run(argv[0], argv[1:])


def _run(command: str, argv: Sequence[str]) -> int:
    """Read the options, then import what the command needs, which takes seconds, and run it."""
    if command == "submit" and argv and not argv[0].startswith("-"):
        about = jobs_parser(argv[0]).parse_args(argv[1:])
        return int(import_module("tune_cl.cli._submit_jobs").about_jobs(argv[0], about))
    args = PARSERS[command]().parse_args(argv)
    if getattr(args, "list", False):
        import_module("tune_cl.cli._catalogue").show_catalogue(args.plugins, args.data_sets)
        return 0
    check(command, args)
    return int(import_module(f"tune_cl.cli._{command}").run(args, argv))
