"""The small lossy channel: signs of life from inside phases on their way to the driver, and its one request to them."""

import time
from typing import Any, Literal

import ray

from tune_cl.chain import Progress
from tune_cl.tracking import PhaseProgress

_EVERY = 0.5  # seconds between two posts of one worker


class _Board:
    """Keeps the latest sign of each trial."""

    def __init__(self) -> None:
        self._latest: dict[int, PhaseProgress] = {}
        self._ending = False
        self._saved: set[int] = set()

    def post(self, progress: PhaseProgress) -> bool:
        """Put a sign up; it replaces the trial's last one. Says whether the search is about to end."""
        self._latest[progress.trial] = progress
        return self._ending

    def announce_end(self) -> None:
        """Have everybody told that the search is about to end."""
        self._ending = True

    def note_saved(self, trial: int) -> None:
        """The state of the phase that a trial is in has been saved."""
        self._saved.add(trial)

    def saved(self) -> set[int]:
        """The trials whose phase's state has been saved since the end was announced."""
        return set(self._saved)

    def take(self) -> list[PhaseProgress]:
        """Take all signs down."""
        taken, self._latest = list(self._latest.values()), {}
        return taken


def start_board() -> Any:
    """Start the board on the cluster; it takes no CPU of its own."""
    return ray.remote(num_cpus=0, max_restarts=-1)(_Board).remote()


class ProgressPost:
    """A worker's end of the channel: posts at most twice a second and never waits for an answer."""

    def __init__(self, board: Any, trial: int, node: str) -> None:
        self._board, self._trial, self._node, self._last = board, trial, node, 0.0
        self._answer: Any = None  # to the last post
        self._ending: Literal["", "asked to save", "saved"] = ""

    def __call__(self, progress: Progress) -> bool:
        """Post a sign of life, unless one was posted a moment ago.

        Returns:
            True, once: the search is about to end, and the state of the phase is to be saved after this step.
        """
        if self._ending == "asked to save":  # at the step before this one, so that it has been done
            self._ending = "saved"
            self._board.note_saved.remote(self._trial)
        now = time.monotonic()
        if now - self._last < _EVERY and progress.step < progress.steps:
            return False
        self._last = now
        save = not self._ending and not progress.waiting and self._end_is_announced()
        if save:
            self._ending = "asked to save"
        self._answer = self._board.post.remote(
            PhaseProgress(
                trial=self._trial,
                increment=progress.increment,
                phase=_in_words(progress),
                step=progress.step,
                steps=progress.steps,
                node=self._node,
            )
        )
        return save

    def _end_is_announced(self) -> bool:
        """The answer to the last post, if it has come."""
        if self._answer is None or not ray.wait([self._answer], timeout=0)[0]:
            return False
        try:
            return bool(ray.get(self._answer))
        except ray.exceptions.RayError:  # the board is being started again elsewhere
            return False


def _in_words(progress: Progress) -> str:
    if progress.disk_full:
        return f"disk full, {progress.phase} waits"
    return f"waiting for {progress.phase}" if progress.waiting else progress.phase
