"""TensorBoard and MLflow show each trial as a run: read back by their own readers, the numbers are those on disk."""

import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracking_fixtures import HORIZON, reported, search_ended, started, trial_started, whole_trial, written

from tune_cl.errors import TuneCLError
from tune_cl.records import IncrementRow, SearchFolder, TrialSummary
from tune_cl.tracking import Event, SearchStarted, TrialEnded, chosen_trackers, tracker_packages
from tune_cl.tracking._runs import RunTracker, row_numbers

Numbers = dict[int, dict[str, dict[int, float]]]  # trial -> name -> increment -> value


def on_disk(folder: SearchFolder, exact: Callable[[float], float] = float) -> Numbers:
    """What a tracker has to show of the rows; each number once."""
    numbers: Numbers = {}
    for trial, place in folder.trials().items():
        of_trial = numbers.setdefault(trial, {})
        for row in place.rows():
            for name, value in row_numbers(row).items():
                of_trial.setdefault(name, {})[row.increment] = exact(value)
    return numbers


def float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def tracked(name: str, events: list[Any]) -> None:
    said: list[str] = []
    (tracker,) = chosen_trackers([name], said.append)
    for event in events:
        tracker.handle(event)
    tracker.close(120)
    assert said == []


def twice_interrupted(name: str, folder: SearchFolder) -> None:
    """A search in three sessions: the second continues trial 1, the third has nothing left to do."""
    written(folder, 0, 1)
    first = [started(folder), *whole_trial(folder, 0), trial_started(folder, 1), reported(folder, 1, 0, -0.1)]
    tracked(name, first)
    ended = TrialSummary(trial=0, state="finished", increment=HORIZON, value=0.7)
    again = SearchStarted(started(folder).record, folder, planned=8, resumed=1, earlier=(ended,))
    rest = [reported(folder, 1, t, -0.1) for t in range(1, HORIZON)]
    tracked(name, [again, trial_started(folder, 1), *rest, TrialEnded(1, "stopped", "halving"), search_ended()])
    stopped = TrialSummary(trial=1, state="stopped", increment=HORIZON - 1, value=0.6, reason="halving")
    tracked(name, [SearchStarted(again.record, folder, planned=8, resumed=2, earlier=(ended, stopped)), search_ended()])


def test_tensorboard_has_every_number_of_every_row_once(folder: SearchFolder) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    twice_interrupted("tensorboard", folder)
    found: Numbers = {}
    for trial in (0, 1):
        place = folder.path / "tensorboard" / f"{trial:04d}"
        events = EventAccumulator(str(place), size_guidance={"scalars": 0, "images": 0}).Reload()
        for name in events.Tags()["scalars"]:
            scalars = events.Scalars(name)
            assert len({scalar.step for scalar in scalars}) == len(scalars), "no row twice"
            found.setdefault(trial, {})[name] = {scalar.step: scalar.value for scalar in scalars}
        assert [image.step for image in events.Images("replay")] == list(range(HORIZON)), "there is none at the horizon"
        hparams = events.PluginTagToContent("hparams")
        assert b"increment.classifier.lr" in hparams["_hparams_/session_start_info"]
        assert "_hparams_/session_end_info" in hparams
    assert found == on_disk(folder, float32)
    assert len(list((folder.path / "tensorboard" / "0000").iterdir())) == 1, "nothing was missing later"


def test_mlflow_has_every_number_of_every_row_once(folder: SearchFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    twice_interrupted("mlflow", folder)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("genifer-fashion-b4-t3-quick")
    runs = {int(run.data.params["trial"]): run for run in client.search_runs([experiment.experiment_id])}
    found: Numbers = {}
    for trial, run in runs.items():
        for name in set(run.data.metrics) - {"increment"}:
            history = client.get_metric_history(run.info.run_id, name)
            assert len({metric.step for metric in history}) == len(history), "no row twice"
            found.setdefault(trial, {})[name] = {metric.step: metric.value for metric in history}
        assert run.data.params["increment.classifier.lr"] == "0.001"
        pictures = [Path(file.path).name for file in client.list_artifacts(run.info.run_id, "replay")]
        assert len(pictures) == HORIZON
    assert found == on_disk(folder)
    states = [(runs[trial].info.status, runs[trial].data.tags["state"]) for trial in (0, 1)]
    assert states == [("FINISHED", "finished"), ("FINISHED", "stopped")]
    assert (folder.path / "mlflow-artifacts").is_dir(), "and not where the process happens to run"


class Recorded:
    """Runs of a tool that does not answer until it may."""

    def __init__(self, *_: Any) -> None:
        self.rows: list[IncrementRow] = []
        self.may = threading.Event()

    def open(self, trial: int, config: Any) -> "Recorded":
        return self

    def add(self, row: IncrementRow) -> None:
        self.may.wait()
        self.rows.append(row)

    def end(self, state: str, reason: str | None) -> None:
        raise OSError("broken")


def test_a_tool_that_does_not_answer_holds_up_neither_the_search_nor_its_end(folder: SearchFolder) -> None:
    said: list[str] = []
    stuck = Recorded()
    tracker = RunTracker("Stuck", lambda record, folder: stuck, said.append)
    events: list[Event] = [started(folder), *whole_trial(folder, 0), search_ended()]  # type: ignore[list-item]
    for event in events:
        tracker.handle(event)
    tracker.close(0.2)
    (line,) = said
    assert line.startswith("Stuck did not finish within 0 s; every row is on disk, and the same command again")
    stuck.may.set()
    tracker._thread.join(10)
    assert not tracker._thread.is_alive() and len(said) == 1, "nobody listens any longer"


def test_a_failure_is_reported_once_and_the_other_rows_arrive(folder: SearchFolder) -> None:
    said: list[str] = []
    broken = Recorded()
    broken.may.set()
    tracker = RunTracker("Broken", lambda record, folder: broken, said.append)
    for trial in (0, 1):
        for event in [started(folder), *whole_trial(folder, trial)] if trial == 0 else whole_trial(folder, trial):
            tracker.handle(event)  # type: ignore[arg-type]
    tracker.close(10)
    assert {(row.trial, row.increment) for row in broken.rows} == {(n, t) for n in (0, 1) for t in range(HORIZON + 1)}
    (line,) = said
    assert line.startswith("Broken failed (OSError: broken); every row is on disk")


def test_an_unknown_name_and_a_missing_package_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TuneCLError, match=r"'tensorbord' is unknown; it is 'tensorboard' or 'mlflow'; .*you mean"):
        chosen_trackers(["tensorbord"], print)
    monkeypatch.setattr("tune_cl.tracking._registry.find_spec", lambda name: None)
    assert tracker_packages() == {"tensorboard": "tensorboard", "mlflow": "mlflow-skinny"}
    sentence = "--tracker mlflow: needs a package that is not installed: pip install mlflow-skinny"
    with pytest.raises(TuneCLError, match=sentence):
        chosen_trackers(["mlflow"], print)
