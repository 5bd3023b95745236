"""Real offline runs, read back from W&B's own files."""

import hashlib
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import tracking_fixtures
from search_cli import wait_until
from tracking_fixtures import (
    HORIZON,
    MATRIX,
    OBJECTIVE,
    reported,
    row,
    run_config,
    search_ended,
    started,
    trial_started,
    whole_trial,
)
from wandb_records import OfflineRun, offline_runs, same_value

from tune_cl.records import SearchFolder, TrialSummary, write_atomically, write_yaml
from tune_cl.tracking import SearchStarted, TrialEnded
from tune_cl.wandb import WandbTracker

NAME = "genifer-fashion-b4-t3-quick"
SECONDS = 30.0


def track(events: list, mode: str = "offline") -> list[str]:
    """Feed events to a tracker of their own, close it, and return what it reported."""
    said: list[str] = []
    tracker = WandbTracker(mode, report=said.append)
    for event in events:
        tracker.handle(event)
    tracker.close(SECONDS)
    return said


def run_of(folder: SearchFolder, trial: int) -> OfflineRun:
    return offline_runs(folder.wandb)[f"{NAME}-{trial:04d}"]


def increments(run: OfflineRun) -> list[int]:
    return [logged["increment"] for logged in run.rows()]


def test_one_row_per_increment_with_every_metric(folder: SearchFolder) -> None:
    assert track([started(folder), *whole_trial(folder, 0)]) == []
    rows = run_of(folder, 0).rows()
    assert [logged["increment"] for logged in rows] == [logged["_step"] for logged in rows] == [0, 1, 2, 3]
    for t, logged in enumerate(rows):
        expected = row(0, t)
        for name, value in expected.metrics.items():
            assert same_value(logged[name], value), name
        for name, value in expected.losses.items():
            assert same_value(logged[f"losses/{name}"], value), name
        assert logged["accuracy_matrix"] == MATRIX[: t + 1]
        assert [logged[f"R/{i}"] for i in range(t + 1)] == MATRIX[t]
        assert f"R/{t + 1}" not in logged
        assert logged["stages/classifier/origin"] == "trained"


def test_increment_is_the_axis_of_every_metric(folder: SearchFolder) -> None:
    track([started(folder), *whole_trial(folder, 0)])
    axes = run_of(folder, 0).axes()
    assert axes["*"] == "increment"
    assert "increment" in axes


def test_replay_grid_is_logged_where_there_is_one(folder: SearchFolder) -> None:
    track([started(folder), *whole_trial(folder, 0)])
    run = run_of(folder, 0)
    for t, logged in enumerate(run.rows()):
        grid = folder.trial(0).replay_grid(t)
        assert ("replay/path" in logged) == grid.exists() == (t < HORIZON)
        if t < HORIZON:
            copy = run.files[0].parent / "files" / logged["replay/path"]
            assert copy.read_bytes() == grid.read_bytes()
            assert logged["replay/sha256"] == hashlib.sha256(grid.read_bytes()).hexdigest()


def test_two_trials_at_once_are_two_runs_of_one_group(folder: SearchFolder) -> None:
    events = [started(folder), trial_started(folder, 0), trial_started(folder, 1, lr=2e-3)]
    for t in range(HORIZON + 1):
        events += [reported(folder, 1, t, shift=0.01), reported(folder, 0, t)]
    track([*events, TrialEnded(1, "finished"), TrialEnded(0, "finished")])
    first, second = run_of(folder, 0), run_of(folder, 1)
    assert first.starts()[0].run_id != second.starts()[0].run_id
    for run, shift, lr in ((first, 0.0, 1e-3), (second, 0.01, 2e-3)):
        assert increments(run) == [0, 1, 2, 3]
        assert run.rows()[3]["val/accuracy_new"] == pytest.approx(0.93 + shift)
        assert run.config()["increment.classifier.lr"] == lr
        assert (run.starts()[0].run_group, run.starts()[0].job_type) == (NAME, "trial")
    assert second.rows()[0]["stages/generator/origin"] == "reused"


def test_configuration_holds_every_parameter_and_what_defines_the_run(folder: SearchFolder) -> None:
    made_with = {"versions": {"torch": "2.9.0"}, "git_commit": "c0ffee"}
    track([started(folder, **made_with), *whole_trial(folder, 0)])
    config = run_of(folder, 0).config()
    assert config["base.classifier.epochs"] == 4
    assert config["increment.generator.lambda_id"] == 10.0
    assert (config["stream"], config["budget"], config["method"]) == ("fashion-b4-t3", "quick", "genifer")
    assert config["seeds"] == {"search": 0, "order": 0, "split": 0, "train": 3}
    assert (config["device"], config["threads"], config["sampler"], config["scale"]) == ("cpu", 1, "tpe", "small28")
    assert (config["versions"], config["git_commit"]) == ({"torch": "2.9.0"}, "c0ffee")
    assert config["data_fingerprint"] == "0" * 64


def test_accuracy_matrix_is_drawn_at_each_increment(folder: SearchFolder) -> None:
    track([started(folder), *whole_trial(folder, 0)])
    run = run_of(folder, 0)
    last = run.rows()[-1]
    assert last["accuracy_heat_map/_type"] == "plotly-file"
    figure = json.loads((run.files[0].parent / "files" / last["accuracy_heat_map/path"]).read_text())
    assert [[z for z in line if z is not None] for line in figure["data"][0]["z"]] == MATRIX
    assert figure["data"][0]["x"] == ["base", "1", "2", "3"]


@pytest.mark.parametrize(
    ("state", "reason", "exit_code"),
    [("finished", None, 0), ("stopped", "5th of 6 at increment 1", 0), ("failed", "loss became NaN", 1)],
)
def test_ended_states_can_be_told_apart(folder: SearchFolder, state: str, reason: str | None, exit_code: int) -> None:
    events = [started(folder), trial_started(folder, 0), reported(folder, 0, 0), reported(folder, 0, 1)]
    track([*events, TrialEnded(0, state, reason)])
    run = run_of(folder, 0)
    assert run.exit_codes() == [exit_code]
    assert run.summary()["state"] == state
    assert run.summary().get("reason") == reason
    assert run.summary()["objective"] == pytest.approx(row(0, 1).metrics[OBJECTIVE])
    assert (state in run.starts()[-1].tags) == (state != "finished")


def test_interrupted_trial_is_closed_as_such_and_resumes_without_a_doubled_row(folder: SearchFolder) -> None:
    events = [started(folder), trial_started(folder, 0), reported(folder, 0, 0), reported(folder, 0, 1)]
    track([*events, search_ended(interrupted=True)])
    assert run_of(folder, 0).summary()["state"] == "interrupted"
    # The engine loads the stages of the rows on disk and reports them once more.
    track([started(folder), *whole_trial(folder, 0), search_ended()])
    run = run_of(folder, 0)
    assert len(run.files) == 2
    assert len({start.run_id for start in run.starts()}) == 1
    assert increments(run) == [0, 1, 2, 3]
    assert run.rows()[3]["accuracy_matrix"] == MATRIX
    assert run.summary()["state"] == "finished"
    assert "interrupted" not in run.starts()[-1].tags


def test_row_on_disk_that_was_never_reported_is_logged_when_the_trial_is_taken_up(folder: SearchFolder) -> None:
    folder.trial(0).add_row(row(0, 0))
    folder.trial(0).add_row(row(0, 1))
    track([started(folder), trial_started(folder, 0), reported(folder, 0, 2)])
    assert increments(run_of(folder, 0)) == [0, 1, 2]


def test_trial_that_ended_unseen_is_shown_when_the_search_goes_on(folder: SearchFolder) -> None:
    write_yaml(folder.trial(4).config, run_config(lr=5e-3))
    for t in range(2):
        folder.trial(4).add_row(row(4, t))
    ended = TrialSummary(trial=4, state="stopped", increment=1, value=0.8, reason="5th of 6")
    again = SearchStarted(started(folder).record, folder, planned=8, resumed=1, earlier=(ended,))
    track([again])
    track([again])
    run = run_of(folder, 4)
    assert len(run.files) == 1
    assert increments(run) == [0, 1]
    assert run.summary()["state"] == "stopped"
    assert run.config()["increment.classifier.lr"] == 5e-3


@pytest.mark.parametrize("seconds_before_the_kill", [0.2, 2.5])
def test_killed_driver_leaves_no_row_out_and_doubles_none(folder: SearchFolder, seconds_before_the_kill: float) -> None:
    """W&B flushes every second: the first kill comes before the rows are in its file, the second after."""
    script = f"""
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(tracking_fixtures.__file__).parent)!r})
from tracking_fixtures import *
from tune_cl.records import SearchFolder
from tune_cl.wandb import WandbTracker
folder = SearchFolder(Path({str(folder.path)!r}))
tracker = WandbTracker("offline")
for event in [started(folder), trial_started(folder, 0), reported(folder, 0, 0), reported(folder, 0, 1)]:
    tracker.handle(event)
while not list(folder.wandb.rglob("*.wandb")):
    time.sleep(0.01)
time.sleep({seconds_before_the_kill})
os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) as killed:
        assert killed.wait(60) == -9, killed.stderr and killed.stderr.read()
    wait_until(lambda: not has_service(killed.pid), 60, "W&B's service has noticed")
    track([started(folder), *whole_trial(folder, 0)])
    assert sorted(increments(run_of(folder, 0))) == [0, 1, 2, 3]


def has_service(pid: int) -> bool:
    """Whether W&B's service for a process is still there, which may be writing what it has of its runs."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # gone meanwhile
            if f"\0--pid\0{pid}\0".encode() in command.read_bytes():
                return True
    return False


def test_run_ids_are_stable_within_a_search_and_differ_between_searches(tmp_path: Path) -> None:
    ids = []
    for place in ("a", "b", "b"):
        folder = SearchFolder(tmp_path / place / NAME)
        track([started(folder), trial_started(folder, 0), trial_started(folder, 1)])
        ids.append([json.loads((folder.trial(k).path / "wandb.json").read_text())["shown"]["run_id"] for k in (0, 1)])
    assert ids[1] == ids[2]
    assert len({*ids[0], *ids[1]}) == 4


def test_no_secret_and_no_host_name_in_any_file(folder: SearchFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "5ec2e7" * 6 + "abcd"
    monkeypatch.setenv("WANDB_API_KEY", secret)
    track([started(folder), *whole_trial(folder, 0)])
    files = [file for file in folder.path.rglob("*") if file.is_file()]
    assert any(file.suffix == ".wandb" for file in files)
    for file in files:
        assert secret.encode() not in file.read_bytes(), file
    assert all(start.host == "" for start in run_of(folder, 0).starts())


def test_rows_larger_than_a_block_of_the_log_are_read_back(folder: SearchFolder) -> None:
    """Losses enough for 100 KiB a row: the records span several 32 KiB blocks of W&B's file."""
    events, rows = [started(folder), trial_started(folder, 0)], []
    for t in range(3):
        event = reported(folder, 0, t)
        losses = {f"classifier/term-{k:05d}": k + t / 10 for k in range(2000)}
        rows.append(event.row.model_copy(update={"losses": losses}))
        events.append(type(event)(0, rows[-1], event.value, event.folder))
    write_atomically(folder.trial(0).increments, "".join(row.model_dump_json() + "\n" for row in rows))
    track(events)
    logged_rows = run_of(folder, 0).rows()
    assert [logged["losses/classifier/term-01999"] for logged in logged_rows] == [1999.0, 1999.1, 1999.2]


def test_damaged_picture_costs_no_row_of_a_trial_that_is_taken_up(folder: SearchFolder) -> None:
    for t in range(3):
        reported(folder, 0, t)
    folder.trial(0).replay_grid(0).write_bytes(b"not a picture")
    said = track([started(folder), trial_started(folder, 0)])
    assert len(said) == 1
    assert increments(run_of(folder, 0)) == [0, 1, 2]
