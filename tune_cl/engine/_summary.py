"""How a search ended, from its study and its rows on disk."""

from collections.abc import Mapping, Sequence

from tune_cl.engine._sharing import sharing, unit_of
from tune_cl.options import Race
from tune_cl.outcome import Achieved, achieved, cautions, edges, gain_error
from tune_cl.records import (
    BestSummary,
    Caution,
    Failure,
    Finalist,
    Finalists,
    IncrementRow,
    NeverTrainedAgain,
    SearchFolder,
    SearchRecord,
    Summary,
    TrialSummary,
    read_record,
)
from tune_cl.streams import shape_of
from tune_cl.study import Finals, Study, TrialView


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
    finalists = _finalists(study, record, folder)
    best = study.best() if finalists is None or finalists.winner is None else views[finalists.winner]
    frozen, doubts = _doubts(best, study, record, rows)
    return Summary(
        trials=counts,
        stages={"trained": len(paid), "reused": len(uses) - len(paid)},
        seconds=sum(use.seconds for use in paid),
        seconds_as_if_alone=sum(use.seconds for use in uses),
        idle_seconds=sum(use.idle_seconds for use in uses) + study.idle_seconds(),
        images_trained=sum(use.images_trained for use in paid),
        images_trained_as_if_alone=sum(use.images_trained for use in uses),
        sharing=sharing(rows, failed, unit=unit_of(record.device)),
        best=_best(best, study, record, rows),
        never_trained_again=frozen,
        cautions=doubts,
        finalists=finalists,
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


def finals_of(study: Study, record: SearchRecord) -> Finals | None:
    """The race of a search's best trials; None where there is none, or fewer than two trials have finished."""
    if record.race is None:
        return None
    race = Race.of(record.race, "race")
    settings = {"horizon": record.horizon, "train_seed": record.seeds.train}
    return Finals.of(race, study.trials(), direction=record.direction, **settings)


def values_of(finals: Finals, record: SearchRecord, folder: SearchFolder) -> dict[tuple[int, int], float | None]:
    """What the runs of a race that are over came to, by trial and train seed: a value, or None for a failed one."""
    values: dict[tuple[int, int], float | None] = {}
    for run in ((trial, seed) for trial in finals.first for seed in (*finals.seeds[1:], *finals.fresh)):
        rows = folder.finalist(*run).rows()
        if folder.finalist(*run).failure.exists():
            values[run] = None
        elif rows and rows[-1].increment == record.horizon:
            values[run] = rows[-1].metrics.get(record.objective)
    return values


def _finalists(study: Study, record: SearchRecord, folder: SearchFolder) -> Finalists | None:
    finals = finals_of(study, record)
    values = {} if finals is None else values_of(finals, record, folder)
    if finals is None or not values:
        return None
    table = [
        Finalist(trial=trial, values=finals.chosen_by(trial, values), mean=finals.mean(trial, values))
        for trial in finals.first
    ]
    table.sort(key=lambda line: (line.mean is None, -finals.sign * (line.mean or 0.0)))
    runs = folder.finalists()
    uses = [use for run in runs for row in run.rows() for use in row.stages]
    paid = [use for use in (*uses, *(u for run in runs for u in run.failed_stages())) if use.origin == "trained"]
    return Finalists(
        seeds=list(finals.seeds),
        fresh_seeds=list(finals.fresh),
        table=table,
        winner=finals.winner(values),
        gain=finals.gain(values),
        runs=len(values),
        missing=finals.most_missing(values),
        failed={
            folder.finalist(*run).path.name: read_record(folder.finalist(*run).failure, Failure).reason
            for run, value in values.items()
            if value is None and folder.finalist(*run).failure.exists()
        },
        images_trained=sum(use.images_trained for use in paid),
        seconds=sum(use.seconds for use in paid),
    )


def _best(
    best: TrialView | None, study: Study, record: SearchRecord, rows: Mapping[int, Sequence[IncrementRow]]
) -> BestSummary | None:
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
    best: TrialView | None, study: Study, record: SearchRecord, rows: Mapping[int, Sequence[IncrementRow]]
) -> tuple[NeverTrainedAgain | None, list[Caution]]:
    """What never training again would give from the best trial's base task, and what speaks against that trial."""
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
