"""Trials as runs of another tool, written by a thread of its own: what TensorBoard and MLflow have in common."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from tune_cl.records import IncrementRow, RunConfig, SearchFolder, SearchRecord, TrialState, TrialSummary, read_record
from tune_cl.tracking._events import (
    Event,
    IncrementReported,
    PhaseProgress,
    SearchEnded,
    SearchStarted,
    SlotDeferred,
    TrialEnded,
    TrialStarted,
)
from tune_cl.tracking._jobs import JobThread
from tune_cl.tracking._trackers import in_one_line, write_to_stderr


class Run(Protocol):
    """One trial in a tool; a run that was there before is continued."""

    def add(self, row: IncrementRow) -> None:
        """Log the numbers of a row as one step, and its picture of replayed images; what is there already is not."""

    def end(self, state: TrialState, reason: str | None) -> None:
        """Close the run; the state 'running' means interrupted."""


class Runs(Protocol):
    """The runs of one search in a tool."""

    def open(self, trial: int, config: RunConfig) -> Run:
        """The run of a trial, new or continued."""


class RunTracker:
    """Shows each trial as a run with one step per increment.

    `handle` only puts the event into a queue: training never waits. Files of the search are the truth: a run that is
    opened again gets the rows that it lacks, and no row twice. A failure is reported once, in one line.

    Args:
        tool: what a person calls it.
        runs: makes the runs of a search out of its record and folder, in the thread.
        report: where lines for a person go.
    """

    def __init__(
        self,
        tool: str,
        runs: Callable[[SearchRecord, SearchFolder], Runs],
        report: Callable[[str], None] = write_to_stderr,
    ) -> None:
        self._tool, self._make, self._report = tool, runs, report
        self._thread = JobThread(tool, self._attempt, last=partial(self._attempt, self._end_open))
        self._silent = threading.Event()  # a failure was reported, or nobody waits any longer
        self._late = threading.Event()
        self._runs: Runs | None = None
        self._folder: SearchFolder | None = None
        self._open: dict[int, Run] = {}

    def handle(self, event: Event) -> None:
        """Note an event for the thread that writes."""
        if not isinstance(event, PhaseProgress | SlotDeferred):
            self._thread.put(partial(self._take, event))

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until everything is written; say so if it is not."""
        if not self._thread.close(timeout):
            self._late.set()
            self._tell(f"{self._tool} did not finish within {timeout:.0f} s")
            self._silent.set()

    def _attempt(self, write: Callable[[], None]) -> None:
        if self._late.is_set():
            return
        try:
            write()
        except Exception as error:
            self._tell(f"{self._tool} failed ({in_one_line(error)})")

    def _take(self, event: Event) -> None:
        match event:
            case SearchStarted(record=record, folder=folder, earlier=earlier):
                self._folder, self._runs = folder, None
                self._runs = self._make(record, folder)
                for ended in earlier:
                    self._attempt(partial(self._catch_up, ended))
            case TrialStarted(trial=trial, config=config):
                self._start(trial, config)
            case IncrementReported(trial=trial, row=row) if trial in self._open:
                self._open[trial].add(row)
            case TrialEnded(trial=trial, state=state, reason=reason) if trial in self._open:
                self._open.pop(trial).end(state, reason)
            case SearchEnded():
                self._end_open()

    def _start(self, trial: int, config: RunConfig) -> None:
        """Open a run and log the rows on disk that it lacks."""
        if self._runs is None or self._folder is None or trial in self._open:
            return
        run = self._open[trial] = self._runs.open(trial, config)
        for row in self._folder.trial(trial).rows():
            self._attempt(partial(run.add, row))

    def _catch_up(self, ended: TrialSummary) -> None:
        """Log what the tool lacks of a trial that ended in an earlier session."""
        if self._folder is None or not (path := self._folder.trial(ended.trial).config).exists():
            return
        self._start(ended.trial, read_record(path, RunConfig))
        self._open.pop(ended.trial).end(ended.state, ended.reason)

    def _end_open(self) -> None:
        for trial in list(self._open):
            self._attempt(partial(self._open.pop(trial).end, "running", None))

    def _tell(self, what: str) -> None:
        if not self._silent.is_set():
            self._silent.set()
            self._report(f"{what}; every row is on disk, and the same command again writes what is missing")


def row_numbers(row: IncrementRow) -> dict[str, float]:
    """Every number of a row by its name in trackers; what is not defined at this increment is left out.

    `R/<i>` is the accuracy on the classes of increment i, `R/nme/<i>` the same by nearest class means.
    """
    numbers = {name: value for name, value in row.metrics.items() if value is not None}
    numbers |= {f"losses/{name}": value for name, value in row.losses.items()}
    numbers |= {f"R/{i}": accuracy for i, accuracy in enumerate(row.accuracy_row)}
    numbers |= {f"R/nme/{i}": accuracy for i, accuracy in enumerate(row.nearest_mean_row or [])}
    numbers |= {f"stages/{use.phase}/seconds": use.seconds for use in row.stages}
    return {**numbers, "warnings/count": float(len(row.warnings))}
