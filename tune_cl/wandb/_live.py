"""Runs that are shown while they grow, by a thread that alone calls W&B; and what a server that is silent costs."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tune_cl.commands import sync_command
from tune_cl.records import SearchFolder
from tune_cl.tracking import JobThread, in_one_line
from tune_cl.wandb._files import FileRun
from tune_cl.wandb._mode import ResolvedMode
from tune_cl.wandb._run import OpenRun
from tune_cl.wandb._sdk import abandon_service, quiet_wandb


class LiveRuns:
    """Brings runs up to date with their files: nobody waits for W&B, and it is complained of in one line.

    Args:
        mode: how runs are opened; online becomes offline when the server does not answer.
        report: where lines for a person go.
        what: goes on when W&B fails: 'search' or 'evaluation'.

    Attributes:
        mode: as it is now.
        place: the search's folder, and W&B's folder for local files; to be set before the first job.
    """

    def __init__(self, mode: ResolvedMode, report: Callable[[str], None], what: str) -> None:
        self.mode = mode
        self.place: tuple[SearchFolder, Path]
        self._report, self._what = report, what
        self._open: dict[Path, OpenRun] = {}
        self._told = False  # the one line is said
        self._unfinished = False  # W&B's service holds something that the server did not take in time
        self._broken = False  # nothing more is tried
        self._hurried, self._abandoned = threading.Event(), threading.Event()
        self._thread = JobThread("wandb", self.guarded, last=self.finish_all)

    def put(self, job: Callable[[], None]) -> None:
        """Have the thread do something that calls W&B; nothing where W&B is off."""
        if self.mode.mode != "disabled":
            self._thread.put(job)

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until everything is written, and once more at most for the server."""
        self._hurried.set()
        if not self._thread.close(timeout):
            command = sync_command(self.place[0])
            self.tell(
                f"W&B did not finish within {timeout:.0f} s; every row is on disk, and `{command}` uploads the rest"
            )
            self._abandoned.set()
        if self.abandoned or self._unfinished:
            abandon_service()

    @property
    def abandoned(self) -> bool:
        """Whether time is up: nothing more is to be written or said."""
        return self._abandoned.is_set()

    def tell(self, line: str) -> None:
        """Say a line, unless one was said or time is up."""
        if not self._told and not self.abandoned:
            self._told = True
            self._report(line)

    def go_offline(self, why: str) -> None:
        """Have all later runs kept offline, in a new service, since the old one holds the ids; say so."""
        self.mode = ResolvedMode("offline", f"no answer from the server ({why})")
        self.tell(self.mode.describe(*self.place))
        abandon_service()

    def update(self, run: FileRun) -> None:
        """Open a run unless it is open, and log the rows on disk that it lacks."""
        opened = self._open.get(run.folder.path) or self._opened(run)
        if opened is not None:
            opened.update()
            if opened.unreadable:
                self.tell(f"W&B shows a row without its picture, which cannot be read (in {run.folder.path})")

    def finish(self, run: FileRun) -> None:
        """Bring a run up to date, and close it."""
        self.update(run)
        if (opened := self._open.pop(run.folder.path, None)) is not None:
            opened.end(run.state, run.reason)

    def finish_all(self) -> None:
        """Close what is still open, as interrupted."""
        for opened in list(self._open.values()):
            self.guarded(partial(self.finish, opened.run))

    def guarded(self, job: Callable[[], None]) -> None:
        """Do something, and say what W&B made of it; nothing where that is hopeless, or somebody waits in vain."""
        if self._broken or self.abandoned or (self._hurried.is_set() and self._unfinished):
            return
        try:
            job()
        except TimeoutError:
            self._unfinished = True
            self.tell(f"W&B is slow; upload what it has not taken with `{sync_command(self.place[0])}`")
        except Exception as error:  # W&B raises many kinds, of its own and of its transport
            self.tell(f"W&B failed ({in_one_line(error)}); the {self._what} goes on, its rows are on disk")

    def _opened(self, run: FileRun) -> OpenRun | None:
        """Open a run; where the server does not answer offline, as all later ones and what was open."""
        try:
            opened = OpenRun(quiet_wandb(), self.mode.mode, run)
        except Exception as error:
            if self.abandoned:
                return None
            if self.mode.mode != "online":
                self._broken = True
                raise
            self.go_offline(in_one_line(error))
            others = [other.run for other in self._open.values()]
            self._open.clear()
            for other in others:
                self.update(other)
            return self._opened(run)
        self._open[run.folder.path] = opened
        return opened
