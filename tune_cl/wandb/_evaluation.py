"""Evaluation runs in Weights & Biases: one run of job type 'evaluation' each, written by a thread of its own."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from tune_cl.commands import sync_command
from tune_cl.metrics import on_test_data
from tune_cl.records import RunConfig, SearchFolder, SearchRecord, TrialFolder
from tune_cl.tracking import in_one_line, write_to_stderr
from tune_cl.wandb._mode import entity_name, prepared, project_name
from tune_cl.wandb._run import SearchOfRuns, ShownRun, TrialRun, note_run, up_to_date
from tune_cl.wandb._sdk import quiet_wandb
from tune_cl.wandb._thread import WandbThread


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
    ) -> None:
        self._search = SearchOfRuns(record, folder, project_name(project), entity_name(entity))
        self._report = report
        self._thread: WandbThread[_Finished] = WandbThread(prepared(mode, project, entity), report, self._write)

    def describe(self) -> str:
        """The mode, why, and where the runs lie: one line for a person."""
        return self._thread.mode.describe(self._search.folder, self._search.folder.evaluation.wandb)

    def show(self, name: str, trial: int, config: RunConfig) -> None:
        """Note a run that has its rows.

        Args:
            name: its folder below `evaluation/runs`.
            trial: its configuration's trial in the search.
            config: what it ran.
        """
        run = _Finished(name, trial, config)
        if self._thread.mode.mode != "disabled" and not self._is_told(run):
            with suppress(OSError):  # it is only for `sync` to know the run, should the thread not come to it
                note_run(self._folder(run), self._shown(run))
        self._thread.put(run)

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until every run is written, then say what is not."""
        left = self._thread.close(timeout)
        if left is not None and not self._thread.told:
            command = sync_command(self._search.folder)
            self._report(f"W&B did not finish within {timeout:.0f} s; `{command}` sends the rest")

    def _write(self, runs: Iterator[_Finished]) -> None:
        for run in runs:
            try:
                self._log(run)
            except TimeoutError:
                self._thread.unfinished = True
                self._thread.tell(f"W&B is slow; upload the rest with `{sync_command(self._search.folder)}`")
            except Exception as error:
                self._thread.tell(f"W&B failed ({in_one_line(error)}); the evaluation goes on, its rows are on disk")

    def _log(self, run: _Finished) -> None:
        if self._is_told(run):
            return
        opened = self._open(run, self._shown(run))
        for row in self._folder(run).rows():
            opened.add(row)
        opened.end("finished", None)

    def _open(self, run: _Finished, shown: ShownRun) -> TrialRun:
        """Open a run; where the server does not answer, offline, as all later ones."""
        mode, local = self._thread.mode.mode, self._search.folder.evaluation.wandb
        try:
            return TrialRun(quiet_wandb(), mode, shown, self._folder(run), local)
        except Exception as error:
            if mode != "online":
                raise
            self._thread.go_offline(in_one_line(error), self._search.folder, local)
            return TrialRun(quiet_wandb(), "offline", shown, self._folder(run), local)

    def _is_told(self, run: _Finished) -> bool:
        return up_to_date(self._folder(run), "finished", self._thread.mode.mode, self._shown(run))

    def _folder(self, run: _Finished) -> TrialFolder:
        return self._search.folder.evaluation.run(run.name)

    def _shown(self, run: _Finished) -> ShownRun:
        search = self._search.shown(run.trial, run.config)
        record = self._search.record
        objective = on_test_data(record.objective)
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
