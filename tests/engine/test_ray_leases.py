"""Leases in a cluster: one actor hands them out, and frees them once their holder is dead."""

import os
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray

from tune_cl.engine import cluster
from tune_cl.engine._leases import RayLeases, start_coordinator
from tune_cl.store import FileLeases

pytestmark = pytest.mark.ray


class _Worker:
    """As `ChainTrainable` does it: busy inside one call while it holds leases."""

    def __init__(self, coordinator: Any, path: Path, cluster_name: str) -> None:
        self._leases = RayLeases(coordinator, path, cluster_name)
        self._held: dict[str, Any] = {}

    def pid(self) -> int:
        """The process's number."""
        return os.getpid()

    def take(self, key: str) -> bool:
        """Try to get a lease."""
        lease = self._leases.take(key)
        if lease is not None:
            self._held[key] = lease
        return lease is not None

    def take_and_stay(self, key: str, seconds: float, there: Path) -> bool:
        """Hold a lease within one call."""
        lease = self._leases.take(key)
        assert lease is not None
        with lease:
            there.touch()
            time.sleep(seconds)
        return True

    def give_back(self, key: str) -> None:
        """Let it go."""
        self._held.pop(key).__exit__()


@dataclass(frozen=True)
class Workers:
    """Two workers of one cluster, and two of another that share the folder of lease files; none dies here."""

    coordinator: Any
    one: Any
    two: Any
    other_coordinator: Any
    stranger: Any
    other_stranger: Any


@pytest.fixture(scope="module")
def leases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("leases")


@pytest.fixture(scope="module")
def workers(leases: Path) -> Iterator[Workers]:
    """All are started at once, which takes less time than one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where workers find this file
        with cluster(None):
            coordinator, other = start_coordinator(), start_coordinator()
            one, two = worker(coordinator, leases), worker(coordinator, leases)
            yield Workers(coordinator, one, two, other, worker(other, leases, "other"), worker(other, leases, "other"))


@pytest.fixture
def key() -> str:
    """A key of this test's own: the workers are shared, and may still hold what they took in the tests before."""
    return new_key()


def new_key() -> str:
    return uuid.uuid4().hex * 2


def worker(coordinator: Any, path: Path, name: str = "c") -> Any:
    return ray.remote(num_cpus=0)(_Worker).remote(coordinator, path, name)


def wait_for(path: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)


def wait_until_free(coordinator: Any, key: str) -> None:
    deadline = time.monotonic() + 10
    while key in ray.get(coordinator.leases.remote()):
        assert time.monotonic() < deadline, "the coordinator still has it as held"
        time.sleep(0.02)


def process_of(coordinator: Any) -> int:
    return int(ray.get(coordinator.__ray_call__.remote(lambda self: os.getpid())))


def wait_until_started_again(coordinator: Any, process: int) -> None:
    """The old process may answer for a while: it is not killed at once."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if process_of(coordinator) != process:
                return
        except ray.exceptions.RayError:
            pass
        time.sleep(0.1)
    raise AssertionError("it was not started again")


def wait_until_leased(coordinator: Any, key: str) -> None:
    deadline = time.monotonic() + 30
    while key not in ray.get(coordinator.leases.remote()):
        assert time.monotonic() < deadline, "the coordinator has not heard of it"
        time.sleep(0.02)


def seconds_until_taken(one: Any, key: str, limit: float) -> float:
    began = time.monotonic()
    while not ray.get(one.take.remote(key)):
        assert time.monotonic() - began < limit, "the lease was not freed"
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.slow
def test_of_two_workers_one_gets_a_lease_until_it_gives_it_back(workers: Workers, key: str) -> None:
    one, two = workers.one, workers.two
    assert ray.get(one.take.remote(key))
    assert not ray.get(two.take.remote(key))
    assert ray.get(two.take.remote(new_key()))
    ray.get(one.give_back.remote(key))
    seconds_until_taken(two, key, limit=5)
    assert not ray.get(one.take.remote(key))


@pytest.mark.parametrize("death", ["SIGKILL", "ray.kill"])
def test_the_lease_of_a_worker_that_dies_while_it_trains_is_free_at_once(
    workers: Workers, leases: Path, tmp_path: Path, key: str, death: str
) -> None:
    """Much sooner than its file, as one of another machine, would go stale (60 s)."""
    one, two = worker(workers.coordinator, leases), workers.two
    pid = ray.get(one.pid.remote())
    one.take_and_stay.remote(key, 600.0, tmp_path / "there")
    wait_for(tmp_path / "there")
    assert not ray.get(two.take.remote(key))
    make_foreign(leases / key)
    if death == "SIGKILL":
        os.kill(pid, 9)
    else:
        ray.kill(one)
    assert seconds_until_taken(two, key, limit=30) < 30


def test_a_worker_that_is_between_two_increments_keeps_its_lease(workers: Workers, key: str) -> None:
    """Its death alone frees it."""
    assert ray.get(workers.one.take.remote(key))
    time.sleep(2.5)
    assert not ray.get(workers.two.take.remote(key))
    assert key in ray.get(workers.coordinator.leases.remote())


def test_the_coordinator_imports_neither_torch_nor_the_engine(workers: Workers) -> None:
    """Also once it has heard of a worker: it is there in each search, and is to cost next to nothing."""
    assert ray.get(workers.one.take.remote(new_key()))
    loaded = set(ray.get(workers.coordinator.__ray_call__.remote(lambda self: list(sys.modules))))
    assert "tune_cl.coordinator" in loaded
    assert not loaded & {"torch", "optuna", "wandb", "pandas", "ray.tune", "tune_cl.engine", "tune_cl.store"}


def test_a_coordinator_that_was_started_again_hands_out_leases_as_before(workers: Workers, tmp_path: Path) -> None:
    coordinator = start_coordinator()
    one, two, key = worker(coordinator, tmp_path), worker(coordinator, tmp_path), new_key()
    assert ray.get(one.take.remote(new_key()))
    process = process_of(coordinator)
    ray.kill(coordinator, no_restart=False)
    wait_until_started_again(coordinator, process)
    assert ray.get(one.take.remote(key))
    wait_until_leased(coordinator, key)
    assert not ray.get(two.take.remote(key))


def test_a_process_outside_the_cluster_is_respected_and_respects_it(workers: Workers, leases: Path, key: str) -> None:
    outside = FileLeases(leases).take(key)
    assert outside is not None
    assert not ray.get(workers.one.take.remote(key))
    wait_until_free(workers.coordinator, key)  # the coordinator took back what the file system refused
    outside.release()
    assert ray.get(workers.one.take.remote(key))
    assert FileLeases(leases).take(key) is None


def test_another_clusters_worker_is_respected(workers: Workers, key: str) -> None:
    assert ray.get(workers.one.take.remote(key))
    assert not ray.get(workers.stranger.take.remote(key))
    wait_until_free(workers.other_coordinator, key)  # it had been free there: the file system refused it


def test_without_the_coordinator_the_files_alone_decide(workers: Workers, key: str) -> None:
    """Its node is lost, say. The last test with the other cluster's coordinator, since it ends it."""
    assert ray.get(workers.stranger.take.remote(key))
    ray.kill(workers.other_coordinator)
    assert not ray.get(workers.other_stranger.take.remote(key)), "its file is there, and its holder lives"
    assert ray.get(workers.other_stranger.take.remote(new_key()))


def make_foreign(path: Path) -> None:
    """Make a lease file look as if its holder were on another machine, where nobody can look for its process."""
    text = path.read_text().replace('"machine": "', '"machine": "elsewhere-')
    path.write_text(text)
