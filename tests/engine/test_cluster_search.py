"""A search on a Ray cluster of two nodes equals the search on one machine."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from ray_nodes import TwoNodes, two_nodes
from search_cli import CHEAP, comparable, configurations_of, rows_of, search, states_of

from tune_cl.cli.main import main
from tune_cl.records import SearchFolder

# Trials of several seconds: the second node's worker is up before the first node has run them all.
LONGER = ("--set=increment.classifier.epochs=4", "--set=increment.generator.steps=10")
SMALL = (
    "--set=base.generator.steps=5",
    "--set=base.generator.channels=8",
    "--set=base.generator.discriminator_width=8",
)
OPTIONS = ("--space=genifer", *CHEAP, *LONGER, *SMALL, "--sampler=random", "--scheduler=none", "--trials=6", "--name=s")


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    """Two nodes of one CPU each, with token authentication."""
    with two_nodes(1, {}) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def one_machine(tmp_path_factory: pytest.TempPathFactory) -> SearchFolder:
    """The same search on Ray as it starts here, two trials at a time."""
    results = tmp_path_factory.mktemp("one") / "results"
    os.environ["WANDB_MODE"] = "disabled"
    assert main(["search", *OPTIONS, "--concurrency", "2", "--results", str(results)]) == 0
    return SearchFolder(results / "s")


def test_two_trials_at_once_train_a_shared_base_once(one_machine: SearchFolder) -> None:
    origins = [trial.rows()[0].stages[0].origin for trial in one_machine.trials().values()]
    assert origins.count("trained") == 1 and origins.count("reused") == 5


def test_search_on_two_nodes_equals_the_search_on_one_machine(
    cluster: TwoNodes, one_machine: SearchFolder, tmp_path: Path
) -> None:
    done = search(*OPTIONS, "--address", cluster.address, "--results", tmp_path / "results", env=cluster.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = SearchFolder(tmp_path / "results" / "s")
    rows = rows_of(folder)
    assert comparable(rows) == comparable(rows_of(one_machine))
    assert configurations_of(folder) == configurations_of(one_machine)
    assert states_of(folder) == states_of(one_machine) == ["finished"] * 6
    nodes = {number: {row.node for row in of_trial} for number, of_trial in rows.items()}
    assert all(len(names) == 1 for names in nodes.values()), "a trial stays on its node"
    assert len(set.union(*nodes.values())) == 2
    assert any(
        nodes[a] != nodes[b] and spans[a][0] < spans[b][1] and spans[b][0] < spans[a][1]
        for spans in [{number: span(trial.log) for number, trial in folder.trials().items()}]
        for a in nodes
        for b in nodes
    ), "two trials ran at a time on different nodes"


def span(log: Path) -> tuple[datetime, datetime]:
    """When a trial's first row came, and when it ended, as its log says."""
    times = [datetime.fromisoformat(line[:19]) for line in log.read_text().splitlines() if "started" not in line]
    return times[0], times[-1]
