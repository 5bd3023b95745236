"""Weights & Biases: one run per trial, written by a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from tune_cl.commands import sync_command
from tune_cl.records import IncrementRow, RunConfig, SearchFolder, TrialState, TrialSummary, read_record, write_json
from tune_cl.tracking import (
    Event,
    IncrementReported,
    PhaseProgress,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    in_one_line,
    write_to_stderr,
)
from tune_cl.wandb._mode import entity_name, prepared, project_name
from tune_cl.wandb._run import SearchOfRuns, TrialRun, up_to_date
from tune_cl.wandb._sdk import quiet_wandb
from tune_cl.wandb._sweep import SweepMark, make_sweep, read_sweep, sweep_at, sweep_path
from tune_cl.wandb._thread import WandbThread


class WandbTracker:
    """Shows each trial as a W&B run with one row per increment.

    `handle` only puts the event into a queue: training never waits for W&B. Local files are the truth; a run that is
    taken up again gets the rows that it lacks, and no row twice. A failure is reported once, in one line.

    Args:
        mode: 'online', 'offline', 'disabled', or None: WANDB_MODE, else online where there are credentials.
        project: W&B project; None: WANDB_PROJECT, else 'tune_cl'.
        entity: W&B user or team; None: WANDB_ENTITY, else the account's default.
        report: where lines for a person go.
        sweep: show the search as a W&B sweep as well, with the trials' runs attached. Offline it is only noted down:
            the server makes a sweep, so `launch/sync.py` has it made.

    Raises:
        TuneCLError: W&B cannot be had so: see `prepared`.

    Example:
        >>> tracker = WandbTracker("offline")
        >>> tracker.handle(SearchStarted(record, folder, planned=8, resumed=0))
        >>> tracker.close(timeout=30)
    """

    def __init__(
        self,
        mode: str | None = None,
        project: str | None = None,
        entity: str | None = None,
        report: Callable[[str], None] = write_to_stderr,
        sweep: bool = False,
    ) -> None:
        self._report = report
        self._sweep = sweep
        self._thread: WandbThread[Event] = WandbThread(prepared(mode, project, entity), report, self._write)
        self._writer = _Writer(self._thread, project, entity, report, sweep)

    @property
    def mode(self) -> str:
        """'online', 'offline' or 'disabled'; online becomes offline when the server does not answer."""
        return self._thread.mode.mode

    def describe(self, folder: SearchFolder) -> str:
        """The mode, why, and where the runs of a search lie: one line for a person."""
        line = self._thread.mode.describe(folder)
        if not self._sweep or self.mode == "online":
            return line
        if self.mode == "disabled":
            return f"{line}; --wandb-sweep needs it on"
        return f"{line}, which also makes the sweep: that needs the server"

    def handle(self, event: Event) -> None:
        """Note an event for the thread that writes."""
        if not isinstance(event, PhaseProgress):
            self._thread.put(event)

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until everything is written, then say what is not."""
        self._writer.hurry()
        left = self._thread.close(timeout)
        if left is not None:
            unsent = sum(isinstance(event, IncrementReported) for event in left)
            self._report(self._writer.unsent_line(unsent, timeout))

    def _write(self, events: Iterator[Event]) -> None:
        for event in events:
            self._writer.handle(event)
        self._writer.end_open_runs()


class _Writer:
    """The thread's side: all calls of W&B are made here, one after another."""

    def __init__(
        self,
        thread: WandbThread[Event],
        project: str | None,
        entity: str | None,
        report: Callable[[str], None],
        sweep: bool,
    ) -> None:
        self._thread = thread
        self._sweep = sweep
        self._project = project_name(project)
        self._entity = entity_name(entity)
        self._report = report
        self._search: SearchOfRuns | None = None
        self._runs: dict[int, TrialRun] = {}
        self._configs: dict[int, RunConfig] = {}
        self._hurried = threading.Event()
        self._broken = False  # nothing more is tried

    def handle(self, event: Event) -> None:
        if isinstance(event, SearchStarted):
            self._search = SearchOfRuns(event.record, event.folder, self._project, self._entity)
        if self._broken or self._search is None or self._thread.abandoned or self._hopeless():
            return
        try:
            self._handle(event, self._search)
        except Exception as error:
            self._tell_failure(error)

    def end_open_runs(self) -> None:
        """Close what is still open, as interrupted."""
        for trial in list(self._runs):
            if not self._hopeless():
                self._end(trial, "running", None)

    def hurry(self) -> None:
        """Wait for the server once more at most; called from another thread when the search is over."""
        self._hurried.set()

    def unsent_line(self, rows: int, timeout: float) -> str:
        """What `close` says when its time is over."""
        where = sync_command(self._search.folder) if self._search else "launch/sync.py"
        return (
            f"W&B did not finish within {timeout:.0f} s ({rows} rows not handed over); every row is on disk, and "
            f"`{where}` uploads what is missing"
        )

    def _handle(self, event: Event, search: SearchOfRuns) -> None:
        match event:
            case SearchStarted(earlier=earlier):
                search = self._search = self._with_sweep(search)
                for ended in earlier:
                    self._catch_up(ended, search)
            case TrialStarted(trial=trial, config=config) if trial not in self._runs:
                self._start(trial, config, search)
            case IncrementReported(trial=trial, row=row) if trial in self._runs:
                self._add(self._runs[trial], row)
            case TrialEnded(trial=trial, state=state, reason=reason):
                self._end(trial, state, reason)
            case SearchEnded():
                self.end_open_runs()

    def _with_sweep(self, search: SearchOfRuns) -> SearchOfRuns:
        """The search with its sweep, where one was asked for, now or when it began; made unless there is one."""
        if not self._sweep and read_sweep(search.folder) is None:
            return search
        mark = sweep_at(search.folder, search.project, search.entity)
        write_json(sweep_path(search.folder), mark)
        if mark.sweep_id is None and self._thread.mode.mode == "online":
            mark = self._make_sweep(mark, search)
        return replace(search, sweep_id=mark.sweep_id)

    def _make_sweep(self, mark: SweepMark, search: SearchOfRuns) -> SweepMark:
        """Have the server make the sweep; where it does not, runs go on without, and the sweep is made later."""
        try:
            return make_sweep(quiet_wandb(), search.record, search.folder, mark)
        except ConnectionError as error:  # the runs would wait for the same server, one after another
            if not self._thread.abandoned:
                self._thread.go_offline(str(error), search.folder)
            return mark
        except Exception as error:
            if not self._thread.abandoned:
                command = sync_command(search.folder)
                self._report(f"W&B made no sweep ({in_one_line(error)}); the search goes on, `{command}` tries again")
            return mark

    def _start(self, trial: int, config: RunConfig, search: SearchOfRuns) -> None:
        """Open a run and log the rows on disk that it lacks. If the server does not answer, keep all runs offline."""
        self._configs[trial] = config
        try:
            self._runs[trial] = self._open(trial, config, search)
        except Exception as error:
            if self._thread.abandoned:
                return
            if self._thread.mode.mode != "online":
                self._broken = True
                raise
            self._go_offline(in_one_line(error), trial, search)
            return
        for row in search.folder.trial(trial).rows():
            self._add(self._runs[trial], row)

    def _open(self, trial: int, config: RunConfig, search: SearchOfRuns) -> TrialRun:
        folder, mode = search.folder, self._thread.mode.mode
        return TrialRun(quiet_wandb(), mode, search.shown(trial, config), folder.trial(trial), folder.wandb)

    def _add(self, run: TrialRun, row: IncrementRow) -> None:
        try:
            run.add(row)
        except Exception as error:
            self._tell_failure(error)

    def _go_offline(self, why: str, trial: int, search: SearchOfRuns) -> None:
        """Open `trial`, and again what was open, offline."""
        self._thread.go_offline(why, search.folder)
        again = [*self._runs, trial]
        self._runs.clear()
        for number in again:
            self._start(number, self._configs[number], search)

    def _catch_up(self, ended: TrialSummary, search: SearchOfRuns) -> None:
        """Tell W&B what it missed of a trial that has ended in an earlier session."""
        folder = search.folder.trial(ended.trial)
        if not folder.config.exists():
            return
        config = read_record(folder.config, RunConfig)
        if not up_to_date(folder, ended.state, self._thread.mode.mode, search.shown(ended.trial, config)):
            self._start(ended.trial, config, search)
            self._end(ended.trial, ended.state, ended.reason)

    def _end(self, trial: int, state: TrialState, reason: str | None) -> None:
        run = self._runs.pop(trial, None)
        if run is None or self._search is None:
            return
        try:
            run.end(state, reason)
        except TimeoutError:
            self._thread.unfinished = True
            self._thread.tell(f"W&B is slow; upload what it has not taken with `{sync_command(self._search.folder)}`")
        except Exception as error:
            self._tell_failure(error)

    def _hopeless(self) -> bool:
        """Say whether somebody waits for the end while the server has been found not to answer."""
        return self._hurried.is_set() and self._thread.unfinished

    def _tell_failure(self, error: Exception) -> None:
        self._thread.tell(f"W&B failed ({in_one_line(error)}); the search goes on, its rows are on disk")
