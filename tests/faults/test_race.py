"""Four workers on two nodes race through 100 stages of one store."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_tools import checksums, published
from race_worker import configurations, planned_keys
from ray_nodes import TwoNodes, two_nodes
from search_runs import HERE
from tiny_chains import chain_of, rows_of
from tripwire import log_of, stretch

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]
KILLS = 8


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Key -> checksum of the 100 stages, as one process trains them."""
    stages = tmp_path_factory.mktemp("reference") / "stages"
    for run in configurations():
        rows_of(chain_of(run, stages))
    return checksums(stages)


@pytest.fixture
def wires(tmp_path: Path) -> Path:
    """No wires, but a log of what is trained."""
    stretch(tmp_path / "wires")
    return tmp_path / "wires"


@pytest.fixture
def nodes(wires: Path) -> Iterator[TwoNodes]:
    paths = [HERE / "worker_path", HERE, HERE.parent / "chain"]
    changes = {"PYTHONPATH": ":".join(map(str, paths)), "FAULT_WIRES": str(wires)}
    with two_nodes(2, changes) as nodes:
        yield nodes


def race(nodes: TwoNodes, stages: Path, *options: str) -> dict:
    command = [sys.executable, HERE / "race.py", nodes.address, stages, stages.with_name("told.json"), *options]
    done = subprocess.run(command, env=nodes.environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(stages.with_name("told.json").read_text())


def test_each_stage_is_trained_once_while_nobody_dies(
    nodes: TwoNodes, wires: Path, reference: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = race(nodes, tmp_path / "stages")
    assert published(tmp_path / "stages") == planned_keys(tmp_path / "stages") and len(reference) == 100
    for event in ("began", "trained"):
        assert Counter(line["key"] for line in log_of(wires, event)) == Counter(dict.fromkeys(reference, 1))
    assert checksums(tmp_path / "stages") == reference
    assert sum(worker["trained"] for worker in told["workers"]) == 100
    by_node: Counter[str] = Counter()
    for node, worker in zip(told["nodes"], told["workers"], strict=True):
        by_node[node] += worker["trained"]
    assert len(by_node) == 2 and min(by_node.values()) > 0, "both nodes trained"
    with capsys.disabled():
        print("\nrace: " + "; ".join(describe(worker) for worker in told["workers"]))


def test_with_workers_killed_at_random_every_stage_ends_published_and_equal(
    nodes: TwoNodes, wires: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    told = race(nodes, tmp_path / "stages", f"--kills={KILLS}", "--pause=0.1")
    assert told["killed"] == KILLS
    assert checksums(tmp_path / "stages") == reference
    # At most the stage in flight of each killed worker was begun again.
    began = Counter(line["key"] for line in log_of(wires, "began"))
    assert set(began) == set(reference) and sum(began.values()) <= 100 + KILLS
    assert sum(times > 1 for times in began.values()) > 0, "a kill hit inside a phase"


def describe(worker: dict[str, float]) -> str:
    return f"{worker['trained']} stages in {worker['seconds']:.1f} s, {worker['idle_seconds']:.1f} s of them idle"
