"""The driver's side as Ray's adapters see it, of a search or an evaluation, and what it knows of phases in flight."""

import threading
from collections.abc import Callable, Collection
from typing import Literal, Protocol

import numpy as np

from tune_cl.records import Failure, IncrementRow, RunConfig
from tune_cl.study import Decision, Deferred
from tune_cl.tracking import PhaseProgress

Ending = Literal["done", "interrupted", "out of time"]


class InFlight:
    """The trials that run, and the phase that each is in. Safe to use from several threads.

    Args:
        name: what a person knows a number by.
    """

    def __init__(self, name: Callable[[int], str] = "trial {:04d}".format) -> None:
        self._name = name
        self._lock = threading.RLock()
        self._running: dict[int, PhaseProgress | None] = {}
        self._saved: set[int] = set()

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, trial: int) -> bool:
        return trial in self._running

    def trials(self) -> list[int]:
        """Numbers of the running trials."""
        with self._lock:
            return list(self._running)

    def between_phases(self, trial: int) -> None:
        """A trial has begun, or reported an increment."""
        with self._lock:
            self._running[trial] = None

    def end(self, trial: int) -> None:
        """A trial has ended."""
        with self._lock:
            self._running.pop(trial, None)

    def note(self, progress: PhaseProgress) -> bool:
        """Take in a sign of life; says whether its trial runs."""
        with self._lock:
            known = progress.trial in self._running
            if known:
                self._running[progress.trial] = progress
            return known

    def note_saved(self, trials: Collection[int]) -> None:
        """Take in which trials have saved the state of the phase they are in."""
        with self._lock:
            self._saved.update(trials)

    def unsaved(self) -> list[int]:
        """Running trials that are inside a phase whose state has not been saved."""
        with self._lock:
            return [trial for trial, progress in self._running.items() if progress and trial not in self._saved]

    def in_words(self) -> list[str]:
        """The phases that an interrupt now would end."""
        with self._lock:
            return [
                _where(self._name(trial), progress) + (", saved" if progress and trial in self._saved else "")
                for trial, progress in sorted(self._running.items())
            ]


class Driver(Protocol):
    """What runs trials: the conductor of a search, or that of an evaluation. Called from the driver's main thread."""

    trouble: Exception | None
    in_flight: InFlight

    def next_trial(self) -> tuple[int, RunConfig] | Deferred | None:
        """What to run next; None when nothing is left to begin."""
        ...

    def on_increment(self, row: IncrementRow, preview: np.ndarray | None) -> Decision:
        """Take in a row and decide whether its trial goes on."""
        ...

    def on_failure(self, trial: int, failure: Failure) -> None:
        """Take in that a trial failed."""
        ...

    def next_increment(self, trial: int) -> int:
        """The increment that a trial has not reported yet."""
        ...

    def on_progress(self, progress: PhaseProgress) -> None:
        """Take in a sign of life from inside a phase; called from a thread of its own."""
        ...


def _where(trial: str, progress: PhaseProgress | None) -> str:
    if progress is None:
        return f"{trial}, between two phases"
    share = f"{100 * progress.step // max(1, progress.steps)} %"
    return f"{trial}, increment {progress.increment}, {progress.phase} phase at {share}"
