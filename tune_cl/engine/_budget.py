"""What the driver of a search does for the stage store: pins what it needs, and holds the store within a size."""

import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from tune_cl.chain import planned_keys, read_run
from tune_cl.errors import TuneCLError
from tune_cl.records import RunConfig, SearchFolder
from tune_cl.store import Pins, Pruned, Upkeep, winner_keys
from tune_cl.streams import Stream
from tune_cl.text import bytes_text


def _ignore(line: str) -> None:
    """Nobody listens."""


class StageBudget:
    """Looks after the stages of one search; a context manager that holds a live pin.

    The driver calls `update` when a trial begins and after each reported increment, from one thread at a time. The
    stages of running trials are pinned as long as the driver lives, those of the winner and of trial 0 as long as the
    search's folder does; other searches and `tune-cl stages prune` respect that. With a budget, what is worth least
    goes when the store is larger. Nothing here fails a search: what cannot be done is reported once.

    Args:
        stages: folder of the stage store.
        budget: bytes; None for no limit.
        folder: the search's.
        stream: the search's.
        report: told in a sentence what a person should know.
        every: seconds between two looks at the size.

    Example:
        >>> with StageBudget(stages, 50 * 2**30, folder, stream) as keeper:
        ...     keeper.update(running=[3, 4], best=1)
    """

    def __init__(
        self,
        stages: Path,
        budget: int | None,
        folder: SearchFolder,
        stream: Stream,
        report: Callable[[str], None] = _ignore,
        every: float = 5.0,
    ) -> None:
        self._budget, self._folder, self._stream, self._report = budget, folder, stream, report
        self._every = every
        self._upkeep = Upkeep(stages)
        self._live = Pins(stages).hold(())
        self._planned: dict[int, list[str]] = {}  # trial -> keys of its chain
        self._winner: list[str] = []  # keys of the best trial and of trial 0
        self._winner_of: tuple[int | None, bool] | None = None  # the best then, and whether trial 0 was running
        self._last = -float("inf")
        self._told: set[str] = set()
        self.evicted_bytes = self.evicted_stages = 0

    def __enter__(self) -> "StageBudget":
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of what running trials needed; the winner's stages stay pinned."""
        self._live.release()
        if self.evicted_stages:
            size = bytes_text(self.evicted_bytes)
            self._report(f"stages: {self.evicted_stages} were evicted ({size}) to stay within the budget")

    def update(self, running: Iterable[int], best: int | None, *, at_once: bool = False) -> None:
        """Pin what is needed now, then hold the budget.

        Args:
            running: numbers of the trials that have begun and not ended; at an interrupt those to be taken up again.
            best: number of the best finished trial, if there is one.
            at_once: look at the size even if the last look was just now.
        """
        numbers = sorted(running)
        try:
            self._planned = {number: self._planned.get(number) or self._keys_of(number) for number in numbers}
            if self._winner_of != (best, 0 in numbers):
                self._winner, self._winner_of = winner_keys(self._folder, best), (best, 0 in numbers)
        except (OSError, TuneCLError) as error:  # evict nothing while it is not known what is needed
            self._tell_once("stages", f"stages: what this search needs cannot be read ({error}); nothing is evicted")
            return
        live = {key for keys in self._planned.values() for key in keys}
        self.enforce(live, self._winner, at_once=at_once)

    def keep(self, runs: Iterable[RunConfig], best: int | None) -> None:
        """Pin what these runs need, and what the best trial does, then hold the budget."""
        self.enforce(
            {key for run in runs for _, _, key in planned_keys(run, self._stream)}, winner_keys(self._folder, best)
        )

    def enforce(self, live: Collection[str], winner: Collection[str], *, at_once: bool = False) -> Pruned | None:
        """Pin these stages, then remove what is worth least; None where the size was looked at just now, or cannot be.

        Args:
            live: keys that running trials need, those of their ancestors among them.
            winner: keys of the winner and of trial 0.
            at_once: see `update`.
        """
        self._live.keep(live)
        try:
            if winner:
                self._upkeep.pins.pin_winner(self._folder.path, winner)
            if self._budget is None or not (at_once or time.monotonic() - self._last >= self._every):
                return None
            pruned = self._upkeep.enforce(self._budget, {*live, *winner})
            self._last = time.monotonic()
        except OSError as error:
            self._tell_once("stages", f"stages: upkeep of {self._upkeep.path} is not possible ({error.strerror})")
            return None
        stages = [item for item in pruned.evicted if item.kind == "stage"]
        self.evicted_stages += len(stages)
        self.evicted_bytes += sum(item.bytes for item in stages)
        if pruned.complaint:
            self._tell_once("budget", f"--max-store-size: {pruned.complaint}")
        return pruned

    def _keys_of(self, number: int) -> list[str]:
        run = read_run(self._folder.trial(number).config)
        return [key for _, _, key in planned_keys(run, self._stream)]

    def _tell_once(self, subject: str, line: str) -> None:
        if subject not in self._told:
            self._told.add(subject)
            self._report(line)
