"""The driver's side of an evaluation, and its one writer: runs in order, each reading of test data, the results."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tune_cl.engine import RunsConductor, RunWatcher
from tune_cl.evaluation._examination import Examined
from tune_cl.evaluation._plan import EvaluationPlan, EvaluationRun
from tune_cl.evaluation._readings import readings_of
from tune_cl.evaluation._summary import summarise
from tune_cl.metrics import Objective, on_test_data, with_objective
from tune_cl.records import (
    EvaluationSummary,
    Failure,
    IncrementRow,
    Reading,
    TrialFolder,
    append_line,
    read_lines,
    write_atomically,
    write_json,
)
from tune_cl.streams import dataset_of, shape_of
from tune_cl.study import Decision

_HEADING = "Part of an evaluation: trained on training and validation images together, by launch/evaluate.py"


class EvaluationConductor(RunsConductor[EvaluationRun]):
    """Carries an evaluation from run to run. Knows no Ray; a run's number is its place in the plan.

    A worker scores test data in a step of its own after its run's last increment, and takes that step only when
    `on_increment` has returned for that increment: by then `readings.jsonl` says that the data are about to be read.
    """

    def __init__(
        self,
        plan: EvaluationPlan,
        watcher: RunWatcher[EvaluationRun],
        show: Callable[[EvaluationRun], None] = lambda run: None,
    ) -> None:
        """Take over an evaluation.

        Args:
            plan: what it runs.
            watcher: who is told.
            show: called for each run that has its rows on disk, at once for those of earlier commands.
        """
        self._objective = on_test_data(plan.record.objective)
        Objective.parse(self._objective, f"{plan.folder.search}: objective")  # a plug-in's needs the plug-in
        self._plan, self._show = plan, show
        self._folder = plan.folder.evaluation
        self._horizon = shape_of(plan.record.stream).increments
        left = [i for i, run in enumerate(plan.runs) if not self.is_done(run)]
        super().__init__(plan.runs, left, watcher, _HEADING)
        for run in plan.counted:
            if self.is_done(run):
                show(run)

    def folder_of(self, run: EvaluationRun) -> TrialFolder:
        """Where a run writes."""
        return self._folder.run(run.name)

    def is_done(self, run: EvaluationRun) -> bool:
        """Whether a run has its results; they are written in one go."""
        return self.folder_of(run).increments.exists()

    def on_increment(self, row: IncrementRow, preview: np.ndarray | None) -> Decision:
        """Take in a trained increment; after the last one, record that test data are about to be read."""
        with self.lock:
            run = self.note_increment(row)
            if row.increment == self._horizon:
                self._record_reading(run, "opened")
            return "continue"

    def on_examined(self, number: int, examined: str) -> None:
        """Write a run's rows, with its scores on test data."""
        with self.lock:
            run = self.runs[number]
            result = Examined.model_validate_json(examined)
            rows = [
                row.model_copy(update={"trial": run.trial, "metrics": with_objective(row.metrics, self._objective)})
                for row in result.rows
            ]
            folder, known = self.folder_of(run), self._known_fingerprint()
            self._record_reading(run, "scored", fingerprint=result.fingerprint, images=result.images)
            if known not in (None, result.fingerprint):
                why = (
                    f"the test data here are not those of the earlier runs (fingerprint {result.fingerprint[:12]} "
                    f"here, {known[:12]} there); name the same --data-root"
                )
                self.on_failure(number, Failure(reason=why, increment=self._horizon))
                return
            write_atomically(folder.increments, "".join(row.model_dump_json() + "\n" for row in rows))
            folder.add_log(f"test data scored: {rows[-1].metrics['test/accuracy']:.4f} at the end")
            self.in_flight.end(number)
            self.watcher.finished(run, rows)
            self._show(run)
            self.conclude()

    def conclude(self) -> EvaluationSummary:
        """Write `summary.json` for the evaluation as it stands."""
        with self.lock:
            summary = summarise(self._plan)
            write_json(self._folder.summary, summary)
            return summary

    def _known_fingerprint(self) -> str | None:
        """That of the test data which the runs with results were scored on."""
        counted = {run.name for run in self._plan.counted if self.is_done(run)}
        readings = read_lines(self._folder.readings, Reading)
        recorded = next((r.fingerprint for r in readings if r.run in counted and r.fingerprint), None)
        return recorded or (readings_of(self._folder).fingerprint if counted else None)

    def _record_reading(self, run: EvaluationRun, event: Any, **measured: Any) -> None:
        reading = Reading(
            event=event,
            run=run.name,
            trial=run.trial,
            role=self._plan.roles[run.trial],
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            dataset=dataset_of(run.config.stream.name),
            **measured,
        )
        append_line(self._folder.readings, reading)
