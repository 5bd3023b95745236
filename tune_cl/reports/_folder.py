"""A search as its folder tells it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tune_cl.commands import evaluate_command
from tune_cl.errors import TuneCLError
from tune_cl.metrics import NEAREST_MEAN
from tune_cl.records import (
    ClassesRecord,
    EvaluationSummary,
    Failure,
    Finalists,
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    StageUse,
    Summary,
    TrialFolder,
    TrialState,
    TrialSummary,
    flatten,
    read_record,
)
from tune_cl.reports._models import Cost, SearchData, TrialData
from tune_cl.text import trial_counts_text


def read_search(folder: SearchFolder) -> SearchData:
    """Read a search from its folder; it may still be running.

    Raises:
        TuneCLError: it is not the folder of a search, has no trial yet, or a file in it is damaged.
    """
    if not folder.search.exists():
        raise TuneCLError(f"{folder.path}: not the folder of a search (it has no {folder.search.name})")
    record = read_record(folder.search, SearchRecord)
    summary = read_record(folder.summary, Summary) if folder.summary.exists() else None
    rows = {number: trial.rows() for number, trial in folder.trials().items() if trial.config.exists()}
    if not rows:
        raise TuneCLError(f"{folder.path}: the search has no trial yet; run its command first")
    told = {line.trial: line for line in summary.table} if summary else {}
    classes = read_record(folder.classes, ClassesRecord).names if folder.classes.exists() else []
    trials = [_trial(folder.trial(number), number, record, rows[number], told.get(number), classes) for number in rows]
    return SearchData(
        source=str(folder.path),
        name=record.name,
        method=record.method,
        stream=record.stream,
        scale=record.scale,
        budget=record.budget,
        objective=record.objective,
        direction=record.direction,
        protocol=record.protocol,
        horizon=record.horizon,
        seeds=record.seeds,
        numerics=_numerics(record),
        data_fingerprint=record.data_fingerprint,
        planned=record.trials,
        unfinished=_unfinished(record, summary, trials),
        searched=list(record.ranges),
        ranges=record.ranges,
        trials=trials,
        found=_found(rows, [use for number in rows for use in folder.trial(number).failed_stages()]),
        finalists=_finalists(summary, trials),
        evaluation=_evaluation(folder.evaluation.summary),
        evaluate_command=evaluate_command(record.command, folder.path, record.typed_in),
    )


def _trial(
    folder: TrialFolder,
    number: int,
    record: SearchRecord,
    rows: Sequence[IncrementRow],
    told: TrialSummary | None,
    classes: Sequence[str],
) -> TrialData:
    failed = folder.failed_stages()
    state, reason = _state(folder, record, rows, told)
    status = folder.config.stat()
    return TrialData(
        trial=number,
        state=state,
        value=rows[-1].metrics.get(record.objective) if rows else None,
        parameters=_parameters(folder.config, status.st_mtime_ns, status.st_size),
        by_increment=[row.metrics for row in rows],
        accuracy_matrix=[_accuracy_row(row, record.objective) for row in rows],
        images_scored=rows[-1].images_scored if rows else [],
        class_accuracy=_class_accuracy(rows[-1], record.objective, classes) if rows else {},
        alone=_cost([*(use for row in rows for use in row.stages), *failed]),
        paid=_cost([use for use in (*(u for row in rows for u in row.stages), *failed) if use.origin == "trained"]),
        warnings=[warning for row in rows for warning in row.told_warnings()],
        reason=reason,
        stages=[row.stages for row in rows],
    )


def _accuracy_row(row: IncrementRow, objective: str) -> list[float]:
    """By the read-out that the search is for."""
    by_means = row.nearest_mean_row if NEAREST_MEAN in objective else None
    return row.accuracy_row if by_means is None else by_means


def _class_accuracy(row: IncrementRow, objective: str, names: Sequence[str]) -> dict[str, float | None]:
    by_means = row.nearest_mean_class_accuracy if NEAREST_MEAN in objective else None
    found = row.class_accuracy if by_means is None else by_means
    return {names[i] if i < len(names) else f"class {i}": accuracy for i, accuracy in enumerate(found)}


def _state(
    folder: TrialFolder, record: SearchRecord, rows: Sequence[IncrementRow], told: TrialSummary | None
) -> tuple[TrialState, str | None]:
    """The state that the search has told at its end, or its rows and its log prove; and why."""
    lines = folder.log_lines()
    last, _, why = lines[-1][1].partition(": ") if lines else ("", "", "")
    failure = read_record(folder.failure, Failure).reason if folder.failure.exists() else None
    if told is not None and told.state != "running":
        reasons = {"failed": told.reason or failure, "stopped": why if last == "stopped" else None}
        return told.state, reasons.get(told.state)
    if rows and rows[-1].increment == record.horizon:
        return "finished", None  # no trial is stopped at the horizon
    if failure is not None:
        return "failed", failure
    return ("stopped", why or None) if last == "stopped" else ("running", None)


@lru_cache(maxsize=4096)
def _parameters(path: Path, modified: int, size: int) -> dict[str, Any]:
    """Every path of a configuration and its value; YAML is slow to read, and a file of one age and size is the same."""
    return flatten(read_record(path, RunConfig).parameters)


def _unfinished(record: SearchRecord, summary: Summary | None, trials: Sequence[TrialData]) -> str | None:
    ended = sum(trial.state != "running" for trial in trials)
    known = sum(summary.trials.values()) if summary is not None else 0
    if ended == len(trials) == known and (ended >= record.trials or not record.ranges):
        return None
    counts = {"finished": 0, "stopped": 0, "failed": 0, "running": 0}
    for trial in trials:
        counts[trial.state] += 1
    told = trial_counts_text(counts).replace("running", "running or interrupted")
    return f"unfinished: {told}, of {record.trials} trials asked for"


def _numerics(record: SearchRecord) -> dict[str, str]:
    torch = record.versions.get("torch")
    told = {"device": record.device, "threads": str(record.threads), "precision": record.precision}
    return told | ({"torch": torch} if torch else {})


def _found(rows: Mapping[int, Sequence[IncrementRow]], failed: Sequence[StageUse]) -> Cost:
    """Each stage once that the search used and no trial of it trained."""
    uses = [*(use for of_trial in rows.values() for row in of_trial for use in row.stages), *failed]
    trained = {use.key for use in uses if use.origin == "trained"}
    return _cost(list({use.key: use for use in uses if use.key not in trained}.values()))


def _cost(uses: Sequence[StageUse]) -> Cost:
    return Cost(images_trained=sum(use.images_trained for use in uses), seconds=sum(use.seconds for use in uses))


def _finalists(summary: Summary | None, trials: Sequence[TrialData]) -> Finalists | None:
    """The race, unless further trials have finished since."""
    finished = sum(trial.state == "finished" for trial in trials)
    return summary.finalists if summary is not None and summary.trials["finished"] == finished else None


def _evaluation(path: Path) -> EvaluationSummary | None:
    return read_record(path, EvaluationSummary) if path.exists() else None
