"""The small lossy channel: signs of life from inside phases on their way to the driver, and its one request to them."""

import time
from typing import Any, Literal

import ray

from tune_cl.chain import Progress

_EVERY = 0.5  # seconds between two posts of one worker


class ProgressPost:
    """A worker's end of the channel: posts at most twice a second and never waits for an answer."""

    def __init__(self, coordinator: Any, trial: int, node: str) -> None:
        self._coordinator, self._trial, self._node, self._last = coordinator, trial, node, 0.0
        self._answer: Any = None  # to the last post
        self._ending: Literal["", "asked to save", "saved"] = ""

    def __call__(self, progress: Progress) -> bool:
        """Post a sign of life, unless one was posted a moment ago.

        Returns:
            True, once: the search is about to end, and the state of the phase is to be saved after this step.
        """
        if self._ending == "asked to save":  # at the step before this one, so that it has been done
            self._ending = "saved"
            self._coordinator.note_saved.remote(self._trial)
        now = time.monotonic()
        if now - self._last < _EVERY and progress.step < progress.steps:
            return False
        self._last = now
        save = not self._ending and not progress.waiting and self._end_is_announced()
        if save:
            self._ending = "asked to save"
        self._answer = self._coordinator.post.remote(
            {
                "trial": self._trial,
                "increment": progress.increment,
                "phase": _in_words(progress),
                "step": progress.step,
                "steps": progress.steps,
                "node": self._node,
            }
        )
        return save

    def _end_is_announced(self) -> bool:
        """The answer to the last post, if it has come."""
        if self._answer is None or not ray.wait([self._answer], timeout=0)[0]:
            return False
        try:
            return bool(ray.get(self._answer))
        except ray.exceptions.RayError:  # it is being started again elsewhere
            return False


def _in_words(progress: Progress) -> str:
    if progress.disk_full:
        return f"disk full, {progress.phase} waits"
    return f"waiting for {progress.phase}" if progress.waiting else progress.phase
