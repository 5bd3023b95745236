"""A search as W&B tells it."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from tune_cl.errors import TuneCLError
from tune_cl.metrics import NEAREST_MEAN, default_direction
from tune_cl.records import SearchSeeds, StreamRecord, describe_validation
from tune_cl.reports._models import Cost, SearchData, TrialData
from tune_cl.reports._remote_evaluation import remote_evaluation
from tune_cl.wandb import RemoteSearch, RemoteTrial, read_wandb_search


def read_remote(address: str) -> SearchData:
    """Read a search from W&B, `wandb://entity/project/group-or-sweep`.

    What W&B does not have is left out: trials that were asked for and never begun, and, of runs of earlier versions,
    the fingerprint of the data. Which paths were searched is what differs between the trials.

    Raises:
        TuneCLError: there is no such search, or no way to it.
    """
    search = read_wandb_search(address)
    try:
        return _search(search)
    except ValidationError as error:
        raise TuneCLError(f"{address}: {describe_validation(error, 'the runs')}") from None


def _search(search: RemoteSearch) -> SearchData:
    setting = search.setting
    objective = str(setting("objective"))
    trials = [_trial(trial, NEAREST_MEAN in objective) for trial in search.trials]
    seeds = SearchSeeds.model_validate(setting("seeds"))
    running = sum(trial.state == "running" for trial in trials)
    data = SearchData(
        source=search.source,
        name=search.name,
        method=setting("method"),
        stream=StreamRecord(
            name=setting("stream"),
            class_order=_class_order(setting("class_order")),
            order_seed=seeds.order,
            split_seed=seeds.split,
        ),
        scale=setting("scale"),
        data_fingerprint=setting("data_fingerprint"),
        budget=setting("budget"),
        objective=objective,
        direction=setting("direction") or default_direction(objective),
        protocol=setting("protocol"),
        horizon=setting("horizon"),
        seeds=seeds,
        numerics={name: str(setting(name)) for name in ("device", "threads", "precision") if setting(name) is not None},
        unfinished=f"unfinished: {running} of {len(trials)} runs have no end yet" if running else None,
        searched=_varied(trials),
        trials=trials,
    )
    return data.model_copy(update={"evaluation": remote_evaluation(data, search.evaluations)})


def _trial(trial: RemoteTrial, nearest_mean: bool) -> TrialData:
    last = trial.rows[-1].metrics if trial.rows else {}
    return TrialData(
        trial=trial.trial,
        state=trial.state,
        value=trial.value,
        parameters=trial.parameters,
        by_increment=[row.metrics for row in trial.rows],
        accuracy_matrix=[] if nearest_mean else [row.accuracy_row for row in trial.rows],
        images_scored=trial.rows[-1].images_scored if trial.rows else [],
        alone=Cost(images_trained=last.get("images_trained") or 0.0, seconds=last.get("seconds") or 0.0),
        paid=Cost(images_trained=last.get("paid/images_trained") or 0.0, seconds=last.get("paid/seconds") or 0.0),
        warnings=[f"increment {row.increment}: {warning}" for row in trial.rows for warning in row.warnings],
    )


def _class_order(order: Any) -> Any:
    return tuple(order) if isinstance(order, list) else order or "seed"


def _varied(trials: Sequence[TrialData]) -> list[str]:
    paths = dict.fromkeys(path for trial in trials for path in trial.parameters)
    return [path for path in paths if len({repr(trial.parameters.get(path)) for trial in trials}) > 1]
