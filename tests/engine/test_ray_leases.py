"""Leases in a cluster: one actor hands them out, and Ray's word that a holder is dead frees them."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from tune_cl.chain import FileLeases
from tune_cl.engine import cluster
from tune_cl.engine._leases import RayLeases, start_office

OTHER = "cd" * 32


class _Worker:
    """As `ChainTrainable` does it: busy inside one call while it holds leases, `pulse` waits behind that call."""

    def __init__(self, office: Any, path: Path, cluster_name: str) -> None:
        self._leases = RayLeases(office, path, cluster_name)
        self._held: dict[str, Any] = {}

    def pulse(self) -> None:
        """Answer when nothing else is going on."""

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


@pytest.fixture(scope="module")
def office() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where workers find this file
        with cluster(None):
            yield start_office()


@pytest.fixture
def key() -> str:
    """A key of this test's own: the office is shared, and the actors of the tests before may still hold theirs."""
    return uuid.uuid4().hex * 2


def worker(office: Any, path: Path, name: str = "c") -> Any:
    return ray.remote(num_cpus=0)(_Worker).remote(office, path, name)


def wait_for(path: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)


def wait_until_free(office: Any, key: str) -> None:
    deadline = time.monotonic() + 10
    while key in ray.get(office.held.remote()):
        assert time.monotonic() < deadline, "the office still has it as held"
        time.sleep(0.02)


def seconds_until_taken(one: Any, key: str, limit: float) -> float:
    began = time.monotonic()
    while not ray.get(one.take.remote(key)):
        assert time.monotonic() - began < limit, "the lease was not freed"
        time.sleep(0.05)
    return time.monotonic() - began


def test_of_two_workers_one_gets_a_lease_until_it_gives_it_back(office: Any, tmp_path: Path, key: str) -> None:
    one, two = worker(office, tmp_path), worker(office, tmp_path)
    assert ray.get(one.take.remote(key))
    assert not ray.get(two.take.remote(key))
    assert ray.get(two.take.remote(OTHER))
    ray.get(one.give_back.remote(key))
    seconds_until_taken(two, key, limit=5)
    assert not ray.get(one.take.remote(key))


@pytest.mark.parametrize("death", ["SIGKILL", "ray.kill"])
def test_the_lease_of_a_worker_that_dies_while_it_trains_is_free_at_once(
    office: Any, tmp_path: Path, key: str, death: str
) -> None:
    """Much sooner than its file, as one of another machine, would go stale (60 s)."""
    one, two = worker(office, tmp_path), worker(office, tmp_path)
    pid = ray.get(one.pid.remote())
    one.take_and_stay.remote(key, 600.0, tmp_path / "there")
    wait_for(tmp_path / "there")
    assert not ray.get(two.take.remote(key))
    make_foreign(tmp_path / key)
    if death == "SIGKILL":
        os.kill(pid, 9)
    else:
        ray.kill(one)
    assert seconds_until_taken(two, key, limit=30) < 30


def test_a_worker_that_is_between_two_increments_keeps_its_lease(office: Any, tmp_path: Path, key: str) -> None:
    """It answers the office's question at once, and the office asks again."""
    one, two = worker(office, tmp_path), worker(office, tmp_path)
    assert ray.get(one.take.remote(key))
    time.sleep(2.5)
    assert not ray.get(two.take.remote(key))
    assert key in ray.get(office.held.remote())


def test_a_process_outside_the_cluster_is_respected_and_respects_it(office: Any, tmp_path: Path, key: str) -> None:
    one = worker(office, tmp_path)
    outside = FileLeases(tmp_path).take(key)
    assert outside is not None
    assert not ray.get(one.take.remote(key))
    wait_until_free(office, key)  # the office took back what the file system refused
    outside.release()
    assert ray.get(one.take.remote(key))
    assert FileLeases(tmp_path).take(key) is None


def test_another_clusters_worker_is_respected(office: Any, tmp_path: Path, key: str) -> None:
    one, stranger = worker(office, tmp_path), worker(start_office(), tmp_path, "another")
    assert ray.get(one.take.remote(key))
    assert not ray.get(stranger.take.remote(key))


def test_without_the_office_the_files_alone_decide(tmp_path: Path) -> None:
    """Its node is lost, say. In a process of its own, since it ends its office."""
    code = f"""
import ray
from pathlib import Path
from test_ray_leases import OTHER, _Worker, worker
from tune_cl.engine import cluster
from tune_cl.engine._leases import start_office
with cluster(None):
    key, office = "ab" * 32, start_office()
    one, two = worker(office, Path({str(tmp_path)!r})), worker(office, Path({str(tmp_path)!r}))
    assert ray.get(one.take.remote(key))
    ray.kill(office)
    assert not ray.get(two.take.remote(key)), "its file is there, and its holder lives"
    assert ray.get(two.take.remote(OTHER))
"""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, env=env)
    assert done.returncode == 0, done.stderr[-2000:]


def make_foreign(path: Path) -> None:
    """Make a lease file look as if its holder were on another machine, where nobody can look for its process."""
    text = path.read_text().replace('"machine": "', '"machine": "elsewhere-')
    path.write_text(text)
