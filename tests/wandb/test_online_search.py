"""Whole searches, as a person runs them, whose W&B is a server on this machine."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from search_cli import LAUNCH, STEADY, comparable, end_group, environment, rows_of, run, search, start, wait_until
from wandb_server import Fault, WandbServer

from tune_cl.records import IncrementRow, SearchFolder

pytestmark = [pytest.mark.ray, pytest.mark.slow]  # sessions without a search are in test_wandb_online.py

SEARCH = (*STEADY, "--scheduler", "none", "--wandb-sweep")


def options(results: Path, *more: str) -> list[str]:
    return [*SEARCH, "--results", str(results), *more]


def online(server: WandbServer, results: Path) -> dict[str, str]:
    """The environment of a search, with a home that knows no other W&B."""
    return environment(**server.environment, HOME=str(results.parent))


def rows_on(server: WandbServer, trial: int) -> list[dict[str, Any]]:
    return server.run_named(f"s-{trial:04d}").history


def assert_complete(server: WandbServer, folder: SearchFolder) -> None:
    """The server has every row of every trial once, in order, as it is on disk; each trial in the sweep and group."""
    (sweep,) = server.sweeps.values()
    assert len(server.runs) - 1 == len(rows_of(folder)) == 3
    assert server.run_named("s").job_type == "search"
    assert [artifact.state for artifact in server.artifacts if artifact.kind == "model"] == ["COMMITTED"]
    for trial, rows in rows_of(folder).items():
        run = server.run_named(f"s-{trial:04d}")
        assert (run.group, run.job_type, run.sweep) == ("s", "trial", sweep.name)
        assert run.state == "finished"
        assert run.summary["state"] == "finished"
        assert [line["increment"] for line in run.history] == [row.increment for row in rows] == [0, 1, 2, 3]
        assert [line["_step"] for line in run.history] == [0, 1, 2, 3]
        for line, row in zip(run.history, rows, strict=True):
            assert same_numbers(line, row)


def same_numbers(line: dict[str, Any], row: IncrementRow) -> bool:
    known = {name: value for name, value in row.metrics.items() if value is not None}
    return {name: line[name] for name in known} == pytest.approx(known)


def sync(folder: SearchFolder, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run([LAUNCH / "sync.py", folder.path], env=environment)


def files_with(secret: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_online_search_is_a_sweep_with_a_run_per_trial(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with WandbServer() as server:
        done = search(*options(results), env=online(server, results))
        assert done.returncode == 0, done.stderr
        folder = SearchFolder(results / "s")
        assert_complete(server, folder)
        (sweep,) = server.sweeps.values()
        assert yaml.safe_load(sweep.config)["parameters"]["increment.classifier.learning_rate"]["max"] == 1e-2
        assert server.unknown == []
        again = sync(folder, online(server, results))
        assert (again.returncode, "has everything already" in again.stdout) == (0, True)
        assert files_with(server.key, tmp_path) == []
        assert all(server.key.encode() not in request.body for request in server.requests)
        assert server.key not in done.stdout + done.stderr


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> SearchFolder:
    """The same search without W&B."""
    results = tmp_path_factory.mktemp("undisturbed") / "results"
    assert search(*options(results)).returncode == 0
    return SearchFolder(results / "s")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drop", "stall", 503])
def test_server_that_fails_in_mid_search_costs_nothing_that_sync_does_not_mend(
    fault: Fault, undisturbed: SearchFolder, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    with WandbServer() as server:
        process = start([LAUNCH / "search.py", *options(results)], tmp_path / "log", env=online(server, results))
        try:
            wait_until(lambda: len(server.runs) == 2, 120, "the second trial's run is open")
            server.fault = fault
            assert process.wait(timeout=180) == 0
        finally:
            end_group(process)
        folder, said = SearchFolder(results / "s"), (tmp_path / "log").read_text()
        assert comparable(rows_of(folder)) == comparable(rows_of(undisturbed))
        assert "launch/sync.py" in said
        assert "Traceback" not in said
        server.fault = None
        first = sync(folder, online(server, results))
        assert first.returncode == 0, first.stdout + first.stderr
        assert_complete(server, folder)
        requests = len(server.requests)
        assert sync(folder, online(server, results)).returncode == 0
        assert len(server.requests) == requests
        assert files_with(server.key, tmp_path) == []
