"""The driver's side of an evaluation, and its one writer: runs in order, each reading of test data, the results."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np

from tune_cl.engine import InFlight
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
    RunConfig,
    append_line,
    read_lines,
    write_atomically,
    write_json,
    write_yaml,
)
from tune_cl.streams import dataset_of, shape_of
from tune_cl.study import Decision
from tune_cl.tracking import PhaseProgress

_HEADING = "Part of an evaluation: trained on training and validation images together, by launch/evaluate.py"


class Watcher(Protocol):
    """Who is told what becomes of the runs."""

    def started(self, run: EvaluationRun) -> None:
        """A run begins, or is taken up again."""

    def progress(self, run: EvaluationRun, progress: PhaseProgress) -> None:
        """A sign of life from inside a phase."""

    def trained(self, run: EvaluationRun, increment: int) -> None:
        """An increment has been trained."""

    def finished(self, run: EvaluationRun, rows: list[IncrementRow]) -> None:
        """A run's test data have been scored; its rows are on disk."""

    def failed(self, run: EvaluationRun, reason: str) -> None:
        """A run failed; the others go on."""


class EvaluationConductor:
    """Carries an evaluation from run to run. Knows no Ray; a run's number is its place in the plan.

    A worker scores test data in a step of its own after its run's last increment, and takes that step only when
    `on_increment` has returned for that increment: by then `readings.jsonl` says that the data are about to be read.
    """

    def __init__(
        self, plan: EvaluationPlan, watcher: Watcher, show: Callable[[EvaluationRun], None] = lambda run: None
    ) -> None:
        """Take over an evaluation.

        Args:
            plan: what it runs.
            watcher: who is told.
            show: called for each run that has its rows on disk, at once for those of earlier commands.
        """
        self._objective = on_test_data(plan.record.objective)
        Objective.parse(self._objective, f"{plan.folder.search}: objective")  # a plug-in's needs the plug-in
        self.trouble: Exception | None = None
        self.in_flight = InFlight()
        self._plan, self._watcher, self._show = plan, watcher, show
        self._folder = plan.folder.evaluation
        self._horizon = shape_of(plan.record.stream).increments
        self._left = [i for i, run in enumerate(plan.runs) if not self.is_done(run)]
        self._reported: dict[int, int] = {}
        self._lock = threading.RLock()
        for run in plan.counted:
            if self.is_done(run):
                show(run)

    def is_done(self, run: EvaluationRun) -> bool:
        """Whether a run has its results; they are written in one go."""
        return self._folder.run(run.name).increments.exists()

    @property
    def missing(self) -> int:
        """Runs that have not begun here and have no results."""
        return len(self._left)

    def next_trial(self) -> tuple[int, RunConfig] | None:
        """The next run without results; None when all have begun."""
        with self._lock:
            if not self._left:
                return None
            number = self._left.pop(0)
            run = self._plan.runs[number]
            folder = self._folder.run(run.name)
            for of_an_earlier_try in (folder.failure, folder.error):
                of_an_earlier_try.unlink(missing_ok=True)
            write_yaml(folder.config, run.config, _HEADING)
            folder.add_log("started")
            self._reported[number] = 0
            self.in_flight.between_phases(number)
            self._watcher.started(run)
            return number, run.config

    def on_progress(self, progress: PhaseProgress) -> None:
        """Take in a sign of life from inside a phase."""
        with self._lock:
            if self.in_flight.note(progress):
                self._watcher.progress(self._plan.runs[progress.trial], progress)

    def on_increment(self, row: IncrementRow, preview: np.ndarray | None) -> Decision:
        """Take in a trained increment; after the last one, record that test data are about to be read."""
        with self._lock:
            run = self._plan.runs[row.trial]
            self._folder.run(run.name).add_log(f"increment {row.increment} trained on {row.node}")
            self._reported[row.trial] = row.increment + 1
            self.in_flight.between_phases(row.trial)
            self._watcher.trained(run, row.increment)
            if row.increment == self._horizon:
                self._record_reading(run, "opened")
            return "continue"

    def on_examined(self, number: int, examined: str) -> None:
        """Write a run's rows, with its scores on test data."""
        with self._lock:
            run = self._plan.runs[number]
            result = Examined.model_validate_json(examined)
            rows = [
                row.model_copy(update={"trial": run.trial, "metrics": with_objective(row.metrics, self._objective)})
                for row in result.rows
            ]
            folder, known = self._folder.run(run.name), self._known_fingerprint()
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
            self._watcher.finished(run, rows)
            self._show(run)
            self.conclude()

    def on_failure(self, trial: int, failure: Failure) -> None:
        """Record that a run failed; the others go on, and the same command tries it again."""
        with self._lock:
            run = self._plan.runs[trial]
            folder = self._folder.run(run.name)
            folder.add_failure(failure)
            folder.add_log(f"failed: {failure.reason}")
            self.in_flight.end(trial)
            self._watcher.failed(run, failure.reason)

    def next_increment(self, trial: int) -> int:
        """The increment that a run has not reported yet."""
        return self._reported.get(trial, 0)

    def conclude(self) -> EvaluationSummary:
        """Write `summary.json` for the evaluation as it stands."""
        with self._lock:
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
