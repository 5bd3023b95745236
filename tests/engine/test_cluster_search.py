"""A search on a Ray cluster of two nodes equals the search on one machine, whose study is in a database."""

import sys
from pathlib import Path

import pytest
from installed_wheel import GENIFER, OneMachine
from ray_nodes import two_nodes
from search_cli import (
    LAUNCH,
    comparable,
    configurations_of,
    end_group,
    rows_of,
    start,
    states_of,
    wait_until,
)

from tune_cl.records import SearchFolder

sys.path.insert(0, str(Path(__file__).parent.parent / "faults"))

from fault_tools import await_moment
from search_runs import with_wires
from tripwire import Moment, let_go, stretch

pytestmark = pytest.mark.ray


def test_two_trials_at_once_train_a_shared_base_once(one_machine: OneMachine) -> None:
    origins = [trial.rows()[0].stages[0].origin for trial in one_machine.folder.trials().values()]
    assert sorted(origins) == ["reused", "reused", "trained"]


@pytest.mark.slow  # test_submission has two nodes, too
def test_search_on_two_nodes_equals_the_search_on_one_machine(one_machine: OneMachine, tmp_path: Path) -> None:
    """Trial 0 stays in its second increment until trial 1 has reported its first: so both nodes are used at a time."""
    wires, folder = tmp_path / "wires", SearchFolder(tmp_path / "results" / "s")
    stretch(wires, Moment("phase", 1, "classifier", 1, trial=0))
    with two_nodes(1, with_wires(wires)) as cluster:
        options = ("--trials=3", "--address", cluster.address, "--results", tmp_path / "results")
        process = start([LAUNCH / "search.py", *GENIFER, *options], tmp_path / "log", env=cluster.environment)
        try:
            await_moment(wires, 120, alive=lambda: process.poll() is None)
            wait_until(lambda: len(folder.trial(1).rows()) >= 1, 120, "trial 1 has begun")
            assert len(folder.trial(0).rows()) == 1, "two trials run at a time"
            let_go(wires)
            code = process.wait(timeout=120)
        finally:
            end_group(process)
    assert code == 0, (tmp_path / "log").read_text()
    rows = rows_of(folder)
    assert comparable(rows) == comparable(rows_of(one_machine.folder))
    assert configurations_of(folder) == configurations_of(one_machine.folder)
    assert states_of(folder) == states_of(one_machine.folder) == ["finished"] * 3
    nodes = {number: {row.node for row in of_trial} for number, of_trial in rows.items()}
    assert all(len(names) == 1 for names in nodes.values()), "a trial stays on its node"
    assert nodes[0] != nodes[1] and len(set.union(*nodes.values())) == 2
