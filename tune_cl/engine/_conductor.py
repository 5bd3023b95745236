"""The driver's side of a search, and its one writer: asks the study, writes `<results>`, tells the trackers."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image

from tune_cl.records import (
    BestSummary,
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    Summary,
    TrialSummary,
    write_atomically,
    write_json,
    write_run,
)
from tune_cl.search import Decision, SearchSpace, Study, TrialView
from tune_cl.tracking import (
    IncrementReported,
    PhaseProgress,
    SearchEnded,
    SearchStarted,
    Tracker,
    TrialEnded,
    TrialStarted,
)

Ending = Literal["done", "interrupted", "out of time"]


class Conductor:
    """Carries a search from proposal to summary. Knows no Ray; called in the driver, progress from a second thread."""

    def __init__(
        self, study: Study, space: SearchSpace, record: SearchRecord, folder: SearchFolder, trackers: Tracker
    ) -> None:
        self._study, self._space, self._record = study, space, record
        self._folder, self._trackers = folder, trackers
        self._lock = threading.RLock()
        self._running: dict[int, PhaseProgress | None] = {}

    def begin(self) -> None:
        """Tell the trackers what is there already."""
        earlier = tuple(self._summary_of(view) for view in self._study.trials() if view.state != "running")
        self._trackers.handle(SearchStarted(self._record, self._folder, self._record.trials, len(earlier), earlier))

    def next_trial(self) -> tuple[int, RunConfig] | None:
        """Ask the study for a trial, write its configuration; None when nothing is left to begin."""
        with self._lock:
            proposal = self._study.ask()
            if proposal is None:
                return None
            run = run_config(self._record, proposal.configuration)
            folder = self._folder.trial(proposal.number)
            write_run(folder.config, run)
            folder.add_log(_stamped("taken up again" if proposal.resumed else "started"))
            self._running[proposal.number] = None
            self._trackers.handle(TrialStarted(proposal.number, proposal.parameters, run, folder))
            return proposal.number, run

    def on_progress(self, progress: PhaseProgress) -> None:
        """Take in a sign of life from inside a phase."""
        with self._lock:
            if progress.trial in self._running:
                self._running[progress.trial] = progress
                self._trackers.handle(progress)

    def on_increment(self, row: IncrementRow, preview: np.ndarray | None) -> Decision:
        """Write an increment's row and images, then decide whether its trial goes on."""
        with self._lock:
            folder = self._folder.trial(row.trial)
            if preview is not None:
                write_grid(folder.replay_grid(row.increment), preview)
            row = _with_paid(row, folder.rows())
            if folder.add_row(row):
                folder.add_log(_stamped(_in_words(row)))
            value = row.metrics[self._record.objective]
            self._running[row.trial] = None
            self._trackers.handle(IncrementReported(row.trial, row, value, folder))
            decision = self._study.report(row.trial, row.increment, value)
            if decision == "stop":
                self._study.tell_stopped(row.trial)
                self._end(row.trial, "stopped", f"below the cut of {self._record.scheduler}")
            elif decision == "fail":
                self.on_failure(row.trial, f"{self._record.objective} is not a number at increment {row.increment}", "")
            elif row.increment == self._record.horizon:
                self._study.tell_finished(row.trial)
                self._end(row.trial, "finished", None)
            return decision

    def on_failure(self, trial: int, reason: str, traceback: str) -> None:
        """Record that a trial failed; the search goes on."""
        with self._lock:
            if traceback:
                write_atomically(self._folder.trial(trial).error, traceback)
            self._study.tell_failed(trial, reason)
            self._end(trial, "failed", reason)

    def is_running(self, trial: int) -> bool:
        """Whether a trial has begun here and not ended."""
        with self._lock:
            return trial in self._running

    def in_flight(self) -> list[str]:
        """The phases that an interrupt now would lose, in words."""
        with self._lock:
            return [_where(trial, progress) for trial, progress in sorted(self._running.items())]

    def conclude(self) -> Summary:
        """Write `best.yaml` and `summary.json` for the search as it stands."""
        with self._lock:
            best = self._study.best()
            if best is not None:
                run = run_config(self._record, self._space.configuration(best.parameters))
                write_run(self._folder.best_config, run)
            summary = self._summary()
            write_json(self._folder.summary, summary)
            return summary

    def announce_end(self, summary: Summary, ending: Ending, in_flight: list[str]) -> None:
        """Tell the trackers that the search is over, interrupted or out of time."""
        ended = SearchEnded(summary, ending != "done", in_flight, out_of_time=ending == "out of time")
        self._trackers.handle(ended)

    def _end(self, trial: int, state: Any, reason: str | None) -> None:
        self._running.pop(trial, None)
        self._folder.trial(trial).add_log(_stamped(f"{state}: {reason}" if reason else state))
        self._trackers.handle(TrialEnded(trial, state, reason))

    def _summary(self) -> Summary:
        views = self._study.trials()
        counts = {state: sum(view.state == state for view in views) for state in ("finished", "stopped", "failed")}
        counts["running"] = sum(view.state == "running" for view in views)
        rows = [row for folder in self._folder.trials().values() for row in folder.rows()]
        uses = [use for row in rows for use in row.stages]
        paid = [use for use in uses if use.origin == "trained"]
        return Summary(
            trials=counts,
            stages={"trained": len(paid), "reused": len(uses) - len(paid)},
            seconds=sum(use.seconds for use in paid),
            images_trained=sum(use.images_trained for use in paid),
            images_trained_as_if_alone=sum(use.images_trained for use in uses),
            best=self._best_summary(),
            table=[self._summary_of(view) for view in views],
        )

    def _best_summary(self) -> BestSummary | None:
        best = self._study.best()
        if best is None:
            return None
        return BestSummary(
            trial=best.number,
            value=best.values[self._record.horizon],
            default_value=self._study.default_value(),
            parameters=dict(best.parameters),
        )

    def _summary_of(self, view: TrialView) -> TrialSummary:
        return TrialSummary(
            trial=view.number, state=view.state, increment=view.increment, value=view.value, reason=view.reason
        )


def run_config(record: SearchRecord, configuration: Mapping[str, Any]) -> RunConfig:
    """A trial's configuration as a re-runnable record."""
    return RunConfig(
        method=record.method,
        stream=record.stream,
        budget=record.budget,
        horizon=record.horizon,
        train_seed=record.seeds.train,
        threads=record.threads,
        device=record.device,
        parameters=dict(configuration),
    )


def write_grid(path: Any, preview: np.ndarray) -> None:
    """Write replayed images (classes, k, C, H, W) uint8 as a PNG: a row per class, 2 pixels apart."""
    classes, k, channels, height, width = preview.shape
    canvas = np.full((channels, classes * (height + 2) - 2, k * (width + 2) - 2), 255, np.uint8)
    for i in range(classes):
        for j in range(k):
            y, x = i * (height + 2), j * (width + 2)
            canvas[:, y : y + height, x : x + width] = preview[i, j]
    image = Image.fromarray(canvas[0] if channels == 1 else canvas.transpose(1, 2, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _with_paid(row: IncrementRow, on_disk: Sequence[IncrementRow]) -> IncrementRow:
    """A row whose `paid/*` count what its trial trained before an interrupt or the loss of a worker, too."""
    earlier = [before for before in on_disk if before.increment < row.increment]
    trained = [use for r in (*earlier, row) for use in r.stages if use.origin == "trained"]
    paid = {
        "paid/images_trained": float(sum(use.images_trained for use in trained)),
        "paid/seconds": sum(use.seconds for use in trained),
    }
    return row.model_copy(update={"metrics": {**row.metrics, **paid}})


def _in_words(row: IncrementRow) -> str:
    stages = ", ".join(f"{use.phase} {use.origin} ({use.seconds:.1f} s)" for use in row.stages)
    return f"increment {row.increment}: accuracy {row.metrics['val/accuracy']:.4f}; {stages}; on {row.node}"


def _where(trial: int, progress: PhaseProgress | None) -> str:
    if progress is None:
        return f"trial {trial:04d}, between two phases"
    share = f"{100 * progress.step // max(1, progress.steps)} %"
    return f"trial {trial:04d}, increment {progress.increment}, {progress.phase} phase at {share}"


def _stamped(line: str) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}"
