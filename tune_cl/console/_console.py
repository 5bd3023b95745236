"""The console: a live view on a terminal, plain lines elsewhere, and the report at the end."""

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tune_cl.console._lines import line_of
from tune_cl.console._live import render
from tune_cl.console._report import report
from tune_cl.console._state import ViewState, reduce, with_notice
from tune_cl.records import SearchFolder
from tune_cl.tracking import Event, SearchEnded, SearchStarted

_FRAMES_PER_SECOND = 2.0  # the view shares the cores with the training


class ConsoleTracker:
    """Shows a search to a person.

    On a terminal: a table of trials and increments that is redrawn twice a second, gone when the search ends. Into a
    pipe or a file: one line per event, no control codes. Then, in both, the report.

    Args:
        console: where to write; None: standard output.
        wandb_line: says for a search folder where its W&B runs are (`WandbTracker.describe`).
    """

    def __init__(self, console: Console | None = None, wandb_line: Callable[[SearchFolder], str] | None = None) -> None:
        self._console = console if console is not None else _standard_output()
        self._wandb_line = wandb_line
        self._state = ViewState()
        self._lock = threading.RLock()
        self._live: Live | None = None

    def handle(self, event: Event) -> None:
        """Take an event into the view; print its line where there is no terminal, and the report at the end."""
        with self._lock:
            before = self._state
            self._state = reduce(before, event, time.monotonic())
            if isinstance(event, SearchStarted) and _can_be_redrawn(self._console):
                self._start_live()
            if self._live is None:
                self._print_line(line_of(event, before))
            if isinstance(event, SearchStarted) and self._wandb_line is not None:
                self.notice(self._wandb_line(event.folder))
            if isinstance(event, SearchEnded):
                self._stop_live()
                self._print_report(event)

    def notice(self, line: str) -> None:
        """Say one line to the person; may be called from any thread."""
        with self._lock:
            if self._live is not None:
                self._state = with_notice(self._state, line)
            else:
                self._print_line(line)

    @contextmanager
    def waiting(self, words: str) -> Iterator[None]:
        """Say on a terminal what is waited for, as long as the block lasts; into a pipe nothing."""
        with self._console.status(words) if _can_be_redrawn(self._console) else nullcontext():
            yield

    def close(self, timeout: float) -> None:
        """Give the terminal back. Nothing is waited for."""
        with self._lock:
            self._stop_live()

    def _start_live(self) -> None:
        self._live = Live(
            console=self._console,
            get_renderable=self._frame,
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
            vertical_overflow="crop",
        )
        self._live.start(refresh=True)

    def _stop_live(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
            self._console.print(self._frame())

    def _frame(self) -> RenderableType:
        width, height = self._console.size
        return render(self._state, width, height - 1, time.monotonic())

    def _print_line(self, line: str | None) -> None:
        if line is not None:
            self._print(Text(line, no_wrap=True))

    def _print_report(self, event: SearchEnded) -> None:
        if self._state.record is None or self._state.folder is None:
            return
        wandb_line = self._wandb_line(self._state.folder) if self._wandb_line is not None else ""
        for part in report(self._state.record, self._state.folder, event, wandb_line):
            self._print(part)

    def _print(self, part: RenderableType) -> None:
        """Print and flush. A text marked `no_wrap` is never broken, so that it can be copied and searched.

        Off a terminal no text is, and no table is narrower than what is in it.
        """
        whole = not self._console.is_terminal
        if whole and isinstance(part, Table):
            wide = Console(width=10_000)
            part.width = Measurement.get(wide, wide.options, part).maximum
        self._console.print(part, soft_wrap=whole or (isinstance(part, Text) and bool(part.no_wrap)))
        self._console.file.flush()


def _can_be_redrawn(console: Console) -> bool:
    """Say whether there is a terminal; a pipe stays one although FORCE_COLOR makes rich take it for a terminal."""
    return console.is_interactive and console.file.isatty()


def _standard_output() -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper):  # where the terminal's encoding lacks a character, print '?' instead
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False)
