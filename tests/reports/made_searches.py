"""Searches as they lie on disk, made without training: small, and with every number known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tracking_fixtures import HORIZON, OBJECTIVE, STREAM, search_record

from tune_cl.records import (
    EvaluatedConfiguration,
    EvaluationSummary,
    Failure,
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    StageUse,
    Summary,
    TrialSummary,
    append_line,
    write_json,
    write_yaml,
)
from tune_cl.reports import SearchData, read_search, statistic

RATE = "increment.classifier.learning_rate"
WEIGHT = "increment.classifier.weight_kd"
IMAGES, SECONDS = 1000, 10.0  # of a stage
SCORED = [400, 200, 200, 200]  # validation images of each increment
FROZEN = (1 + 40 / 60 + 40 / 80 + 40 / 100) / 4  # average incremental accuracy of a base task that is never wrong


def record(**changes: Any) -> SearchRecord:
    values: dict[str, Any] = {
        "name": "lwf-fashion-b4-t3-quick",
        "method": "lwf",
        "fixed": {WEIGHT: 1.0, "base.classifier.epochs": 8},
        "ranges": {RATE: {"log": [1e-4, 1e-2]}},
        "default": {RATE: 1e-3, WEIGHT: 1.0, "base.classifier.epochs": 8},
        "trials": 3,
        "versions": {"torch": "2.9.0"},
        "command": ["launch/search.py", "--space", "lwf.yaml"],
    }
    return search_record(**values | changes)


def row(trial: int, increment: int, value: float, *, trained: bool = True, key: str | None = None) -> IncrementRow:
    """A row whose objective is `value`; each increment has one stage."""
    accuracy = value - 0.1 * increment
    return IncrementRow(
        trial=trial,
        increment=increment,
        metrics={
            OBJECTIVE: value,
            "val/average_incremental_accuracy_excl_base": value - 0.05 if increment else None,
            "val/accuracy": accuracy,
            "val/accuracy_old": accuracy - 0.1 if increment else None,
            "val/accuracy_new": accuracy + 0.1,
            "val/forgetting": 0.1 * increment if increment else None,
            "images_trained": float(IMAGES * (increment + 1)),
            "seconds": SECONDS * (increment + 1),
        },
        accuracy_row=[accuracy] * (increment + 1),
        images_scored=SCORED[: increment + 1],
        class_accuracy=[round(accuracy - 0.002 * c, 4) for c in range(4 + 2 * increment)],
        losses={},
        stages=[
            StageUse(
                phase="classifier",
                key=key or f"{trial}-{increment}",
                origin="trained" if trained else "reused",
                seconds=SECONDS,
                images_trained=IMAGES,
            )
        ],
        node="node-1",
    )


def config(rate: float, **changes: Any) -> RunConfig:
    parameters = {
        "base": {"classifier": {"epochs": 8}},
        "increment": {"classifier": {"learning_rate": rate, "weight_kd": 1.0} | changes},
    }
    return RunConfig(method="lwf", stream=STREAM, budget="quick", horizon=HORIZON, parameters=parameters)


def write_trial(folder: SearchFolder, trial: int, values: Sequence[float], rate: float = 1e-3, **changes: Any) -> None:
    """A trial's folder with a row per value; the base task is reused by all trials but the first."""
    write_yaml(folder.trial(trial).config, config(rate, **changes))
    for increment, value in enumerate(values):
        base = increment == 0
        key = "base" if base else None
        append_line(
            folder.trial(trial).increments, row(trial, increment, value, trained=trial == 0 or not base, key=key)
        )


def write_summary(folder: SearchFolder, states: Mapping[int, str], values: Mapping[int, float | None]) -> None:
    counts = {state: list(states.values()).count(state) for state in ("finished", "stopped", "failed", "running")}
    table = [TrialSummary(trial=t, state=states[t], increment=None, value=values.get(t)) for t in sorted(states)]  # type: ignore[arg-type]
    summary = Summary(
        trials=counts,
        stages={},
        seconds=0,
        seconds_as_if_alone=0,
        idle_seconds=0,
        images_trained=0,
        images_trained_as_if_alone=0,
        sharing=None,
        best=None,
        table=table,
    )
    write_json(folder.summary, summary)


def write_search(
    path: Path,
    finals: Mapping[int, float],
    *,
    stopped: Mapping[int, float] | None = None,
    failed: Sequence[int] = (),
    evaluation: EvaluationSummary | None = None,
    **changes: Any,
) -> SearchFolder:
    """A search that has ended: trial -> value at the horizon, stopped trial -> value at increment 1."""
    folder, stopped = SearchFolder(path), stopped or {}
    states = dict.fromkeys(finals, "finished") | dict.fromkeys(stopped, "stopped") | dict.fromkeys(failed, "failed")
    write_json(folder.search, record(trials=len(states), **{"name": path.name} | changes))
    for trial, value in finals.items():
        curve = [value + 0.05 * (HORIZON - t) for t in range(HORIZON + 1)]
        write_trial(folder, trial, curve, rate=1e-3 * (trial + 1))
    for trial, value in stopped.items():
        write_trial(folder, trial, [value + 0.05, value], rate=1e-3 * (trial + 1))
    for trial in failed:
        write_trial(folder, trial, [0.9], rate=1e-3 * (trial + 1))
        use = StageUse(phase="classifier", key="lost", origin="trained", seconds=SECONDS, images_trained=IMAGES)
        write_json(folder.trial(trial).failure, Failure(reason="diverged", increment=1, stages=[use]))
    write_summary(folder, states, {**finals, **stopped})
    if evaluation is not None:
        write_json(folder.evaluation.summary, evaluation)
    return folder


def made(path: Path, finals: Mapping[int, float], **changes: Any) -> SearchData:
    """The same, read back."""
    return read_search(write_search(path, finals, **changes))


def evaluation(
    chosen: Mapping[tuple[int, int], float],
    default: Mapping[tuple[int, int], float] | None = None,
    *,
    trial: int = 1,
    **changes: Any,
) -> EvaluationSummary:
    """An evaluation by (order seed, train seed) -> test objective of the choice, and of the default."""
    metric = OBJECTIVE.replace("val/", "test/")
    configurations = [_evaluated("chosen", trial, chosen, metric)]
    difference = None
    if default is not None:
        configurations.append(_evaluated("default", 0, default, metric))
        pairs = [chosen[place] - default[place] for place in chosen]
        difference = {metric: statistic(pairs, [order for order, _ in chosen])}
    values: dict[str, Any] = {
        "search": "lwf-fashion-b4-t3-quick",
        "method": "lwf",
        "stream": STREAM.name,
        "budget": "quick",
        "horizon": HORIZON,
        "objective": metric,
        "class_orders": sorted({f"seed-{order}" for order, _ in chosen}),
        "held_out": True,
        "train_seeds": sorted({seed for _, seed in chosen}),
        "configurations": configurations,
        "difference": difference,
        "test_fingerprint": "f" * 64,
        "readings": len(chosen),
        "trials_read": [trial],
        "missing": {},
    }
    return EvaluationSummary.model_validate(values | changes)


def _evaluated(role: Any, trial: int, values: Mapping[tuple[int, int], float], metric: str) -> EvaluatedConfiguration:
    orders = [order for order, _ in values]
    told = statistic(list(values.values()), orders)
    return EvaluatedConfiguration(
        role=role,
        trial=trial,
        parameters={},
        runs=[f"trial-{trial:04d}-seed-{order}-train-{seed}" for order, seed in values],
        metrics={metric: told, "test/accuracy": told},
        by_increment=[{metric: told, "test/accuracy": told}] * (HORIZON + 1),
        accuracy_matrix=[[told.mean]],
        images_trained=4000.0,
        seconds=40.0,
    )
