"""An evaluation as W&B tells it: summed up from its runs as `tune-cl evaluate` sums them up from its folders."""

from collections.abc import Sequence
from typing import Literal

from tune_cl.metrics import on_test_data
from tune_cl.records import EvaluatedConfiguration, EvaluationPlace, EvaluationSummary, order_name
from tune_cl.reports._evaluated import EvaluatedRun, evaluated_configuration, evaluation_cautions, paired_difference
from tune_cl.reports._models import SearchData
from tune_cl.wandb import RemoteTrial


def remote_evaluation(search: SearchData, runs: Sequence[RemoteTrial]) -> EvaluationSummary | None:
    """The evaluation that runs of a search's group make up; None where there are none."""
    last = max((run.rows[-1].increment for run in runs if run.rows), default=None)
    done = [run for run in runs if run.rows and run.rows[-1].increment == last and len(run.rows) == last + 1]
    if last is None or not done:
        return None
    trial = _chosen(search, done)
    by_role: dict[Literal["chosen", "default"], list[RemoteTrial]] = {
        "chosen": [run for run in done if run.trial == trial],
        "default": [run for run in done if run.trial == 0] if trial else [],
    }
    objective = on_test_data(search.objective)
    orders = list(dict.fromkeys(_place(run).order for run in done))
    return EvaluationSummary(
        search=search.name,
        method=search.method,
        stream=search.stream.name,
        budget=search.budget,
        horizon=last,
        objective=objective,
        direction=search.direction,
        class_orders=orders,
        held_out=order_name(search.stream.class_order, search.seeds.order) not in orders,
        train_seeds=sorted({_place(run).seed for run in done}),
        configurations=[_configuration(search, role, of_role) for role, of_role in by_role.items() if of_role],
        difference=paired_difference(_evaluated(by_role["chosen"]), _evaluated(by_role["default"])),
        cautions=evaluation_cautions(
            _evaluated(by_role["chosen"]), _evaluated(by_role["default"]), objective, search.base_classes
        ),
        test_fingerprint=None,
        readings=len(runs),
        trials_read=sorted({run.trial for run in runs}),
        missing={_place(run).run_of(run.trial): "not logged to the end" for run in runs if run not in done},
    )


def _chosen(search: SearchData, runs: Sequence[RemoteTrial]) -> int:
    """The search's best trial if it was evaluated; else the latest that was, an earlier choice."""
    evaluated = {run.trial for run in runs}
    return search.best.trial if search.best is not None and search.best.trial in evaluated else max(evaluated)


def _configuration(
    search: SearchData, role: Literal["chosen", "default"], runs: Sequence[RemoteTrial]
) -> EvaluatedConfiguration:
    parameters = {path: runs[0].parameters.get(path) for path in search.searched}
    return evaluated_configuration(role, runs[0].trial, parameters, _evaluated(runs))


def _evaluated(runs: Sequence[RemoteTrial]) -> list[EvaluatedRun]:
    return [EvaluatedRun(_place(run), run.rows) for run in runs]


def _place(run: RemoteTrial) -> EvaluationPlace:
    seeds = run.settings["seeds"]
    return EvaluationPlace(order_name(run.settings.get("class_order") or "seed", seeds["order"]), int(seeds["train"]))
