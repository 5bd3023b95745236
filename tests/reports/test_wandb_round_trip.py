"""What tracking sends to a W&B server is read back as the same search; a comparison is published there."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_searches import write_search
from test_comparison_page import PLOTS, evaluated
from test_wandb_search import comparable
from wandb_server import Request, WandbServer

from tune_cl.cli.main import main
from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder, SearchRecord, Summary, read_record
from tune_cl.reports import publish, read_remote, read_search
from tune_cl.tracking import SearchStarted
from tune_cl.wandb import WandbTracker


def send(folder: SearchFolder) -> None:
    """Have tracking make a run of each trial."""
    record, summary = read_record(folder.search, SearchRecord), read_record(folder.summary, Summary)
    complaints: list[str] = []
    tracker = WandbTracker(project="p", report=complaints.append)
    tracker.handle(SearchStarted(record, folder, planned=record.trials, resumed=0, earlier=tuple(summary.table)))
    tracker.close(timeout=120)
    assert complaints == []


def test_search_of_the_server_is_that_of_the_folder(server: WandbServer, tmp_path: Path) -> None:
    folder = write_search(tmp_path / "s", {0: 0.5, 1: 0.7}, stopped={2: 0.9})
    send(folder)
    assert comparable(read_remote("wandb://tester/p/s")) == comparable(read_search(folder))
    server.runs["e"] = replace(server.run_named("s-0000"), name="e", job_type="evaluation")  # of the same group
    assert len(read_remote("wandb://tester/p/s").trials) == 3
    for run in server.runs.values():
        run.group, run.sweep = None, "abc123"
    assert comparable(read_remote("wandb://tester/p/abc123")) | {"name": "s"} == comparable(read_search(folder))
    with pytest.raises(TuneCLError, match="no group and no sweep 'other'"):
        read_remote("wandb://tester/p/other")
    assert server.unknown == []


def test_a_key_that_is_not_accepted_is_said_in_a_sentence(server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with pytest.raises(TuneCLError, match="does not accept the credentials"):
        read_remote("wandb://tester/p/s")


def test_comparison_is_published_as_one_run(server: WandbServer, tmp_path: Path) -> None:
    line = publish(evaluated(tmp_path), None, "p", None, tmp_path / "comparisons")
    [run] = server.runs.values()
    assert run.job_type == "comparison" and run.state == "finished"
    assert run.summary["lwf/value"] == pytest.approx(0.6)
    [row] = run.history
    assert {f"plots/{name}" for name in PLOTS} | {"tables/best", "page"} <= set(row)
    assert any(name.endswith(".html") for name in run.files)
    assert line.startswith("W&B: published as ")


def test_comparison_that_the_server_took_too_long_for_is_completed_in_the_same_run(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes the run and its tables, and then no row of it."""

    def refuse_rows(request: Request) -> None:
        server.fault = 503 if "file_stream" in request.path else None

    search = write_search(tmp_path / "s", {0: 0.5, 1: 0.7})
    command = ["compare", str(search.path), "--results", str(tmp_path), "--wandb", "--wandb-project", "p"]
    server.before = refuse_rows
    with monkeypatch.context() as impatient:
        impatient.setattr("tune_cl.wandb._settings._FINISH_SECONDS", 1.0)
        assert main(command) == 1
    told = capsys.readouterr().err
    assert "not take all of the comparison in time" in told and told.count("\n") == 1
    server.before, server.fault = None, None
    assert main(command) == 0
    [run] = server.runs.values()
    assert run.state == "finished" and "tables/best" in run.history[-1]


def test_server_that_says_nothing_does_not_keep_the_command_from_ending(server: WandbServer, tmp_path: Path) -> None:
    search = write_search(tmp_path / "s", {0: 0.5, 1: 0.7})
    server.fault = "stall"
    script = f"""
import sys
from tune_cl.cli.main import main
from tune_cl.wandb import _settings as _wandb_settings
_wandb_settings._INIT_SECONDS = 2.0
sys.exit(main(["compare", {str(search.path)!r}, "--results", {str(tmp_path)!r}, "--wandb"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "W&B did not take the comparison" in done.stderr
