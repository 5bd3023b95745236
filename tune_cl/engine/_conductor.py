"""The driver's side of a search, and its one writer: asks the study, writes `<results>`, tells the trackers."""

import io
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tune_cl.commands import data_options
from tune_cl.engine._budget import StageBudget
from tune_cl.engine._driver import Ending, InFlight
from tune_cl.engine._idle import IdleClock
from tune_cl.engine._summary import summarise, summary_of
from tune_cl.metrics import with_objective
from tune_cl.records import (
    Failure,
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    Summary,
    write_atomically,
    write_json,
    write_run,
)
from tune_cl.study import Decision, Deferred, Proposal, SearchSpace, Study
from tune_cl.tracking import (
    IncrementReported,
    PhaseProgress,
    SearchEnded,
    SearchStarted,
    SlotDeferred,
    Tracker,
    Trackers,
    TrialEnded,
    TrialStarted,
)


class Conductor:
    """Carries a search from proposal to summary. Knows no Ray; called in the driver, progress from a second thread."""

    def __init__(
        self,
        study: Study,
        space: SearchSpace,
        record: SearchRecord,
        folder: SearchFolder,
        trackers: Tracker | None = None,
        *,
        slots: int = 1,
        keeper: StageBudget | None = None,
    ) -> None:
        """Take over a search.

        Args:
            study: its memory.
            space: what it searches.
            record: its definition.
            folder: where it writes.
            trackers: who watches.
            slots: how many trials fit at a time.
            keeper: looks after the stage store, if anybody does.
        """
        self.trouble: Exception | None = None  # what stopped the driver, under whatever Ray makes of it
        self._keeper = keeper
        self._study, self._space, self._record = study, space, record
        self._folder, self._trackers = folder, trackers or Trackers([])
        self.lock = threading.RLock()
        self.in_flight = InFlight()
        self._slots = slots
        self._bases: dict[int, str] = {}  # of the running trials
        self._ready: set[str] = set()  # bases that a trial of this search has reported: their stages are stored
        self._deferred: Deferred | None = None  # the study's answer, until a trial reports or ends
        self._said_so = False  # that a slot waits
        self._winner: int | None = None  # once all is over
        self._idle = IdleClock(study.add_idle)

    def begin(self, costs: tuple[float, ...] = ()) -> None:
        """Take in and tell the trackers what is there already.

        Args:
            costs: that increments 0, 1, … of the default are expected to have.
        """
        folders = self._folder.trials()
        views = self._study.trials()
        rows = {view.number: folders[view.number].rows() if view.number in folders else [] for view in views}
        for view in views:
            if rows[view.number]:
                self._ready.add(self._space.base_of(view.parameters))
        earlier = tuple(summary_of(view, rows[view.number]) for view in views if view.state != "running")
        self._trackers.handle(
            SearchStarted(self._record, self._folder, self._record.trials, len(earlier), earlier, costs)
        )

    def next_trial(self) -> tuple[int, RunConfig] | Deferred | None:
        """Ask the study for a trial, write its configuration; None when nothing is left to begin.

        `Deferred` while all that could begin would wait for a base in training; never when no trial is running.
        """
        with self.lock:
            proposal = self._deferred or self._study.ask(self._busy().values())
            if isinstance(proposal, Deferred):
                self._defer(proposal)
                return proposal
            self._idle.waiting(0)
            self._said_so = False
            return None if proposal is None else self._begun(proposal)

    def begin_trial(self, parameters: Mapping[str, Any]) -> int:
        """Begin a trial of one's own choice, see `Study.enqueue`; returns its number."""
        with self.lock:
            return self._begun(self._study.enqueue(parameters))[0]

    def stop(self, trial: int, reason: str) -> None:
        """End a trial before the horizon; it must have reported something."""
        with self.lock:
            self._study.tell_stopped(trial)
            self._end(trial, "stopped", reason)

    def on_progress(self, progress: PhaseProgress) -> None:
        """Take in a sign of life from inside a phase."""
        with self.lock:
            if self.in_flight.note(progress):
                self._trackers.handle(progress)

    def on_increment(self, row: IncrementRow, preview: np.ndarray | None) -> Decision:
        """Write an increment's row and images, then decide whether its trial goes on."""
        with self.lock:
            folder = self._folder.trial(row.trial)
            row = row.model_copy(update={"metrics": with_objective(row.metrics, self._record.objective)})
            if preview is not None:
                write_grid(folder.replay_grid(row.increment), preview)
            if folder.add_row(row):
                for line in (_in_words(row), *(f"warning: {warning}" for warning in row.told_warnings())):
                    folder.add_log(line)
            value = row.metrics.get(self._record.objective)
            self.in_flight.between_phases(row.trial)
            self._deferred = None
            if row.trial in self._bases:
                self._ready.add(self._bases[row.trial])
            self._trackers.handle(IncrementReported(row.trial, row, value, folder))
            decision = self._study.report(row.trial, row.increment, value)
            if decision == "stop":
                self.stop(row.trial, f"by the rule {self._record.scheduler}")
            elif decision == "fail":
                reason = f"{self._record.objective} is not a number at increment {row.increment}"
                self.on_failure(row.trial, Failure(reason=reason, increment=row.increment))
            elif row.increment == self._record.horizon:
                self._study.tell_finished(row.trial)
                self._end(row.trial, "finished", None)
            self.look_after_stages()
            return decision

    def on_failure(self, trial: int, failure: Failure) -> None:
        """Record that a trial failed; the search goes on."""
        with self.lock:
            folder = self._folder.trial(trial)
            folder.add_failure(failure)
            self._study.tell_failed(trial, failure.reason)
            self._end(trial, "failed", failure.reason)

    def look_after_stages(self, *, at_once: bool = False) -> None:
        """Pin what running trials and the best one need, and hold the stage store within its budget."""
        if self._keeper is not None:
            best = self._study.best() if self._winner is None else self._study.trials()[self._winner]
            self._keeper.update(self.in_flight.trials(), best.number if best else None, at_once=at_once)

    def next_increment(self, trial: int) -> int:
        """The increment that a trial has not reported yet."""
        return len(self._folder.trial(trial).rows())

    def conclude(self) -> Summary:
        """Write `best.yaml` and `summary.json` for the search as it stands."""
        with self.lock:
            self._idle.close()
            summary = summarise(self._study, self._record, self._folder)
            if summary.best is not None:
                self._winner = summary.best.trial
                run = run_config(self._record, self._space.configuration(summary.best.parameters))
                write_run(self._folder.best_config, run, data_options(self._record.command, stages=True))
            write_json(self._folder.summary, summary)
            return summary

    def announce_end(self, summary: Summary, ending: Ending, lost: list[str]) -> None:
        """Tell the trackers that the search is over, interrupted or out of time."""
        ended = SearchEnded(summary, ending != "done", lost, out_of_time=ending == "out of time")
        self._trackers.handle(ended)

    def _begun(self, proposal: Proposal) -> tuple[int, RunConfig]:
        """Write a trial's configuration."""
        run = run_config(self._record, proposal.configuration)
        folder = self._folder.trial(proposal.number)
        while folder.attempts() < proposal.attempt:
            folder.put_aside()
        write_run(folder.config, run, data_options(self._record.command, stages=True))
        attempt = f", attempt {proposal.attempt + 1}" if proposal.attempt else ""
        by = f", proposed by {proposal.proposer}" if proposal.proposer else ""
        folder.add_log(("taken up again" if proposal.resumed else "started") + attempt + by)
        self.in_flight.between_phases(proposal.number)
        self._bases[proposal.number] = proposal.base
        self.look_after_stages()
        self._trackers.handle(TrialStarted(proposal.number, proposal.parameters, run, folder, proposal.proposer))
        return proposal.number, run

    def _busy(self) -> dict[int, str]:
        """The running trials whose base is in training, and that base."""
        return {trial: base for trial, base in self._bases.items() if base not in self._ready}

    def _defer(self, deferred: Deferred) -> None:
        self._deferred = deferred
        self._idle.waiting(min(self._slots - len(self.in_flight), deferred.left))
        if not self._said_so:
            self._said_so = True
            self._trackers.handle(SlotDeferred(tuple(sorted(self._busy()))))

    def _end(self, trial: int, state: Any, reason: str | None) -> None:
        self.in_flight.end(trial)
        self._bases.pop(trial, None)
        self._deferred = None
        self._folder.trial(trial).add_log(f"{state}: {reason}" if reason else state)
        self._trackers.handle(TrialEnded(trial, state, reason))


def run_config(record: SearchRecord, configuration: Mapping[str, Any]) -> RunConfig:
    """A trial's configuration as a re-runnable record."""
    return RunConfig(
        method=record.method,
        stream=record.stream,
        budget=record.budget,
        horizon=record.horizon,
        train_seed=record.seeds.train,
        **asdict(record.numerics),
        parameters=dict(configuration),
    )


def write_grid(path: Path, preview: np.ndarray) -> None:
    """Write replayed images (classes, k, C, H, W) uint8 as a PNG: a row per class, 2 pixels apart."""
    classes, k, channels, height, width = preview.shape
    canvas = np.full((channels, classes * (height + 2) - 2, k * (width + 2) - 2), 255, np.uint8)
    for i in range(classes):
        for j in range(k):
            y, x = i * (height + 2), j * (width + 2)
            canvas[:, y : y + height, x : x + width] = preview[i, j]
    image = Image.fromarray(canvas[0] if channels == 1 else canvas.transpose(1, 2, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def _in_words(row: IncrementRow) -> str:
    stages = ", ".join(f"{use.phase} {use.origin} ({use.seconds:.1f} s)" for use in row.stages) or "nothing to train"
    return f"increment {row.increment}: accuracy {row.metrics['val/accuracy']:.4f}; {stages}; on {row.node}"
