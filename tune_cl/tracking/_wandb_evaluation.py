"""Evaluation runs in Weights & Biases: one run of job type 'evaluation' each, written by a thread of its own."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tune_cl.records import RunConfig, SearchFolder, SearchRecord
from tune_cl.tracking._trackers import in_one_line, write_to_stderr
from tune_cl.tracking._wandb_mode import (
    ResolvedMode,
    abandon_service,
    project_name,
    quiet_wandb,
    resolve_mode,
    sync_command,
)
from tune_cl.tracking._wandb_run import SearchOfRuns, ShownRun, TrialRun, up_to_date


@dataclass(frozen=True)
class _Finished:
    """An evaluation run whose rows are on disk."""

    name: str
    trial: int
    config: RunConfig


class WandbEvaluation:
    """Shows evaluation runs that have their results, in the group of the search.

    `show` only notes a run: nobody waits for W&B. Local files are the truth; a run that was shown is not shown again.

    Args:
        mode: as for `WandbTracker`, and so are project and entity.
        project: W&B project.
        entity: W&B user or team.
        record: the search's definition.
        folder: the search's.
        report: where lines for a person go.

    Raises:
        TuneCLError: an unknown mode, or 'online' without credentials.
    """

    def __init__(
        self,
        mode: str | None,
        project: str | None,
        entity: str | None,
        record: SearchRecord,
        folder: SearchFolder,
        report: Callable[[str], None] = write_to_stderr,
    ) -> None:
        self._mode = resolve_mode(mode)
        self._search = SearchOfRuns(record, folder, project_name(project), entity)
        self._report = report
        self._runs: queue.SimpleQueue[_Finished | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="wandb", daemon=True)
        self._abandoned = threading.Event()
        self._unfinished = self._told = False

    def describe(self) -> str:
        """The mode, why, and where the runs lie: one line for a person."""
        return self._mode.describe(self._search.folder, self._search.folder.evaluation.wandb)

    def show(self, name: str, trial: int, config: RunConfig) -> None:
        """Note a run that has its rows.

        Args:
            name: its folder below `evaluation/runs`.
            trial: its configuration's trial in the search.
            config: what it ran.
        """
        if self._mode.mode == "disabled":
            return
        if self._thread.ident is None:
            self._thread.start()
        self._runs.put(_Finished(name, trial, config))

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until every run is written, then say what is not."""
        if self._thread.ident is None:
            return
        self._runs.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            command = sync_command(self._search.folder)
            self._tell(f"W&B did not finish within {timeout:.0f} s; `{command}` sends the rest")
            self._abandoned.set()
        if self._thread.is_alive() or self._unfinished:
            abandon_service()

    def _write(self) -> None:
        while (run := self._runs.get()) is not None:
            if self._abandoned.is_set():
                return
            try:
                self._log(run)
            except TimeoutError:
                self._unfinished = True
                self._tell(f"W&B is slow; upload the rest with `{sync_command(self._search.folder)}`")
            except Exception as error:
                self._tell(f"W&B failed ({in_one_line(error)}); the evaluation goes on, its rows are on disk")

    def _log(self, run: _Finished) -> None:
        folder, shown = self._search.folder.evaluation.run(run.name), self._shown(run)
        if up_to_date(folder, "finished", self._mode.mode, shown):
            return
        opened = self._open(run, shown)
        for row in folder.rows():
            opened.add(row)
        opened.end("finished", None)

    def _open(self, run: _Finished, shown: ShownRun) -> TrialRun:
        """Open a run; where the server does not answer, offline, as all later ones."""
        evaluation = self._search.folder.evaluation
        try:
            return TrialRun(quiet_wandb(), self._mode.mode, shown, evaluation.run(run.name), evaluation.wandb)
        except Exception as error:
            if self._mode.mode != "online":
                raise
            self._mode = ResolvedMode("offline", f"no answer from the server ({in_one_line(error)})")
            self._tell(self.describe())
            abandon_service()
            return TrialRun(quiet_wandb(), self._mode.mode, shown, evaluation.run(run.name), evaluation.wandb)

    def _shown(self, run: _Finished) -> ShownRun:
        search = self._search.shown(run.trial, run.config)
        record = self._search.record
        objective = record.objective.replace("val/", "test/", 1)
        seeds = {"order": run.config.stream.order_seed, "train": run.config.train_seed}
        settings = {**search.config, "objective": objective, "protocol": "evaluation", "seeds": seeds}
        changes = {
            "run_id": self._search.run_id_of(run.name),
            "job_type": "evaluation",
            "name": f"{record.name}-{run.name}",
            "config": settings,
            "objective": objective,
        }
        return search.model_copy(update=changes)

    def _tell(self, line: str) -> None:
        if not self._told and not self._abandoned.is_set():
            self._told = True
            self._report(line)
