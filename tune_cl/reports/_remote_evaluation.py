"""An evaluation as W&B tells it: summed up from its runs as `tune-cl evaluate` sums them up from its folders."""

from collections.abc import Sequence
from statistics import fmean

from tune_cl.records import EvaluatedConfiguration, EvaluationSummary, Statistic
from tune_cl.reports._models import SearchData
from tune_cl.reports._statistics import statistic
from tune_cl.tracking import RemoteTrial


def remote_evaluation(search: SearchData, runs: Sequence[RemoteTrial]) -> EvaluationSummary | None:
    """The evaluation that runs of a search's group make up; None where there are none."""
    last = max((run.rows[-1].increment for run in runs if run.rows), default=None)
    done = [run for run in runs if run.rows and run.rows[-1].increment == last and len(run.rows) == last + 1]
    if last is None or not done:
        return None
    chosen = _chosen(search, done)
    roles = {chosen: "chosen"} | ({0: "default"} if chosen else {})
    by_trial = {trial: [run for run in done if run.trial == trial] for trial in roles}
    orders = list(dict.fromkeys(map(_order, done)))
    return EvaluationSummary(
        search=search.name,
        method=search.method,
        stream=search.stream.name,
        budget=search.budget,
        horizon=last,
        objective=search.objective.replace("val/", "test/", 1),
        direction=search.direction,
        class_orders=orders,
        held_out=_order_name(search.stream.class_order, search.seeds.order) not in orders,
        train_seeds=sorted({_seed(run) for run in done}),
        configurations=[
            _configuration(search, roles[trial], trial, of_trial) for trial, of_trial in by_trial.items() if of_trial
        ],
        difference=_difference(by_trial[chosen], by_trial.get(0, [])) if chosen else None,
        test_fingerprint=None,
        readings=len(runs),
        trials_read=sorted({run.trial for run in runs}),
        missing={_place(run): "not logged to the end" for run in runs if run not in done},
    )


def _chosen(search: SearchData, runs: Sequence[RemoteTrial]) -> int:
    """The search's best trial if it was evaluated; else the latest that was, an earlier choice."""
    evaluated = {run.trial for run in runs}
    return search.best.trial if search.best is not None and search.best.trial in evaluated else max(evaluated)


def _configuration(search: SearchData, role: str, trial: int, runs: Sequence[RemoteTrial]) -> EvaluatedConfiguration:
    increments = range(len(runs[0].rows))
    last = [run.rows[-1] for run in runs]
    return EvaluatedConfiguration(
        role=role,
        trial=trial,
        parameters={path: runs[0].parameters.get(path) for path in search.searched},
        runs=[f"trial-{trial:04d}-{_place(run)}" for run in runs],
        metrics=_statistics(runs, -1),
        by_increment=[_statistics(runs, t) for t in increments],
        accuracy_matrix=[
            [fmean(column) for column in zip(*(run.rows[t].accuracy_row for run in runs), strict=True)]
            for t in increments
        ],
        images_trained=fmean(row.metrics.get("images_trained") or 0.0 for row in last),
        seconds=fmean(row.metrics.get("seconds") or 0.0 for row in last),
    )


def _statistics(runs: Sequence[RemoteTrial], increment: int) -> dict[str, Statistic]:
    """Each test metric that all runs have at an increment."""
    metrics = [run.rows[increment].metrics for run in runs]
    orders = [_order(run) for run in runs]
    return {
        name: statistic(values, orders)
        for name in metrics[0]
        if name.startswith("test/")
        and len(values := [value for of in metrics if (value := of.get(name)) is not None]) == len(runs)
    }


def _difference(chosen: Sequence[RemoteTrial], default: Sequence[RemoteTrial]) -> dict[str, Statistic] | None:
    """Chosen minus default, paired by class order and seed; None where there are no pairs."""
    theirs = {_place(run): run.rows[-1].metrics for run in default}
    pairs = [(run, run.rows[-1].metrics, theirs[_place(run)]) for run in chosen if _place(run) in theirs]
    if not pairs:
        return None
    orders, found = [_order(run) for run, _, _ in pairs], {}
    for name in (name for name in pairs[0][1] if name.startswith("test/")):
        values = [a - b for _, ours, other in pairs if (a := ours[name]) is not None and (b := other[name]) is not None]
        if len(values) == len(pairs):
            found[name] = statistic(values, orders)
    return found


def _place(run: RemoteTrial) -> str:
    return f"{_order(run)}-train-{_seed(run)}"


def _order(run: RemoteTrial) -> str:
    return _order_name(run.settings.get("class_order") or "seed", run.settings["seeds"]["order"])


def _order_name(class_order: object, order_seed: int) -> str:
    """As `tune-cl evaluate` calls it."""
    return f"seed-{order_seed}" if class_order == "seed" else str(class_order)


def _seed(run: RemoteTrial) -> int:
    return int(run.settings["seeds"]["train"])
