"""How a search ended, from its study and its rows on disk."""

from collections.abc import Mapping, Sequence

from tune_cl.engine._sharing import sharing, unit_of
from tune_cl.outcome import Achieved, achieved, cautions, edges, gain_error
from tune_cl.records import (
    BestSummary,
    Caution,
    IncrementRow,
    NeverTrainedAgain,
    SearchFolder,
    SearchRecord,
    Summary,
    TrialSummary,
)
from tune_cl.streams import shape_of
from tune_cl.study import Study, TrialView


def summarise(study: Study, record: SearchRecord, folder: SearchFolder) -> Summary:
    """The content of `summary.json`: counts, costs, what sharing saved, the best trial, a line per trial."""
    views = study.trials()
    counts = {state: sum(view.state == state for view in views) for state in ("finished", "stopped", "failed")}
    counts["running"] = sum(view.state == "running" for view in views)
    trials = folder.trials()
    rows = {number: trial.rows() for number, trial in trials.items()}
    failed = [use for trial in trials.values() for use in trial.failed_stages()]
    uses = [*(use for of_trial in rows.values() for row in of_trial for use in row.stages), *failed]
    paid = [use for use in uses if use.origin == "trained"]
    frozen, doubts = _doubts(study, record, rows)
    return Summary(
        trials=counts,
        stages={"trained": len(paid), "reused": len(uses) - len(paid)},
        seconds=sum(use.seconds for use in paid),
        seconds_as_if_alone=sum(use.seconds for use in uses),
        idle_seconds=sum(use.idle_seconds for use in uses) + study.idle_seconds(),
        images_trained=sum(use.images_trained for use in paid),
        images_trained_as_if_alone=sum(use.images_trained for use in uses),
        sharing=sharing(rows, failed, unit=unit_of(record.device)),
        best=_best(study, record, rows),
        never_trained_again=frozen,
        cautions=doubts,
        table=[summary_of(view, rows.get(view.number, ())) for view in views],
    )


def summary_of(view: TrialView, rows: Sequence[IncrementRow] = ()) -> TrialSummary:
    """A trial's line."""
    return TrialSummary(
        trial=view.number,
        state=view.state,
        increment=view.increment,
        value=view.value,
        reason=view.reason,
        measured=rows[-1].measured() if rows else {},
        warnings=[warning for row in rows for warning in row.told_warnings()],
        proposer=view.proposer,
    )


def _best(study: Study, record: SearchRecord, rows: Mapping[int, Sequence[IncrementRow]]) -> BestSummary | None:
    best = study.best()
    if best is None:
        return None
    default = study.default_value()
    both = default is not None and best.number and rows.get(0) and rows.get(best.number)
    return BestSummary(
        trial=best.number,
        value=best.values[record.horizon],
        default_value=default,
        gain_error=_gain_error(record, rows[best.number], rows[0]) if both else None,
        parameters=dict(best.parameters),
    )


def _gain_error(record: SearchRecord, choice: Sequence[IncrementRow], default: Sequence[IncrementRow]) -> float | None:
    runs = _achieved(record, choice), _achieved(record, default)
    return gain_error(*runs, choice[-1].images_scored, default[-1].images_scored, record.objective)


def _doubts(
    study: Study, record: SearchRecord, rows: Mapping[int, Sequence[IncrementRow]]
) -> tuple[NeverTrainedAgain | None, list[Caution]]:
    """What never training again would give from the best trial's base task, and what speaks against that trial."""
    best = study.best()
    if best is None or not rows.get(best.number):  # or its folder has been deleted
        return None, []
    choice = _achieved(record, rows[best.number])
    finished = best.number and study.default_value() is not None and rows.get(0)
    default = _achieved(record, rows[0]) if finished else None
    at_an_end = edges({**record.fixed, **best.parameters}, record.ranges) if best.number else []
    doubts = [*cautions(choice, default, record.objective), *at_an_end]
    return choice.frozen(best.number, record.objective), doubts


def _achieved(record: SearchRecord, rows: Sequence[IncrementRow]) -> Achieved:
    base_classes = shape_of(record.stream).base
    metrics = [row.metrics for row in rows]
    return achieved(metrics, rows[0].accuracy_row, rows[-1].images_scored, record.objective, base_classes)
