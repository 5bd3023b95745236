"""A search, and an evaluation, shown in Weights & Biases while they run."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from tune_cl.commands import sync_command
from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder, SearchRecord, write_json
from tune_cl.tracking import (
    Event,
    IncrementReported,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    in_one_line,
    write_to_stderr,
)
from tune_cl.wandb._files import SearchFiles
from tune_cl.wandb._live import LiveRuns
from tune_cl.wandb._mode import entity_name, prepared, project_name
from tune_cl.wandb._overview import FileOverview, MakeOverview, Subject
from tune_cl.wandb._sdk import quiet_wandb
from tune_cl.wandb._sweep import SweepMark, make_sweep, read_sweep, sweep_at, sweep_path


class WandbTracker:
    """Shows each trial as a W&B run with one row per increment, and the search as one more.

    `handle` only notes which trial has news: training never waits for W&B. The files are the truth: a run gets the rows
    on disk that it lacks, and no row twice. A failure is reported once, in one line.

    Args:
        mode: 'online', 'offline', 'disabled', or None: WANDB_MODE, else online where there are credentials.
        project: W&B project; None: WANDB_PROJECT, else 'tune_cl'.
        entity: W&B user or team; None: WANDB_ENTITY, else the account's default.
        report: where lines for a person go.
        sweep: show the search as a W&B sweep as well, with the trials' runs attached. Offline it is only noted down:
            the server makes a sweep, so `launch/sync.py` has it made.
        overview: makes what the run of the search itself shows; None for no such run.

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
        overview: MakeOverview | None = None,
    ) -> None:
        self._report = report
        self._place = project_name(project), entity_name(entity)
        self._sweep = sweep
        self._overview = overview
        self._files: SearchFiles | None = None
        self._live = LiveRuns(prepared(mode, project, entity), report, "search")

    @property
    def mode(self) -> str:
        """'online', 'offline' or 'disabled'; online becomes offline when the server does not answer."""
        return self._live.mode.mode

    def describe(self, folder: SearchFolder) -> str:
        """The mode, why, and where the runs of a search lie: one line for a person."""
        line = self._live.mode.describe(folder)
        if not self._sweep or self.mode == "online":
            return line
        if self.mode == "disabled":
            return f"{line}; --wandb-sweep needs it on"
        return f"{line}, which also makes the sweep: that needs the server"

    def handle(self, event: Event) -> None:
        """Note for the thread that writes what has news."""
        live = self._live
        match event:
            case SearchStarted(record=record, folder=folder):
                live.place = folder, folder.wandb
                self._files = SearchFiles(record, folder, *self._place)
                live.put(partial(self._begin, event))
            case TrialStarted(trial=number) | IncrementReported(trial=number):
                live.put(lambda: live.update(self._there.trial(number)))
            case TrialEnded(trial=number, state=state, reason=reason):
                live.put(lambda: live.finish(self._there.trial(number, state, reason)))
            case SearchEnded(interrupted=interrupted, out_of_time=out_of_time):
                live.put(live.finish_all)
                if not interrupted or out_of_time:
                    live.put(lambda: _show_overview(live, self._there, self._overview, "search"))

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until everything is written, then say what is not."""
        self._live.close(timeout)

    @property
    def _there(self) -> SearchFiles:
        assert self._files is not None  # a search starts before its trials
        return self._files

    def _begin(self, started: SearchStarted) -> None:
        """Have the sweep made, and tell W&B what it missed of the trials that have ended in an earlier session."""
        files = self._files = self._with_sweep(self._there)
        for ended in started.earlier:
            if files.folder.trial(ended.trial).config.exists():
                run = files.trial(ended.trial, ended.state, ended.reason)
                if not run.up_to_date(self._live.mode.mode):
                    self._live.guarded(partial(self._live.finish, run))

    def _with_sweep(self, files: SearchFiles) -> SearchFiles:
        """The search with its sweep, where one was asked for, now or when it began; made unless there is one."""
        if not self._sweep and read_sweep(files.folder) is None:
            return files
        mark = sweep_at(files.folder, files.project, files.entity)
        write_json(sweep_path(files.folder), mark)
        if mark.sweep_id is None and self._live.mode.mode == "online":
            mark = self._make_sweep(mark, files)
        return replace(files, sweep_id=mark.sweep_id)

    def _make_sweep(self, mark: SweepMark, files: SearchFiles) -> SweepMark:
        """Have the server make the sweep; where it does not, runs go on without, and the sweep is made later."""
        try:
            return make_sweep(quiet_wandb(), files.record, files.folder, mark)
        except ConnectionError as error:  # the runs would wait for the same server, one after another
            if not self._live.abandoned:
                self._live.go_offline(str(error))
        except Exception as error:
            if not self._live.abandoned:
                command = sync_command(files.folder)
                self._report(f"W&B made no sweep ({in_one_line(error)}); the search goes on, `{command}` tries again")
        return mark


class WandbEvaluation:
    """Shows evaluation runs that have their results, in the group of the search, and the evaluation as one more.

    `show` only notes a run: nobody waits for W&B. The files are the truth; a run that was shown is not shown again.

    Args:
        mode: as for `WandbTracker`, and so are project, entity and overview.
        project: W&B project.
        entity: W&B user or team.
        record: the search's definition.
        folder: the search's.
        report: where lines for a person go.
        overview: makes what the run of the evaluation itself shows.

    Raises:
        TuneCLError: W&B cannot be had so: see `prepared`.
    """

    def __init__(
        self,
        mode: str | None,
        project: str | None,
        entity: str | None,
        record: SearchRecord,
        folder: SearchFolder,
        report: Callable[[str], None] = write_to_stderr,
        overview: MakeOverview | None = None,
    ) -> None:
        self._files = SearchFiles(record, folder, project_name(project), entity_name(entity))
        self._overview = overview
        self._live = LiveRuns(prepared(mode, project, entity), report, "evaluation")
        self._live.place = folder, folder.evaluation.wandb

    def describe(self) -> str:
        """The mode, why, and where the runs lie: one line for a person."""
        return self._live.mode.describe(*self._live.place)

    def show(self, name: str) -> None:
        """Note a run that has its rows, by its folder below `evaluation/runs`."""
        if self._live.mode.mode == "disabled":
            return
        run = self._files.evaluation(name)
        if not run.up_to_date(self._live.mode.mode):
            with suppress(OSError):  # it is only for `sync` to know the run, should the thread not come to it
                run.note()
            self._live.put(partial(self._live.finish, run))

    def ended(self) -> None:
        """Show the evaluation as it stands in its summary."""
        self._live.put(lambda: _show_overview(self._live, self._files, self._overview, "evaluation"))

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until every run is written, then say what is not."""
        self._live.close(timeout)


def _show_overview(live: LiveRuns, files: SearchFiles, make: MakeOverview | None, ended: Subject) -> None:
    """Show what has ended as a whole, unless W&B has it already."""
    overview = FileOverview(ended, files)
    if make is None or not overview.exists or overview.up_to_date(live.mode.mode):
        return
    try:
        overview.publish(quiet_wandb(), live.mode.mode, make)
    except (TimeoutError, TuneCLError):  # it is on its way, or cannot be made
        raise
    except Exception as error:
        if live.mode.mode != "online" or live.abandoned:
            raise
        live.go_offline(in_one_line(error))
        overview.publish(quiet_wandb(), "offline", make)
