"""W&B's own client in mode online, against a server on this machine that may fail in any way."""

import time
from pathlib import Path

import pytest
import wandb
import yaml
from tracking_fixtures import reported, row, search_ended, search_record, started, trial_started, whole_trial, written
from wandb_server import Fault, WandbServer

from tune_cl.records import SearchFolder, TrialSummary
from tune_cl.tracking import SearchStarted, TrialEnded
from tune_cl.wandb import WandbTracker, plan_upload, upload
from tune_cl.wandb import _settings as _wandb_settings
from tune_cl.wandb import _sweep as _wandb_sweep
from tune_cl.wandb._sweep import read_sweep, sweep_config

NAME = "genifer-fashion-b4-t3-quick"
SECONDS = 60.0


def track(events: list, seconds: float = SECONDS, sweep: bool = False, mode: str = "online") -> list[str]:
    """Feed events to a tracker of their own, close it, and return what it reported."""
    said: list[str] = []
    tracker = WandbTracker(mode, report=said.append, sweep=sweep)
    for event in events:
        tracker.handle(event)
    tracker.close(seconds)
    return said


def increments(server: WandbServer, trial: int) -> list[int]:
    return [line["increment"] for line in server.run_named(f"{NAME}-{trial:04d}").history]


def test_each_trial_is_a_run_of_the_group_with_a_row_per_increment(server: WandbServer, folder: SearchFolder) -> None:
    assert track([started(folder), *whole_trial(folder, 0), *whole_trial(folder, 1, shift=0.01), search_ended()]) == []
    for trial, shift in ((0, 0.0), (1, 0.01)):
        run = server.run_named(f"{NAME}-{trial:04d}")
        assert (run.project, run.group, run.job_type, run.state, run.sweep) == (
            "tune_cl",
            NAME,
            "trial",
            "finished",
            None,
        )
        assert run.tags == ["fashion-b4-t3", "genifer", "quick"]
        assert [line["increment"] for line in run.history] == [line["_step"] for line in run.history] == [0, 1, 2, 3]
        assert run.history[3]["val/accuracy_new"] == pytest.approx(0.93 + shift)
        assert run.config["increment.classifier.lr"] == 1e-3
        assert run.summary["state"] == "finished"
        pictures = [name for name in run.files if name.startswith("media/images/replay")]
        grids = [folder.trial(trial).replay_grid(t).read_bytes() for t in range(3)]
        assert sorted(run.files[name] for name in pictures) == sorted(grids)


def test_api_finds_runs_by_group_and_by_sweep(server: WandbServer, folder: SearchFolder) -> None:
    track([started(folder), *whole_trial(folder, 0), *whole_trial(folder, 1), search_ended()], sweep=True)
    (sweep_id,) = server.sweeps
    api = wandb.Api(timeout=20)
    by_group = api.runs("tester/tune_cl", filters={"group": NAME})
    by_sweep = api.sweep(f"tester/tune_cl/{sweep_id}").runs
    names = [f"{NAME}-0000", f"{NAME}-0001"]
    assert [run.name for run in by_group] == [run.name for run in by_sweep] == names
    assert len(api.runs("tester/tune_cl", filters={"group": "another"})) == 0
    first = by_group[0]
    assert first.config["trial"] == 0
    assert first.summary["state"] == "finished"
    assert [line["increment"] for line in first.scan_history()] == [0, 1, 2, 3]
    assert [line["increment"] for line in first.history(pandas=False)] == [0, 1, 2, 3]


def test_sweep_says_what_is_searched_and_is_made_once_in_a_search(server: WandbServer, folder: SearchFolder) -> None:
    track([started(folder), *whole_trial(folder, 0), search_ended(interrupted=True)], sweep=True)
    ended = TrialSummary(trial=0, state="finished", increment=3, value=0.8)
    again = SearchStarted(search_record(), folder, planned=8, resumed=1, earlier=(ended,))
    track([again, *whole_trial(folder, 1), search_ended()], sweep=True)
    (sweep,) = server.sweeps.values()
    assert yaml.safe_load(sweep.config) == sweep_config(search_record())
    assert {run.display_name: run.sweep for run in server.runs.values()} == {
        f"{NAME}-0000": sweep.name,
        f"{NAME}-0001": sweep.name,
    }
    assert increments(server, 0) == increments(server, 1) == [0, 1, 2, 3]


def test_sweep_is_where_the_environment_sends_the_runs(
    server: WandbServer, folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_ENTITY", "team")
    track([started(folder), *whole_trial(folder, 0), search_ended()], sweep=True)
    assert [run.entity for run in server.runs.values()] == ["team"]
    assert [sweep.entity for sweep in server.sweeps.values()] == ["team"]


def test_ranges_become_the_distributions_of_a_sweep() -> None:
    ranges = {
        "a.lr": {"log": [1e-4, 1e-2]},
        "a.drop": {"uniform": [0.0, 0.5]},
        "a.depth": {"int": [1, 4]},
        "a.loss": {"choice": ["ce", "bce"]},
    }
    config = sweep_config(search_record(ranges=ranges, sampler="random", direction="min"))
    assert config["method"] == "random"
    assert config["metric"] == {"name": "val/average_incremental_accuracy", "goal": "minimize"}
    assert config["parameters"] == {
        "a.lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
        "a.drop": {"distribution": "uniform", "min": 0.0, "max": 0.5},
        "a.depth": {"distribution": "int_uniform", "min": 1, "max": 4},
        "a.loss": {"values": ["ce", "bce"]},
    }
    assert sweep_config(search_record())["method"] == "bayes"
    fixed = sweep_config(search_record(ranges={}, default={"a.lr": 1e-3}))
    assert fixed["parameters"] == {"a.lr": {"value": 1e-3}}


def test_sweep_that_cannot_be_made_costs_one_line_and_comes_with_the_next_session(
    server: WandbServer, folder: SearchFolder
) -> None:
    server.refused = {"UpsertSweep"}
    said = track([started(folder), *whole_trial(folder, 0), search_ended(interrupted=True)], sweep=True)
    assert len(said) == 1
    assert "made no sweep" in said[0] and "the search goes on" in said[0] and "\n" not in said[0]
    assert increments(server, 0) == [0, 1, 2, 3]
    server.refused = set()
    assert track([started(folder), *whole_trial(folder, 1), search_ended()]) == []  # the note on disk asks for it
    (sweep,) = server.sweeps.values()
    assert [run.sweep for run in server.runs.values()] == [sweep.name, sweep.name]


@pytest.mark.parametrize("fault", ["drop", "stall", 503])
def test_server_that_does_not_answer_for_the_sweep_sends_the_runs_offline_in_one_line(
    fault: Fault, server: WandbServer, folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wandb_sweep, "_CREATE_SECONDS", 2)
    written(folder, 0)
    server.fault = fault
    begin = time.monotonic()
    said = track([started(folder), *whole_trial(folder, 0), search_ended()], sweep=True)
    assert time.monotonic() - begin < 15
    assert len(said) == 1
    assert "no answer from the server" in said[0] and "launch/sync.py" in said[0] and "\n" not in said[0]
    server.fault = None
    assert upload(plan_upload(folder), print)
    assert [run.sweep for run in server.runs.values()] == list(server.sweeps)
    assert increments(server, 0) == [0, 1, 2, 3]


def test_offline_sweep_is_announced_in_the_one_line_and_noted(folder: SearchFolder) -> None:
    tracker = WandbTracker("offline", sweep=True)
    line = tracker.describe(folder)
    assert "launch/sync.py" in line and "which also makes the sweep" in line and "\n" not in line
    tracker.handle(started(folder))
    tracker.close(SECONDS)
    note = read_sweep(folder)
    assert note is not None and note.sweep_id is None


def test_interrupted_trial_goes_on_in_the_same_run_without_a_doubled_row(
    server: WandbServer, folder: SearchFolder
) -> None:
    first = [started(folder), trial_started(folder, 0), reported(folder, 0, 0), reported(folder, 0, 1)]
    track([*first, search_ended(interrupted=True)])
    assert server.run_named(f"{NAME}-0000").summary["state"] == "interrupted"
    track([started(folder), *whole_trial(folder, 0), search_ended()])
    (run,) = server.runs.values()
    assert increments(server, 0) == [0, 1, 2, 3]
    assert (run.state, run.summary["state"], "interrupted" in run.tags) == ("finished", "finished", False)


@pytest.mark.parametrize("fault", ["drop", "stall", 503])
def test_server_that_fails_while_a_run_is_open_delays_no_event_and_loses_nothing(
    fault: Fault, server: WandbServer, folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wandb_settings, "_FINISH_SECONDS", 2.0)
    written(folder, 0, 1)
    said: list[str] = []
    tracker = WandbTracker("online", report=said.append)
    for event in [started(folder), trial_started(folder, 0), reported(folder, 0, 0), reported(folder, 0, 1)]:
        tracker.handle(event)
    wait_for_run(server)
    server.fault = fault
    begin = time.monotonic()
    rest = [reported(folder, 0, 2), reported(folder, 0, 3), TrialEnded(0, "finished")]
    for event in [*rest, *whole_trial(folder, 1), search_ended()]:
        tracker.handle(event)
    assert time.monotonic() - begin < 1
    tracker.close(30)
    assert time.monotonic() - begin < 15
    assert len(said) == 1
    assert "launch/sync.py" in said[0] and "\n" not in said[0]
    assert [line.increment for line in folder.trial(0).rows()] == [0, 1, 2, 3]

    server.fault = None
    lines: list[str] = []
    assert upload(plan_upload(folder), lines.append), lines
    assert increments(server, 0) == increments(server, 1) == [0, 1, 2, 3]
    assert plan_upload(folder).empty


def test_server_that_does_not_answer_at_the_start_sends_the_runs_offline(
    server: WandbServer, folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wandb_settings, "_INIT_SECONDS", 2.0)
    written(folder, 0)
    server.fault = 503
    said = track([started(folder), *whole_trial(folder, 0), search_ended()])
    assert len(said) == 1
    assert "no answer from the server" in said[0]
    server.fault = None
    assert upload(plan_upload(folder), print)
    assert increments(server, 0) == [0, 1, 2, 3]


def test_nothing_but_the_run_is_sent_and_the_key_is_in_no_file_and_no_message(
    server: WandbServer, folder: SearchFolder, tmp_path: Path
) -> None:
    track([started(folder), *whole_trial(folder, 0), search_ended()], sweep=True)
    assert set(server.operations()) == {"Viewer", "UpsertSweep", "RunResumeStatus", "UpsertBucket", "CreateRunFiles"}
    (run,) = server.runs.values()
    assert run.host in (None, "")
    assert run.events == [] and run.log == []
    media = {name for name in run.files if name.startswith(("media/images/", "media/plotly/"))}
    assert set(run.files) - media <= {"wandb-summary.json", "config.yaml"}
    for request in server.requests:
        assert server.key.encode() not in request.body
        assert server.key not in request.path
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(server.key.encode() in path.read_bytes() for path in files)


def test_row_on_disk_that_the_server_lacks_is_sent_when_the_search_goes_on(
    server: WandbServer, folder: SearchFolder
) -> None:
    """A trial that ended offline is not up to date online."""
    written(folder, 0)
    track([started(folder), *whole_trial(folder, 0), search_ended(interrupted=True)], mode="offline")
    assert not server.runs
    ended = TrialSummary(trial=0, state="finished", increment=3, value=row(0, 3).metrics["val/accuracy"])
    track([SearchStarted(search_record(), folder, planned=8, resumed=1, earlier=(ended,)), search_ended()])
    assert increments(server, 0) == [0, 1, 2, 3]


def wait_for_run(server: WandbServer) -> None:
    deadline = time.monotonic() + 30
    while not server.runs:
        assert time.monotonic() < deadline, "no run came to the server"
        time.sleep(0.05)
    time.sleep(1.0)  # for the answer to arrive, and the first rows to be handed over
