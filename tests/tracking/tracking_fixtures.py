"""A small search as the driver would report it: records, rows and events for the tests of tracking."""

from PIL import Image

from tune_cl.records import (
    BestSummary,
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    SearchSeeds,
    Sharing,
    StageUse,
    StreamRecord,
    Summary,
    TrialSummary,
    write_json,
    write_yaml,
)
from tune_cl.tracking import IncrementReported, SearchEnded, SearchStarted, TrialEnded, TrialStarted

HORIZON = 3
OBJECTIVE = "val/average_incremental_accuracy"
STREAM = StreamRecord(name="fashion-b4-t3")
DEFAULT = {"increment.classifier.lr": 1e-3, "increment.classifier.w_ce": 0.3, "increment.classifier.loss": "ce"}
MATRIX = [[0.95], [0.71, 0.88], [0.62, 0.70, 0.91], [0.55, 0.61, 0.74, 0.93]]


def search_record(**changes: object) -> SearchRecord:
    values: dict[str, object] = {
        "name": "genifer-fashion-b4-t3-quick",
        "method": "genifer",
        "stream": STREAM,
        "scale": "small28",
        "budget": "quick",
        "protocol": "stream",
        "horizon": HORIZON,
        "objective": OBJECTIVE,
        "seeds": SearchSeeds(),
        "sampler": "tpe",
        "scheduler": "halving",
        "threads": 1,
        "device": "cpu",
        "fixed": {"base.classifier.epochs": 4},
        "ranges": {"increment.classifier.lr": {"log": [1e-4, 1e-2]}},
        "default": DEFAULT | {"base.classifier.epochs": 4},
        "data_fingerprint": "0" * 64,
        "trials": 8,
        "command": ["launch/search.py", "--space", "genifer.yaml"],
        "created": "2026-11-22T06:00:00",
    }
    return SearchRecord.model_validate(values | changes)


def run_config(lr: float = 1e-3) -> RunConfig:
    return RunConfig(
        method="genifer",
        stream=STREAM,
        budget="quick",
        horizon=HORIZON,
        train_seed=3,
        parameters={
            "base": {"classifier": {"epochs": 4}, "generator": {"steps": 400}},
            "increment": {"classifier": {"lr": lr, "w_ce": 0.3, "loss": "ce"}, "generator": {"lambda_id": 10.0}},
        },
    )


def row(trial: int, increment: int, shift: float = 0.0, reused: bool | None = None) -> IncrementRow:
    """A realistic row; `shift` is added to every accuracy, base stages are reused by all trials but the first."""
    t, reused = increment, trial > 0 and increment == 0 if reused is None else reused
    accuracies = [round(value + shift, 4) for value in MATRIX[t]]
    mean = [sum(line) / len(line) + shift for line in MATRIX[: t + 1]]
    old = sum(accuracies[:-1]) / t if t else None
    phases = ["classifier", "generator"] if t < HORIZON else ["classifier"]
    return IncrementRow(
        trial=trial,
        increment=t,
        metrics={
            "val/accuracy": mean[-1],
            OBJECTIVE: sum(mean) / len(mean),
            "val/average_incremental_accuracy_excl_base": sum(mean[1:]) / t if t else None,
            "val/forgetting": 0.2 * t if t else None,
            "val/backward_transfer": -0.2 * t if t else None,
            "val/accuracy_old": old,
            "val/accuracy_new": accuracies[-1],
            "replay_accuracy": 0.9 if t < HORIZON else None,
            "images_trained": 60_000.0 * (t + 1),
            "seconds": 21.5 * (t + 1),
            "paid/images_trained": 60_000.0 * t,
            "paid/seconds": 21.5 * t,
        },
        accuracy_row=accuracies,
        losses={"classifier/ce": 0.31, "classifier/kd": 0.12, "classifier/feature": 1.4, "generator/adversarial": 0.7}
        | {"generator/discriminator": 1.2, "generator/distillation": 0.03},
        stages=[
            StageUse(
                phase=phase,
                key=f"{trial}{t}{phase}",
                origin="reused" if reused else "trained",
                seconds=10.75,
                images_trained=30_000,
            )
            for phase in phases
        ],
        node="node-1",
    )


def written(folder: SearchFolder, *trials: int, **changes: object) -> None:
    """What the driver has on disk when it tells its trackers: the search, and the trials' configurations."""
    write_json(folder.search, search_record(**changes))
    for trial in trials:
        write_yaml(folder.trial(trial).config, run_config())


def started(folder: SearchFolder, planned: int = 8, **changes: object) -> SearchStarted:
    return SearchStarted(search_record(trials=planned, **changes), folder, planned=planned, resumed=0)


def trial_started(folder: SearchFolder, trial: int, lr: float = 1e-3) -> TrialStarted:
    """The event of a trial whose configuration the driver has just written."""
    write_yaml(folder.trial(trial).config, run_config(lr))
    return TrialStarted(trial, {"increment.classifier.lr": lr}, run_config(lr), folder.trial(trial))


def reported(folder: SearchFolder, trial: int, increment: int, shift: float = 0.0) -> IncrementReported:
    """The event of a row that the driver has just written, with its grid of replayed images."""
    line, trial_folder = row(trial, increment, shift), folder.trial(trial)
    trial_folder.add_row(line)
    if increment < HORIZON:
        Image.effect_noise((64, 32), 40 + increment).save(trial_folder.replay_grid(increment))
    return IncrementReported(trial, line, line.metrics[OBJECTIVE], trial_folder)


def whole_trial(folder: SearchFolder, trial: int, shift: float = 0.0) -> list[object]:
    events: list[object] = [trial_started(folder, trial)]
    events += [reported(folder, trial, t, shift) for t in range(HORIZON + 1)]
    return [*events, TrialEnded(trial, "finished")]


def search_ended(interrupted: bool = False, **changes: object) -> SearchEnded:
    values: dict[str, object] = {
        "trials": {"finished": 1, "stopped": 0, "failed": 0},
        "stages": {"trained": 30, "reused": 13},
        "seconds": 372.0,
        "seconds_as_if_alone": 620.0,
        "idle_seconds": 42.0,
        "sharing": Sharing(unit="cpu_seconds", trials=8, base_configurations=2, base_share=0.5, saving=1.58, bound=1.6),
        "images_trained": 900_000,
        "images_trained_as_if_alone": 1_500_000,
        "best": BestSummary(trial=0, value=0.7, default_value=0.7, parameters=DEFAULT),
        "table": [TrialSummary(trial=0, state="finished", increment=HORIZON, value=0.7)],
    }
    in_flight = ["trial 0004: generator at increment 2"] if interrupted else []
    return SearchEnded(Summary.model_validate(values | changes), interrupted, in_flight)
