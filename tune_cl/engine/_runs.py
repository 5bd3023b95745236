"""What the driver does for a list of runs that are all to be run to the end: of an evaluation, or of finalists."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np

from tune_cl.engine._driver import InFlight
from tune_cl.records import Failure, IncrementRow, RunConfig, TrialFolder, write_yaml
from tune_cl.study import Decision, Deferred
from tune_cl.tracking import PhaseProgress


class Run(Protocol):
    """A configuration of a trial, under another seed or on another stream."""

    @property
    def name(self) -> str:
        """Its folder's."""

    @property
    def trial(self) -> int:
        """Number of the configuration's trial in the search."""

    @property
    def config(self) -> RunConfig:
        """Everything that the run does."""


R = TypeVar("R", bound=Run)
_R = TypeVar("_R", bound=Run, contravariant=True)


class RunWatcher(Protocol[_R]):
    """Who is told what becomes of the runs."""

    def started(self, run: _R) -> None:
        """A run begins, or is taken up again."""

    def progress(self, run: _R, progress: PhaseProgress) -> None:
        """A sign of life from inside a phase."""

    def trained(self, run: _R, increment: int) -> None:
        """An increment has been trained."""

    def finished(self, run: _R, rows: list[IncrementRow]) -> None:
        """A run's rows are on disk, and complete."""

    def failed(self, run: _R, reason: str) -> None:
        """A run failed; the others go on."""


class RunsConductor(ABC, Generic[R]):
    """Hands out runs one after another and writes down what becomes of them. Knows no Ray.

    A worker knows a run by its number, its place in the list `runs`, which may grow.

    Args:
        runs: what is run.
        left: numbers of those that are still to run.
        watcher: who is told.
        heading: of the configuration files.
    """

    def __init__(self, runs: Sequence[R], left: Sequence[int], watcher: RunWatcher[R], heading: str) -> None:
        self.trouble: Exception | None = None
        self.runs, self.left = list(runs), list(left)
        self.in_flight = InFlight(lambda number: f"run {self.runs[number].name}")
        self.lock = threading.RLock()
        self.watcher, self._heading = watcher, heading
        self._reported: dict[int, int] = {}

    @abstractmethod
    def folder_of(self, run: R) -> TrialFolder:
        """Where a run writes."""

    @abstractmethod
    def on_increment(self, row: IncrementRow, preview: np.ndarray | None) -> Decision:
        """Take in a trained increment."""

    @property
    def missing(self) -> int:
        """Runs that have not begun here and have no results."""
        return len(self.left)

    def next_trial(self) -> tuple[int, RunConfig] | Deferred | None:
        """The next run without results; None when all have begun."""
        with self.lock:
            if not self.left:
                return None
            number = self.left.pop(0)
            run = self.runs[number]
            folder = self.folder_of(run)
            for of_an_earlier_try in (folder.failure, folder.error):
                of_an_earlier_try.unlink(missing_ok=True)
            write_yaml(folder.config, run.config, self._heading)
            folder.add_log("started")
            self._reported[number] = 0
            self.in_flight.between_phases(number)
            self.watcher.started(run)
            return number, run.config

    def on_progress(self, progress: PhaseProgress) -> None:
        """Take in a sign of life from inside a phase."""
        with self.lock:
            if self.in_flight.note(progress):
                self.watcher.progress(self.runs[progress.trial], progress)

    def note_increment(self, row: IncrementRow) -> R:
        """Write down that an increment has been trained; returns the run that a row's number means."""
        run = self.runs[row.trial]
        self.folder_of(run).add_log(f"increment {row.increment} trained on {row.node}")
        self._reported[row.trial] = row.increment + 1
        self.in_flight.between_phases(row.trial)
        self.watcher.trained(run, row.increment)
        return run

    def on_failure(self, trial: int, failure: Failure) -> None:
        """Record that a run failed; the others go on."""
        with self.lock:
            run = self.runs[trial]
            folder = self.folder_of(run)
            folder.add_failure(failure)
            folder.add_log(f"failed: {failure.reason}")
            self.in_flight.end(trial)
            self.watcher.failed(run, failure.reason)

    def next_increment(self, trial: int) -> int:
        """The increment that a run has not reported yet."""
        return self._reported.get(trial, 0)
