"""Whatever hits a search on Ray in a named moment, it ends as if nothing had happened."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_tools import damage, kill
from grid import DRIVER_KILLED, NODE_KILLED, STAGE_DAMAGED, WORKER_KILLED, Case, each
from ray_nodes import two_nodes
from search_cli import end_group, rows_of, wait_until
from search_runs import SearchRun, Undisturbed, with_wires
from tripwire import Moment, let_go, log_of, stretch
from wandb_records import offline_runs

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]
GONE = 90.0  # seconds within which the processes of a search whose driver was killed must be gone
# Two idle helpers of Ray's, which look for the cluster that they lost for a minute before they end.
RAYS_AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
AGENTS_GONE = 180.0


@pytest.fixture
def runs() -> Iterator[list[SearchRun]]:
    """The searches of a test; whatever is left of them at its end is ended."""
    runs: list[SearchRun] = []
    yield runs
    for run in runs:
        if run.process is not None:
            end_group(run.process)
        for pid in run.survivors():
            kill(pid)


@each(WORKER_KILLED)
def test_a_trial_whose_worker_is_killed_goes_on_in_another(
    case: Case, runs: list[SearchRun], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    run = SearchRun(tmp_path, case.moment)
    runs.append(run)
    driver = run.start()
    at = run.await_moment()
    before = run.published()
    assert at["pid"] != driver and is_worker(at["pid"])
    kill(at["pid"])
    run.end()
    assert_as_if_nothing_had_happened(run, undisturbed, at, before)


@each(STAGE_DAMAGED)
def test_a_stage_that_is_damaged_while_its_reader_is_killed_is_trained_again(
    case: Case, runs: list[SearchRun], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    run = SearchRun(tmp_path, case.moment)
    runs.append(run)
    run.start()
    at = run.await_moment()
    base = rows_of(run.folder)[1][0].stages[0].key
    before = run.published() - {base}
    damage(run.stages / base[:2] / base / "state.pt", "flipped")
    kill(at["pid"])
    run.end()
    assert_as_if_nothing_had_happened(run, undisturbed, at, before)
    assert [path.name.split("-")[0] for path in run.stages.glob("damaged/*")] == [base]


@each(DRIVER_KILLED)
def test_a_search_whose_driver_is_killed_leaves_no_process_and_the_same_command_goes_on(
    case: Case, runs: list[SearchRun], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    with_wandb = case.where == "between"
    home = tmp_path / "home"
    home.mkdir()
    changes = {"WANDB_MODE": "offline", "HOME": str(home)} if with_wandb else {}
    run = SearchRun(tmp_path, case.moment, changes=changes)
    runs.append(run)
    driver = run.start()
    at = run.await_moment()
    before = run.published()
    assert (at["pid"] == driver) == (case.where == "reporting")
    assert run.process is not None
    kill(driver)
    assert run.process.wait(timeout=10) == -9
    old = run.survivors()
    agents = {pid for pid, command in old.items() if command.startswith(RAYS_AGENTS)}
    await_end(set(old) - agents, GONE)
    run.start()
    run.end()
    assert_as_if_nothing_had_happened(run, undisturbed, at, before)
    if case.where == "classifier":
        await_end(agents, AGENTS_GONE)
    if with_wandb:
        reported = offline_runs(run.folder.wandb)
        assert reported.pop("s").starts()[0].job_type == "search"
        assert Counter(
            (name, row["increment"]) for name, wandb_run in reported.items() for row in wandb_run.rows()
        ) == Counter((f"s-{trial:04d}", increment) for trial in (0, 1) for increment in (0, 1, 2))


@each(NODE_KILLED)
def test_a_trial_whose_node_is_lost_goes_on_on_the_other(
    case: Case, runs: list[SearchRun], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """The wire lies on the second node alone; the first node's trial waits until somebody is there."""
    wires, on_first = tmp_path / "wires", tmp_path / "wires-of-the-first"
    stretch(on_first, Moment("phase", 1, "classifier", 1))
    with two_nodes(1, with_wires(on_first), on_second=with_wires(wires)) as nodes:
        options = ["--address", nodes.address]
        anywhere = dataclasses.replace(case.moment, trial=None)
        run = SearchRun(tmp_path, anywhere, options=options, changes=nodes.environment, watched=on_first)
        runs.append(run)
        run.start()
        at = run.await_moment()
        before = run.published()
        kill(nodes.second_raylet())
        await_end({at["pid"]}, GONE)  # with its node
        let_go(on_first)
        run.end()
    assert_as_if_nothing_had_happened(run, undisturbed, at, before)
    ran_on = [row.node.split("/")[1] for row in rows_of(run.folder)[at["trial"]]]
    assert ran_on[0] == at["node"][:8] and at["node"][:8] not in ran_on[1:]


def await_end(pids: set[int], seconds: float) -> None:
    """Wait until none of these processes is there."""
    wait_until(lambda: not any(is_running(pid) for pid in pids), seconds, f"none of {sorted(pids)} is there")


def is_running(pid: int) -> bool:
    """Whether a process is there, and not merely its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_worker(pid: int) -> bool:
    """Whether a process is a worker of Ray's that runs a trial."""
    name = Path(f"/proc/{pid}/cmdline").read_text()
    return name.startswith("ray::") and "Trainable" in name


def assert_as_if_nothing_had_happened(run: SearchRun, undisturbed: Undisturbed, at: dict, before: set[str]) -> None:
    """The fault hit in its moment; nothing published before was trained again; all is equal to the undisturbed search.

    Args:
        run: the search, at its end.
        undisturbed: what it is held to.
        at: the log's line of who was in the moment.
        before: keys that were published then, and sound.
    """
    assert [line["pid"] for line in log_of(run.wires, "reached")] == [at["pid"]]
    assert not log_of(run.wires, "left"), "nobody came through the moment"
    again = run.trained_after(at["time"])
    assert len(again) == len(set(again)) and before.isdisjoint(again)
    run.assert_equal(undisturbed)
