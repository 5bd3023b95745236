"""A search on a Ray cluster of two nodes equals the search on one machine."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from search_cli import (
    CHEAP,
    comparable,
    configurations_of,
    end_group,
    environment,
    rows_of,
    search,
    start,
    states_of,
    wait_until,
)

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
RAY = Path(sys.executable).with_name("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[str, dict[str, str]]]:
    """Two nodes of one CPU each, with token authentication; yields the address and the environment to reach it."""
    place = Path(tempfile.mkdtemp(prefix="ray-"))  # short, for Ray's socket names
    env = environment(HOME=str(place), RAY_AUTH_MODE="token", RAY_USAGE_STATS_ENABLED="0")
    subprocess.run([RAY, "get-auth-token", "--generate"], env=env, check=True, capture_output=True, timeout=60)
    address = f"127.0.0.1:{free_port()}"
    shared = ["--num-cpus=1", "--node-ip-address=127.0.0.1", "--object-store-memory=200000000", "--block"]
    head = ["--head", f"--port={address.split(':')[1]}", "--include-dashboard=false"]
    nodes = []
    try:
        nodes.append(start([RAY, "start", *head, f"--temp-dir={place}/head", *shared], place / "head.log", env=env))
        wait_until(lambda: answers(address), 60, f"the head answers ({place}/head.log)")
        second = ["start", f"--address={address}", f"--temp-dir={place}/second", *shared]
        nodes.append(start([RAY, *second], place / "second.log", env=env))
        wait_until(lambda: n_alive(address, env) == 2, 90, "two nodes are there")
        yield address, env
    finally:
        for node in reversed(nodes):
            end_group(node)
        shutil.rmtree(place, ignore_errors=True)


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
    cluster: tuple[str, dict[str, str]], one_machine: SearchFolder, tmp_path: Path
) -> None:
    address, env = cluster
    done = search(*OPTIONS, "--address", address, "--results", tmp_path / "results", env=env)
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


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(address: str) -> bool:
    """Whether somebody listens there."""
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def n_alive(address: str, env: dict[str, str]) -> int:
    """Nodes of the cluster, counted by a process of its own, since Ray reads the token once per process."""
    count = (
        "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR');"
        "print(sum(node['Alive'] for node in ray.nodes()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", count, address], env=env, capture_output=True, text=True, timeout=90, check=False
    )
    return int(done.stdout.split()[-1]) if done.returncode == 0 else 0
