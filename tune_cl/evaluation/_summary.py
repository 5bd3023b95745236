"""What an evaluation came to: the numbers of the runs in its folder, and which have none."""

from collections.abc import Sequence
from statistics import fmean

from tune_cl.evaluation._plan import EvaluationPlan, EvaluationRun
from tune_cl.evaluation._readings import readings_of
from tune_cl.metrics import NEAREST_MEAN, on_test_data
from tune_cl.records import (
    ClassesRecord,
    EvaluationFolder,
    EvaluationSummary,
    Failure,
    IncrementRow,
    StreamRecord,
    read_record,
)
from tune_cl.reports import EvaluatedRun, evaluated_configuration, evaluation_cautions, paired_difference
from tune_cl.streams import class_order, shape_of


def summarise(plan: EvaluationPlan) -> EvaluationSummary:
    """Sum up the runs that have results, and name those that have none."""
    folder = plan.folder.evaluation
    rows = {run.name: folder.run(run.name).rows() for run in plan.counted}
    done = [run for run in plan.counted if rows[run.name]]
    by_role = {
        role: [EvaluatedRun(run.place, rows[run.name]) for run in done if run.trial == trial]
        for trial, role in plan.roles.items()
    }
    objective, shape = on_test_data(plan.record.objective), shape_of(plan.record.stream)
    readings = readings_of(folder)
    return EvaluationSummary(
        search=plan.record.name,
        method=plan.record.method,
        stream=plan.record.stream.name,
        budget=plan.record.budget,
        horizon=shape.increments,
        objective=objective,
        direction=plan.record.direction,
        class_orders=list(plan.orders),
        held_out=plan.held_out,
        train_seeds=list(plan.seeds),
        configurations=[
            evaluated_configuration(role, trial, plan.parameters(trial), by_role[role]).model_copy(
                update={"class_accuracy": _by_class(plan, [(r, rows[r.name][-1]) for r in done if r.trial == trial])}
            )
            for trial, role in plan.roles.items()
            if by_role[role]
        ],
        difference=paired_difference(by_role.get("chosen", []), by_role.get("default", [])),
        cautions=evaluation_cautions(by_role.get("chosen", []), by_role.get("default", []), objective, shape.base),
        test_fingerprint=readings.fingerprint,
        readings=readings.opened,
        readings_complete=readings.complete,
        trials_read=sorted(readings.trials),
        earlier_choices=sorted(trial for trial in readings.chosen if plan.roles.get(trial) != "chosen"),
        missing={run.name: _why(folder, run) for run in plan.runs if run not in done},
    )


def _by_class(plan: EvaluationPlan, last: Sequence[tuple[EvaluationRun, IncrementRow]]) -> dict[str, float]:
    """Accuracy on each class, in the search's order of arrival, mean over runs of whatever class orders."""
    if not plan.folder.classes.exists():
        return {}
    names = read_record(plan.folder.classes, ClassesRecord).names
    name_of = dict(zip(_labels(plan.record.stream, len(names)), names, strict=True))
    found: dict[str, list[float]] = {name: [] for name in names}
    for run, row in last:
        by_class = row.nearest_mean_class_accuracy if NEAREST_MEAN in plan.record.objective else row.class_accuracy
        for label, accuracy in zip(_labels(run.config.stream, len(names)), by_class or [], strict=False):
            if accuracy is not None:
                found[name_of[label]].append(accuracy)
    return {name: fmean(values) for name, values in found.items() if values}


def _labels(stream: StreamRecord, n_classes: int) -> tuple[int, ...]:
    return class_order(stream.class_order, n_classes, stream.order_seed)


def _why(folder: EvaluationFolder, run: EvaluationRun) -> str:
    failure = folder.run(run.name).failure
    return read_record(failure, Failure).reason if failure.exists() else "not run to the end yet"
