"""The small lossy channel: signs of life from inside phases, on their way to the driver."""

import time
from typing import Any

import ray

from tune_cl.chain import Progress
from tune_cl.tracking import PhaseProgress

_EVERY = 0.5  # seconds between two posts of one worker


class _Board:
    """Keeps the latest sign of each trial."""

    def __init__(self) -> None:
        self._latest: dict[int, PhaseProgress] = {}

    def post(self, progress: PhaseProgress) -> None:
        """Put a sign up; it replaces the trial's last one."""
        self._latest[progress.trial] = progress

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

    def __call__(self, progress: Progress) -> None:
        """Post a sign of life, unless one was posted a moment ago."""
        now = time.monotonic()
        if now - self._last < _EVERY and progress.step < progress.steps:
            return
        self._last = now
        self._board.post.remote(
            PhaseProgress(
                trial=self._trial,
                increment=progress.increment,
                phase=_in_words(progress),
                step=progress.step,
                steps=progress.steps,
                node=self._node,
            )
        )


def _in_words(progress: Progress) -> str:
    if progress.disk_full:
        return f"disk full, {progress.phase} waits"
    return f"waiting for {progress.phase}" if progress.waiting else progress.phase
