"""A search, and its evaluation, each as one W&B run: written when it ends, brought up to date in the same run."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from made_searches import OBJECTIVE, RATE, SECONDS, evaluation, write_search, write_summary, write_trial
from wandb_records import OfflineRun, offline_runs
from wandb_server import WandbServer

import tune_cl
from tune_cl.records import SearchFolder, SearchRecord, Summary, read_record, write_json
from tune_cl.reports import overview
from tune_cl.tracking import SearchEnded, SearchStarted
from tune_cl.wandb import WandbEvaluation, WandbTracker

VALUES = {trial: 0.5 + 0.03 * trial for trial in range(8)}  # enough for an importance


def searched(path: Path, **changes: Any) -> SearchFolder:
    """A search with its winner's files and its page."""
    folder = write_search(path, VALUES, stopped={8: 0.9}, **changes)
    folder.best_config.write_text("method: lwf\n")
    folder.best.mkdir()
    folder.best_weights.write_bytes(b"weights")
    folder.page.write_text("<p>the page</p>")
    return folder


def end(folder: SearchFolder, mode: str = "offline", interrupted: bool = False) -> list[str]:
    """A session of a search that has nothing left to run; returns what was complained of."""
    record, summary = read_record(folder.search, SearchRecord), read_record(folder.summary, Summary)
    complaints: list[str] = []
    tracker = WandbTracker(mode, project="p", report=complaints.append, overview=overview)
    tracker.handle(SearchStarted(record, folder, planned=record.trials, resumed=0))
    tracker.handle(SearchEnded(summary, interrupted, []))
    tracker.close(timeout=300)
    sys.modules["wandb"].teardown()  # which waits until the file is whole
    return complaints


def table(run: OfflineRun, row: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A logged table, a dictionary per line."""
    (path,) = run.files[0].parent.rglob(Path(row[f"tables/{name}/path"]).name)
    content = json.loads(path.read_text())
    return [dict(zip(content["columns"], line, strict=True)) for line in content["data"]]


def test_search_that_ends_is_a_run_with_its_trials_its_importance_and_its_winner(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s")
    assert end(folder) == []
    [(name, run)] = offline_runs(folder.wandb).items()
    start = run.starts()[0]
    assert (name, start.job_type, start.run_group) == ("s", "search", "s")
    assert run.config()["ranges"] == {RATE: {"log": [1e-4, 1e-2]}}
    assert run.config()["versions"] == {"torch": "2.9.0"}
    summary = run.summary()
    assert (summary["best/trial"], summary[f"best/{RATE}"]) == (7, pytest.approx(8e-3))
    assert (summary["gain"], summary["default/value"]) == (pytest.approx(0.21), pytest.approx(0.5))
    assert summary["gain_within_noise"] is (summary["gain"] <= 2 * summary["gain_error"])
    [row] = run.rows()
    trials = table(run, row, "trials")
    assert [line["trial"] for line in trials] == list(range(9))
    assert trials[8] | {"state": "stopped", "value": 0.9, RATE: pytest.approx(9e-3)} == trials[8]
    assert trials[1]["seconds"] == 4 * SECONDS
    assert [line["best"] for line in table(run, row, "best_so_far")][-1] == pytest.approx(VALUES[7])
    assert table(run, row, "importance") == [{"parameter": RATE, "importance": 1.0}]
    drawn = {key.rsplit("/", 1)[0] for key in row}
    assert {"plots/expected", "plots/increments", "page", "best so far_table", "importance_table"} <= drawn
    assert run.artifacts()["s-best"] == ["best.yaml", "classifier.pt"]
    assert end(folder) == []
    assert len(offline_runs(folder.wandb)["s"].files) == 1  # nothing has changed


def test_search_that_is_interrupted_has_no_run_of_its_own_yet(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s")
    assert end(folder, interrupted=True) == []
    assert offline_runs(folder.wandb) == {}


def test_evaluation_that_ends_is_a_run_with_its_intervals(tmp_path: Path) -> None:
    chosen = {(1001, 0): 0.60, (1002, 0): 0.62, (1003, 0): 0.61}
    default = {place: value - 0.1 - 0.01 * i for i, (place, value) in enumerate(chosen.items())}
    folder = searched(tmp_path / "s", evaluation=evaluation(chosen, default, trial=7))
    shown = WandbEvaluation("offline", "p", None, read_record(folder.search, SearchRecord), folder, overview=overview)
    shown.ended()
    shown.close(timeout=300)
    sys.modules["wandb"].teardown()
    run = offline_runs(folder.evaluation.wandb)["s-evaluation"]
    assert (run.starts()[0].job_type, run.config()["test_fingerprint"]) == ("evaluation-summary", "f" * 64)
    metric, summary = OBJECTIVE.replace("val/", "test/"), run.summary()
    assert summary[f"chosen/{metric}"] == pytest.approx(0.61)
    assert summary[f"difference/{metric}/low"] < 0.11 < summary[f"difference/{metric}/high"]
    [row] = run.rows()
    assert len(table(run, row, "runs")) == 6
    assert "plots/test/_type" in row


def test_search_without_wandb_is_published_afterwards_and_again_when_it_has_gone_on(
    tmp_path: Path, server: WandbServer
) -> None:
    folder = searched(tmp_path / "s")
    with pytest.raises(tune_cl.TuneCLError, match="everything uploads it"):
        tune_cl.publish(folder.path)
    assert tune_cl.publish(folder.path, wandb_project="p", everything=True)
    assert len(server.runs) == 9 + 1
    run = server.run_named("s")
    assert (run.project, run.job_type, run.state, len(run.history)) == ("p", "search", "finished", 1)
    [weights] = [artifact for artifact in server.artifacts if artifact.kind == "model"]
    assert (weights.state, weights.files["classifier.pt"]) == ("COMMITTED", b"weights")
    requests = len(server.requests)
    assert tune_cl.publish(folder.path)
    assert len(server.requests) == requests

    write_trial(folder, 9, [0.9, 0.9, 0.9, 0.9])
    write_json(folder.search, read_record(folder.search, SearchRecord).model_copy(update={"trials": 10}))
    states = {**dict.fromkeys(VALUES, "finished"), 8: "stopped", 9: "finished"}
    write_summary(folder, states, {**VALUES, 8: 0.9, 9: 0.9})
    assert tune_cl.publish(folder.path)
    assert len(server.runs) == 9 + 1 + 1
    run = server.run_named("s")
    assert (len(run.history), run.summary["best/trial"]) == (2, 9)
    assert server.unknown == []


def test_search_whose_server_is_gone_at_its_end_is_kept_offline_and_brought_there_later(
    tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = searched(tmp_path / "s")
    server.fault = 503
    with monkeypatch.context() as impatient:
        impatient.setattr("tune_cl.wandb._settings._INIT_SECONDS", 2.0)
        [line] = end(folder, "online")
    assert "no answer from the server" in line and "kept offline" in line
    assert list(offline_runs(folder.wandb)) == ["s"]
    server.fault = None
    assert tune_cl.publish(folder.path, wandb_project="p")
    assert server.run_named("s").state == "finished" and len(server.runs) == 9 + 1
