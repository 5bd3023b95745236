"""`tune-cl sync`: what W&B's server lacks is uploaded, once, however often it is asked for and interrupted."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import wandb
from tracking_fixtures import (
    reported,
    row,
    run_config,
    search_ended,
    search_record,
    started,
    trial_started,
    whole_trial,
    written,
)
from wandb_server import Request, WandbServer

from tune_cl.cli.main import main
from tune_cl.records import SearchFolder, write_json, write_yaml
from tune_cl.tracking import TrialEnded
from tune_cl.wandb import WandbEvaluation, WandbTracker
from tune_cl.wandb._files import FileRun, read_mark
from tune_cl.wandb._live import LiveRuns
from tune_cl.wandb._offline_log import read_records, write_records
from tune_cl.wandb._run import OpenRun
from tune_cl.wandb._sweep import SweepMark, read_sweep, sweep_path

NAME = "genifer-fashion-b4-t3-quick"


def keep_offline(folder: SearchFolder, *events: Any, sweep: bool = False) -> None:
    """A session of a search without a network, in a process of its own as far as W&B can tell."""
    tracker = WandbTracker("offline", sweep=sweep)
    for event in [started(folder), *events]:
        tracker.handle(event)
    tracker.close(60)
    wandb.teardown()


@pytest.fixture
def two_sessions(folder: SearchFolder) -> SearchFolder:
    """Trial 0 was interrupted and taken up again, trial 1 ended early; all of it offline."""
    written(folder, 0, 1)
    keep_offline(folder, trial_started(folder, 0), reported(folder, 0, 0), reported(folder, 0, 1))
    rest = [trial_started(folder, 0), reported(folder, 0, 2), reported(folder, 0, 3), TrialEnded(0, "finished")]
    second = [trial_started(folder, 1), reported(folder, 1, 0), TrialEnded(1, "stopped", "5th of 6"), search_ended()]
    keep_offline(folder, *rest, *second)
    return folder


def sync(folder: SearchFolder, *options: str) -> int:
    return main(["sync", str(folder.path), *options])


def on_server(server: WandbServer) -> dict[str, list[int]]:
    """Display name -> the increments of its history."""
    return {run.display_name: [line["increment"] for line in run.history] for run in server.runs.values()}


def changes(server: WandbServer) -> int:
    """How many requests could have changed something on the server."""
    return sum(r.operation.startswith(("Upsert", "Create")) or "file_stream" in r.path for r in server.requests)


def test_sessions_of_a_run_become_one_history_and_a_second_sync_changes_nothing(
    two_sessions: SearchFolder, server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(list(two_sessions.wandb.glob("offline-run-*"))) == 3
    assert sync(two_sessions) == 0
    printed = capsys.readouterr().out
    assert f"1 of 2: {NAME}-0000: 4 of 4 rows were missing and are uploaded" in printed
    assert f"2 of 2: {NAME}-0001: 1 of 1 rows were missing and are uploaded" in printed
    assert on_server(server) == {f"{NAME}-0000": [0, 1, 2, 3], f"{NAME}-0001": [0]}
    finished, stopped = server.run_named(f"{NAME}-0000"), server.run_named(f"{NAME}-0001")
    assert (finished.group, finished.job_type, finished.state) == (NAME, "trial", "finished")
    assert finished.summary["state"] == "finished"
    assert (stopped.summary["state"], "stopped" in stopped.tags) == ("stopped", True)
    assert len([name for name in finished.files if name.startswith("media/images/")]) == 3

    requests = len(server.requests)
    assert sync(two_sessions) == 0
    assert len(server.requests) == requests
    assert "W&B has everything already" in capsys.readouterr().out


def test_wandb_sync_by_hand_finds_nothing_left_to_double(two_sessions: SearchFolder, server: WandbServer) -> None:
    assert sync(two_sessions) == 0
    before = changes(server)
    command = [sys.executable, "-m", "wandb", "sync", str(two_sessions.wandb)]
    subprocess.run(command, check=True, cwd=two_sessions.path.parent, timeout=60, env=os.environ)
    assert changes(server) == before


def test_interrupted_sync_goes_on_where_it_was(
    two_sessions: SearchFolder, server: WandbServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes away when the second run is opened."""
    monkeypatch.setattr("tune_cl.wandb._settings._INIT_SECONDS", 2.0)

    def go_away(request: Request) -> None:
        if request.operation == "RunResumeStatus" and on_server(server)[f"{NAME}-0000"] == [0, 1, 2, 3]:
            server.fault = "drop"

    keep_first_run(two_sessions, server)
    server.before = go_away
    assert sync(two_sessions) == 1
    printed = capsys.readouterr().out
    assert f"1 of 2: {NAME}-0000: 2 of 4 rows were missing" in printed
    assert f"2 of 2: {NAME}-0001: W&B did not take it" in printed and "the same command tries again" in printed
    assert "not everything is uploaded" in printed
    server.before, server.fault = None, None
    assert sync(two_sessions) == 0
    assert on_server(server) == {f"{NAME}-0000": [0, 1, 2, 3], f"{NAME}-0001": [0]}


def keep_first_run(folder: SearchFolder, server: WandbServer) -> None:
    """Upload the first two rows of trial 0, as a sync that was killed would leave it."""
    mark = read_mark(folder.trial(0))
    assert mark is not None
    elsewhere = SearchFolder(folder.path.parent / "elsewhere")
    for increment in (0, 1):
        elsewhere.trial(0).add_row(row(0, increment))
    run = OpenRun(wandb, "online", FileRun(elsewhere.trial(0), mark.shown, elsewhere.wandb))
    assert run.update() == 2
    run.end("running", None)
    assert on_server(server) == {f"{NAME}-0000": [0, 1]}


def test_sweep_that_was_asked_for_offline_is_made_and_has_every_trial(
    folder: SearchFolder, server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    written(folder, 0, 1)
    keep_offline(folder, *whole_trial(folder, 0), *whole_trial(folder, 1), search_ended(), sweep=True)
    assert sync(folder, "--dry-run") == 0
    assert "would make a sweep" in capsys.readouterr().out
    assert server.requests == []
    assert sync(folder) == 0
    (sweep,) = server.sweeps.values()
    assert [run.sweep for run in server.runs.values()] == [sweep.name, sweep.name]
    note = read_sweep(folder)
    assert note is not None and note.sweep_id == sweep.name
    requests = len(server.requests)
    assert sync(folder) == 0
    assert (len(server.requests), len(server.sweeps)) == (requests, 1)


def test_sweep_that_comes_late_takes_the_runs_that_are_there(folder: SearchFolder, server: WandbServer) -> None:
    written(folder, 0)
    server.refused = {"UpsertSweep"}
    tracker = WandbTracker("online", sweep=True, report=lambda line: None)
    for event in [started(folder), *whole_trial(folder, 0), search_ended()]:
        tracker.handle(event)
    tracker.close(60)
    assert sync(folder) == 1
    server.refused = set()
    assert sync(folder) == 0
    (sweep,) = server.sweeps.values()
    assert server.run_named(f"{NAME}-0000").sweep == sweep.name
    assert on_server(server) == {f"{NAME}-0000": [0, 1, 2, 3]}


def test_one_run_that_is_refused_does_not_hold_up_the_others(
    two_sessions: SearchFolder, server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """W&B refuses the id of a run that was deleted on its pages."""
    mark = read_mark(two_sessions.trial(0))
    assert mark is not None
    server.refused_runs = {mark.shown.run_id}
    two_sessions.trial(1).replay_grid(0).write_bytes(b"not a picture")
    assert sync(two_sessions) == 1
    printed = capsys.readouterr().out
    assert f"1 of 2: {NAME}-0000: W&B did not take it" in printed
    assert f"2 of 2: {NAME}-0001: 1 of 1 rows were missing and are uploaded; 1 without a picture" in printed
    assert on_server(server) == {f"{NAME}-0001": [0]}


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_mode_in_the_environment_is_the_searchs_and_not_syncs(
    mode: str, two_sessions: SearchFolder, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    keep_foreign_run(two_sessions, "offline", 2)
    write_json(sweep_path(two_sessions), SweepMark(project="tune_cl", entity=None))
    assert sync(two_sessions) == 0
    assert on_server(server) == {f"{NAME}-0000": [0, 1, 2, 3], f"{NAME}-0001": [0], "foreign": [0, 1]}
    assert len(server.sweeps) == 1


def test_evaluation_runs_are_uploaded_with_the_search(two_sessions: SearchFolder, server: WandbServer) -> None:
    evaluation_of(two_sessions, "offline").close(timeout=30)
    wandb.teardown()
    assert sync(two_sessions) == 0
    assert on_server(server)[f"{NAME}-chosen-1001-0"] == [0, 1, 2, 3]
    uploaded = server.run_named(f"{NAME}-chosen-1001-0")
    assert (uploaded.job_type, uploaded.group, uploaded.summary["state"]) == ("evaluation", NAME, "finished")
    assert (uploaded.config["objective"], uploaded.config["seeds"]["train"]) == ("test/average_incremental_accuracy", 3)
    requests = len(server.requests)
    assert sync(two_sessions) == 0
    assert len(server.requests) == requests


def evaluation_of(folder: SearchFolder, mode: str) -> WandbEvaluation:
    """An evaluation whose two runs have their rows, and are shown."""
    written(folder, 0)
    evaluation = WandbEvaluation(mode, None, None, search_record(), folder, report=lambda line: None)
    for name in ("chosen-1001-0", "chosen-1001-1"):
        write_yaml(folder.evaluation.run(name).config, run_config())
        for increment in range(4):
            folder.evaluation.run(name).add_row(row(0, increment))
        evaluation.show(name)
    return evaluation


def test_evaluation_runs_that_wandb_did_not_come_to_are_uploaded(
    folder: SearchFolder, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = threading.Event()
    monkeypatch.setattr(LiveRuns, "finish", lambda self, run: hold.wait())
    evaluation_of(folder, "online").close(timeout=0.2)
    hold.set()
    assert server.runs == {}
    assert sync(folder) == 0
    assert on_server(server) == {f"{NAME}-chosen-1001-{seed}": [0, 1, 2, 3] for seed in (0, 1)}
    assert sync(folder, "--dry-run") == 0


def test_evaluation_run_that_the_server_did_not_take_in_time_is_uploaded_as_finished(
    folder: SearchFolder, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(*state: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as slow:
        slow.setattr(OpenRun, "end", too_late)
        evaluation_of(folder, "offline").close(timeout=30)
    assert sync(folder) == 0
    for seed in (0, 1):
        run = server.run_named(f"{NAME}-chosen-1001-{seed}")
        assert (run.summary["state"], run.exit_code, "interrupted" in run.tags) == ("finished", 0, False)


def test_evaluation_with_wandb_off_is_not_uploaded(folder: SearchFolder, server: WandbServer) -> None:
    evaluation_of(folder, "disabled").close(timeout=30)
    assert sync(folder) == 2
    keep_offline(folder, *whole_trial(folder, 0), search_ended())
    assert sync(folder) == 0
    assert on_server(server) == {f"{NAME}-0000": [0, 1, 2, 3]}


@pytest.mark.parametrize("rows_on_server", [0, 2])
def test_run_that_only_wandb_keeps_is_uploaded_without_a_doubled_row(
    rows_on_server: int, two_sessions: SearchFolder, server: WandbServer
) -> None:
    """A run of a user's own below the search; the second case is what a `wandb sync` that was killed leaves."""
    for mode, rows in (("online", rows_on_server), ("offline", 4)):
        if rows:
            keep_foreign_run(two_sessions, mode, rows)
    assert len(server.runs) == (rows_on_server > 0)
    assert sync(two_sessions) == 0
    assert on_server(server)["foreign"] == [0, 1, 2, 3]
    assert len([name for name in server.run_named("foreign").files if name.startswith("media/images/picture")]) == 4
    before = changes(server)
    assert sync(two_sessions) == 0
    assert changes(server) == before


def keep_foreign_run(folder: SearchFolder, mode: str, rows: int) -> None:
    place = folder.path.parent / "elsewhere" if mode == "online" else folder.path / "comparison"
    place.mkdir()
    settings = wandb.Settings(silent=True)
    run = wandb.init(project="tune_cl", mode=mode, id="foreign", name="foreign", dir=str(place), settings=settings)
    for step in range(rows):
        run.log(
            {"increment": step, "picture": wandb.Image(str(folder.trial(0).replay_grid(0)))}, step=step, commit=True
        )
    run.finish()
    wandb.teardown()


def test_another_project_may_be_named(two_sessions: SearchFolder, server: WandbServer) -> None:
    assert sync(two_sessions, "--wandb-project", "other", "--wandb-entity", "team") == 0
    assert {(run.project, run.entity) for run in server.runs.values()} == {("other", "team")}
    assert sync(two_sessions) == 0
    assert len(server.runs) == 2


def test_what_cannot_be_uploaded_is_said_in_a_sentence(
    folder: SearchFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    assert main(["sync", str(tmp_path / "nowhere")]) == 2
    assert "no such folder, and no search of that name in results" in capsys.readouterr().err
    assert main(["sync", str(tmp_path)]) == 2
    assert "no search lies there" in capsys.readouterr().err
    written(folder, 0)
    assert sync(folder) == 2
    assert "no W&B runs are kept there" in capsys.readouterr().err
    keep_offline(folder, *whole_trial(folder, 0), search_ended())
    monkeypatch.delenv("WANDB_API_KEY")
    assert sync(folder) == 2
    assert "no W&B credentials found" in capsys.readouterr().err
    assert main(["sync"]) == 2
    assert main(["sync", str(folder.path), "--projekt", "x"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_name_is_a_search_before_it_is_a_folder_that_is_called_alike(
    folder: SearchFolder, server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder, 0)
    keep_offline(folder, *whole_trial(folder, 0), search_ended())
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir()
    assert main(["sync", NAME]) == 0
    assert on_server(server) == {f"{NAME}-0000": [0, 1, 2, 3]}


def test_search_that_runs_is_left_alone(two_sessions: SearchFolder, capsys: pytest.CaptureFixture[str]) -> None:
    holder = f"""
import fcntl, sys
with open({str(two_sessions.lock)!r}, "a") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", holder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        assert sync(two_sessions) == 2
        process.stdin.close()
    assert "another process is running this search" in capsys.readouterr().err


def test_records_are_written_as_they_were_read(two_sessions: SearchFolder, tmp_path: Path) -> None:
    """Of every size around the end of a block of W&B's log, too."""
    (original, *_) = two_sessions.wandb.rglob("*.wandb")
    records = list(read_records(original))
    write_records(tmp_path / "copy.wandb", records)
    assert list(read_records(tmp_path / "copy.wandb")) == records
    for size in range(32_700, 32_790):
        records[0].run.notes = "x" * size
        write_records(tmp_path / "copy.wandb", [records[0], records[0], *records])
        assert list(read_records(tmp_path / "copy.wandb")) == [records[0], records[0], *records]
