"""The numbers of an evaluation: over class orders and seeds, and of the chosen configuration against the default."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from tune_cl.evaluation._plan import EvaluationPlan, EvaluationRun
from tune_cl.records import (
    EvaluatedConfiguration,
    EvaluationFolder,
    EvaluationSummary,
    Failure,
    IncrementRow,
    Reading,
    Statistic,
    read_lines,
    read_record,
)
from tune_cl.reports import statistic
from tune_cl.streams import parse_name

_Rows = list[IncrementRow]


def summarise(plan: EvaluationPlan) -> EvaluationSummary:
    """Sum up the runs that have results, and name those that have none."""
    folder = plan.folder.evaluation
    rows = {run.name: folder.run(run.name).rows() for run in plan.runs}
    done = [run for run in plan.runs if rows[run.name]]
    readings = list(read_lines(folder.readings, Reading))
    configurations = [
        _configuration(plan, trial, [run for run in done if run.trial == trial], rows) for trial in plan.roles
    ]
    return EvaluationSummary(
        search=plan.record.name,
        method=plan.record.method,
        stream=plan.record.stream.name,
        budget=plan.record.budget,
        horizon=parse_name(plan.record.stream.name).increments,
        objective=plan.record.objective.replace("val/", "test/", 1),
        direction=plan.record.direction,
        class_orders=list(plan.orders),
        held_out=plan.held_out,
        train_seeds=list(plan.seeds),
        configurations=[configuration for configuration in configurations if configuration is not None],
        difference=_difference(plan, done, rows),
        test_fingerprint=next((r.fingerprint for r in reversed(readings) if r.fingerprint), None),
        readings=sum(reading.event == "opened" for reading in readings),
        trials_read=sorted({reading.trial for reading in readings}),
        missing={run.name: _why(folder, run) for run in plan.runs if run not in done},
    )


def _configuration(
    plan: EvaluationPlan, trial: int, runs: Sequence[EvaluationRun], rows: Mapping[str, _Rows]
) -> EvaluatedConfiguration | None:
    if not runs:
        return None
    last = [rows[run.name][-1] for run in runs]
    increments = range(len(rows[runs[0].name]))
    return EvaluatedConfiguration(
        role=plan.roles[trial],
        trial=trial,
        parameters=plan.parameters(trial),
        runs=[run.name for run in runs],
        metrics=_statistics(runs, last),
        by_increment=[_statistics(runs, [rows[run.name][t] for run in runs]) for t in increments],
        accuracy_matrix=[
            [fmean(rows[run.name][t].accuracy_row[i] for run in runs) for i in range(t + 1)] for t in increments
        ],
        images_trained=fmean(row.metrics["images_trained"] or 0.0 for row in last),
        seconds=fmean(row.metrics["seconds"] or 0.0 for row in last),
    )


def _statistics(runs: Sequence[EvaluationRun], rows: _Rows) -> dict[str, Statistic]:
    """Each test metric that is defined at this increment, over the runs."""
    groups = [run.order for run in runs]
    found = {}
    for name in (name for name in rows[0].metrics if name.startswith("test/")):
        values = [value for row in rows if (value := row.metrics[name]) is not None]
        if len(values) == len(rows):
            found[name] = statistic(values, groups)
    return found


def _difference(
    plan: EvaluationPlan, done: Sequence[EvaluationRun], rows: Mapping[str, _Rows]
) -> dict[str, Statistic] | None:
    """Chosen minus default at the last increment, paired by class order and seed; None where there are no pairs."""
    by_role = {
        role: {(run.order, run.seed): run for run in done if run.trial == trial} for trial, role in plan.roles.items()
    }
    chosen, default = by_role.get("chosen", {}), by_role.get("default", {})
    pairs = [place for place in chosen if place in default]
    if not pairs:
        return None
    groups = [order for order, _ in pairs]
    ours = [rows[chosen[place].name][-1].metrics for place in pairs]
    theirs = [rows[default[place].name][-1].metrics for place in pairs]
    found = {}
    for name in (name for name in ours[0] if name.startswith("test/")):
        values = [a[name] - b[name] for a, b in zip(ours, theirs, strict=True) if None not in (a[name], b[name])]  # type: ignore[operator]
        if len(values) == len(pairs):
            found[name] = statistic(values, groups)
    return found


def _why(folder: EvaluationFolder, run: EvaluationRun) -> str:
    failure = folder.run(run.name).failure
    return read_record(failure, Failure).reason if failure.exists() else "not run to the end yet"
