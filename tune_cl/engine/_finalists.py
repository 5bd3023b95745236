"""The race of a search's best trials over train seeds: its runs, and what they came to, from their rows on disk."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tune_cl.engine._budget import StageBudget
from tune_cl.engine._conductor import run_config
from tune_cl.engine._runs import RunsConductor
from tune_cl.engine._summary import values_of
from tune_cl.metrics import with_objective
from tune_cl.records import Failure, IncrementRow, RunConfig, SearchFolder, SearchRecord, TrialFolder
from tune_cl.study import Decision, Deferred, Finals, SearchSpace, Study
from tune_cl.text import value_text
from tune_cl.tracking import PhaseProgress

_HEADING = "A trial of a search again, under another train seed; its base task is the trial's own"


@dataclass(frozen=True)
class FinalistRun:
    """A trial's configuration under a further train seed; the base task has the search's own."""

    trial: int
    seed: int
    config: RunConfig

    @property
    def name(self) -> str:
        """Its folder below `finalists`."""
        return f"{self.trial:04d}-seed{self.seed}"


class _Lines:
    """Tells of each run in a line."""

    def __init__(self, report: Callable[[str], None], objective: str, left: Callable[[], int]) -> None:
        self._report, self._objective, self._left = report, objective, left

    def started(self, run: FinalistRun) -> None:
        """Nothing to say."""

    def progress(self, run: FinalistRun, progress: PhaseProgress) -> None:
        """Nothing to say."""

    def trained(self, run: FinalistRun, increment: int) -> None:
        """Nothing to say."""

    def finished(self, run: FinalistRun, rows: list[IncrementRow]) -> None:
        """Its value."""
        value = value_text(rows[-1].metrics.get(self._objective))
        left = f"; at most {self._left()} runs left" if self._left() else ""
        self._report(f"finalist {run.trial:04d}, train seed {run.seed}: {value}{left}")

    def failed(self, run: FinalistRun, reason: str) -> None:
        """Why."""
        self._report(f"finalist {run.trial:04d}, train seed {run.seed}: failed: {reason}")


class FinalistsConductor(RunsConductor[FinalistRun]):
    """Carries the race from run to run: first those that choose, then those of the winner and the default.

    Args:
        finals: which trials race, from `finals_of`.
        study: the search's memory, in which all its trials are over or left.
        space: what it searches.
        record: its definition.
        folder: where it writes.
        report: told each run's value in a line.
        keeper: of the stage store.
        retry_failed: run failed ones again.
    """

    def __init__(
        self,
        finals: Finals,
        study: Study,
        space: SearchSpace,
        record: SearchRecord,
        folder: SearchFolder,
        report: Callable[[str], None],
        keeper: StageBudget | None = None,
        *,
        retry_failed: bool = False,
    ) -> None:
        self._finals, self._record, self._folder, self._keeper = finals, record, folder, keeper
        self._best = study.best()
        views = study.trials()
        self._parameters = {trial: space.configuration(views[trial].parameters) for trial in finals.first}
        if retry_failed:
            for run in folder.finalists():
                if run.failure.exists():
                    run.put_aside()
        self._values = dict(values_of(finals, record, folder))
        super().__init__([], [], _Lines(report, record.objective, lambda: self.missing), _HEADING)
        self._extend()

    @property
    def missing(self) -> int:
        """Runs that are left, at most: the default may win, which needs no runs under fresh seeds."""
        return self._finals.most_missing(self._values)

    def folder_of(self, run: FinalistRun) -> TrialFolder:
        """Where a run writes."""
        return self._folder.finalist(run.trial, run.seed)

    def next_trial(self) -> tuple[int, RunConfig] | Deferred | None:
        """The next run; `Deferred` while those in flight decide on the winner, None when nothing is left to begin."""
        with self.lock:
            self._extend()
            if not self.left and len(self.in_flight) and self._finals.winner(self._values) is None:
                return Deferred(2 * len(self._finals.fresh))
            self._look_after_stages()
            return super().next_trial()

    def on_increment(self, row: IncrementRow, preview: np.ndarray | None) -> Decision:
        """Write a run's row; after the last one, take in its value."""
        with self.lock:
            run, number = self.note_increment(row), row.trial
            metrics = with_objective(row.metrics, self._record.objective)
            self.folder_of(run).add_row(row.model_copy(update={"trial": run.trial, "metrics": metrics}))
            if row.increment < self._record.horizon:
                return "continue"
            value = metrics.get(self._record.objective)
            if value is None or not math.isfinite(value):
                reason = f"{self._record.objective} is not a number at increment {row.increment}"
                self.on_failure(number, Failure(reason=reason, increment=row.increment))
                return "fail"
            self._values[run.trial, run.seed] = value
            self.in_flight.end(number)
            self.watcher.finished(run, self.folder_of(run).rows())
            return "continue"

    def on_failure(self, trial: int, failure: Failure) -> None:
        """Record that a run failed, which puts its finalist out of the race."""
        with self.lock:
            super().on_failure(trial, failure)
            run = self.runs[trial]
            self._values[run.trial, run.seed] = None

    def _extend(self) -> None:
        """Take in the runs that have become known."""
        for trial, seed in self._finals.runs(self._values)[len(self.runs) :]:
            changes = {"train_seed": seed, "base_seed": self._record.seeds.train}
            config = run_config(self._record, self._parameters[trial]).model_copy(update=changes)
            if (trial, seed) not in self._values:
                self.left.append(len(self.runs))
            self.runs.append(FinalistRun(trial, seed, config))

    def _look_after_stages(self) -> None:
        if self._keeper is not None:
            open_runs = [self.runs[number].config for number in (*self.in_flight.trials(), *self.left)]
            self._keeper.keep(open_runs, self._best.number if self._best else None)
