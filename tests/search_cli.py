"""Searches as a person runs them: `launch/search.py` in a process of its own, and what it left on disk."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tune_cl.cli.main import main
from tune_cl.records import IncrementRow, SearchFolder, Summary, read_record

ROOT = Path(__file__).resolve().parent.parent
LAUNCH = ROOT / "launch"

# `finetune` on a narrow network: an increment takes a few tenths of a second.
CHEAP = (
    "--set=base.classifier.epochs=1",
    "--set=base.classifier.batch_size=256",
    "--set=base.classifier.width=4",
    "--set=increment.classifier.epochs=1",
    "--set=increment.classifier.batch_size=256",
)
SPACE = ("--space", "finetune")
# One trial at a time, TPE and halving; phases of half a second, so that an interrupt finds one in flight.
STEADY = (*SPACE, *CHEAP, "--set=increment.classifier.epochs=2", "--trials", "3", "--concurrency", "1", "--name", "s")


@dataclass(frozen=True)
class Reference:
    """A search that nobody disturbed."""

    options: tuple[str, ...]
    results: Path
    done: subprocess.CompletedProcess[str]

    @property
    def folder(self) -> SearchFolder:
        """Where it lies."""
        return SearchFolder(self.results / "s")


def environment(**changes: str) -> dict[str, str]:
    """The environment without W&B, unless a change says otherwise."""
    return {**os.environ, "WANDB_MODE": "disabled", "COLUMNS": "400", **changes}


def start(command: Sequence[str], log: Path, **settings: Any) -> subprocess.Popen[bytes]:
    """Start a script in a process group of its own, as a terminal does; both outputs go to `log`."""
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, *map(str, command)], stdout=file, stderr=file, start_new_session=True, **settings
        )


def run(command: Sequence[str | Path], timeout: float = 120, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a script to its end; what it prints is captured."""
    settings.setdefault("env", environment())
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=timeout, **settings
    )


def run_side_by_side(*commands: Sequence[str | Path], **settings: Any) -> list[subprocess.CompletedProcess[str]]:
    """Run scripts that have nothing to do with each other, at the same time."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda command: run(command, **settings), commands))


def search(*options: str | Path, timeout: float = 120, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run `launch/search.py`."""
    return run([LAUNCH / "search.py", *options], timeout=timeout, **settings)


def search_here(*options: str | Path) -> tuple[int, str]:
    """Run a search in this process; returns the exit code and what it printed."""
    return here("search", *options)


def here(*command: str | Path) -> tuple[int, str]:
    """Run a command in this process, which spares the start of another; returns the exit code and what it printed."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output), pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        patch.setenv("COLUMNS", "400")
        code = main(list(map(str, command)))
    return code, output.getvalue()


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Look at a condition until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.05)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and all of its group, if any of them is left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def summary_of(folder: SearchFolder) -> Summary:
    """`summary.json`."""
    return read_record(folder.summary, Summary)


def rows_of(folder: SearchFolder) -> dict[int, list[IncrementRow]]:
    """Trial -> the rows on disk."""
    return {number: trial.rows() for number, trial in folder.trials().items()}


def comparable(rows: Mapping[int, Sequence[IncrementRow]]) -> dict[int, list[dict[str, Any]]]:
    """Everything that must be equal between two runs."""
    return {number: [row.comparable() for row in of_trial] for number, of_trial in rows.items()}


def states_of(folder: SearchFolder) -> list[str]:
    """The trials' states, in order of their numbers."""
    return [trial.state for trial in summary_of(folder).table]


def configurations_of(folder: SearchFolder) -> list[str]:
    """The trials' configuration files without their heading, which holds a path."""
    return [trial.config.read_text().split("\n", 1)[1] for trial in folder.trials().values()]
