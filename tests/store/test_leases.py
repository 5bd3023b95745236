"""Leases: one key is trained once by many processes, and a dead holder stops nobody."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny_chains
from tiny_chains import chain_of, comparable, origins, rows_of, run_config

from tune_cl.chain import Progress
from tune_cl.store import FileLeases, Lease, LeaseTimes, StageStore
from tune_cl.store._process import this_process

SCRIPT = Path(tiny_chains.__file__)
KEY = "ab" * 32
HERE = "here"


def store_at(path: Path, stale: float = 60.0, beat: float = 0.0) -> StageStore:
    return StageStore(path, LeaseTimes(beat=beat, poll=0.05, stale=stale))


def lease_file(stages: Path) -> Path:
    return stages / "leases" / KEY


def held_by(stages: Path, host: str, pid: int, age: float = 0.0) -> None:
    """Leave the lease of some other holder, last renewed `age` seconds ago; on this machine: started when we were."""
    path = lease_file(stages)
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = {**this_process(), "pid": pid} if host == HERE else {"machine": host, "pid": pid, "started": 1}
    path.write_text(json.dumps({**holder, "time": time.time() - age}))
    os.utime(path, (time.time() - age, time.time() - age))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def taken(store: StageStore) -> Lease:
    lease = store.lease(KEY)
    assert lease is not None
    return lease


def test_a_lease_is_held_by_one_until_it_is_released(tmp_path):
    store = store_at(tmp_path)
    with taken(store):
        assert store.lease(KEY) is None
        assert store.lease("cd" * 32) is not None
    assert not lease_file(tmp_path).exists()
    taken(store)


def test_a_lease_says_who_holds_it(tmp_path):
    taken(store_at(tmp_path))
    holder = json.loads(lease_file(tmp_path).read_text())
    assert holder["machine"].startswith(socket.gethostname()) and holder["pid"] == os.getpid()
    assert abs(holder["time"] - time.time()) < 60


def test_a_lease_is_released_when_training_fails(tmp_path):
    store = store_at(tmp_path)
    with pytest.raises(KeyboardInterrupt), taken(store):
        raise KeyboardInterrupt
    taken(store)


def test_of_many_threads_one_gets_the_lease(tmp_path):
    store, gate, found = store_at(tmp_path), threading.Barrier(8), []

    def work() -> None:
        gate.wait()
        found.append(store.lease(KEY))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(lease is not None for lease in found) == 1


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_over_at_once(tmp_path):
    held_by(tmp_path, HERE, dead_pid())
    taken(store_at(tmp_path))


def test_the_lease_of_a_living_process_or_of_another_machine_is_respected_while_it_is_fresh(tmp_path):
    for host, pid in ((HERE, os.getpid()), ("elsewhere", dead_pid())):
        held_by(tmp_path, host, pid, age=5)
        assert store_at(tmp_path).lease(KEY) is None


def test_a_process_number_that_was_given_to_another_process_holds_nothing(tmp_path):
    """The holder died, and a process with its number has started since."""
    path = lease_file(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**this_process(), "started": 1}))
    taken(store_at(tmp_path))


def test_the_lease_of_a_member_of_the_same_cluster_is_taken_over_at_once(tmp_path):
    """Its members have excluded each other already, so that the file is one that a dead member left."""
    times = LeaseTimes(beat=0.0, poll=0.05, stale=60.0)
    assert FileLeases(tmp_path / "leases", times, cluster="c").take(KEY) is not None
    assert FileLeases(tmp_path / "leases", times, cluster="other").take(KEY) is None
    assert FileLeases(tmp_path / "leases", times).take(KEY) is None
    assert FileLeases(tmp_path / "leases", times, cluster="c").take(KEY) is not None


def test_a_lease_that_nobody_renewed_is_taken_over(tmp_path):
    held_by(tmp_path, "elsewhere", 1, age=61)
    taken(store_at(tmp_path))


def test_a_lease_that_is_still_being_written_is_respected_while_it_is_fresh(tmp_path):
    held_by(tmp_path, "elsewhere", 1)
    lease_file(tmp_path).write_text("")
    assert store_at(tmp_path).lease(KEY) is None
    os.utime(lease_file(tmp_path), (0, 0))
    taken(store_at(tmp_path))


def test_beats_renew_a_lease_but_not_more_often_than_they_should(tmp_path):
    for beat, renewed in ((0.0, True), (1000.0, False)):
        lease = taken(store_at(tmp_path / str(beat), beat=beat))
        os.utime(lease.path, (1000, 1000))
        lease.beat()
        assert (lease.path.stat().st_mtime > 1000) == renewed


def test_who_was_taken_over_neither_renews_nor_releases_the_new_holders_lease(tmp_path):
    lease = taken(store_at(tmp_path))
    held_by(tmp_path, "elsewhere", 1, age=30)
    before = lease_file(tmp_path).stat().st_mtime
    lease.beat()
    lease.release()
    assert lease_file(tmp_path).stat().st_mtime == before
    lease_file(tmp_path).unlink()
    lease.beat()
    lease.release()


def test_a_chain_releases_its_leases_and_beats_while_it_trains(tmp_path):
    ages: list[float] = []

    def look(progress: Progress) -> None:
        (path,) = (tmp_path / "leases").iterdir()
        ages.append(path.stat().st_mtime)
        os.utime(path, (1000, 1000))

    rows_of(chain_of(run_config("finetune", horizon=1), tmp_path, look, times=LeaseTimes(beat=0.0)))
    assert len(ages) > 3 and min(ages) > 1000
    assert list((tmp_path / "leases").iterdir()) == []


def test_a_chain_that_fails_releases_its_lease(tmp_path):
    def fail(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chain_of(run_config("finetune"), tmp_path, fail).advance()
    assert list((tmp_path / "leases").iterdir()) == [] and list((tmp_path / "drafts").glob("*")) == []


@contextmanager
def other_process(stages: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Another process on the same store, from its first training step on."""
    command = [sys.executable, str(SCRIPT), str(stages), "finetune", "--horizon", "1", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "started\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    return json.loads(process.stdout.read())


def test_two_processes_train_a_stage_once(tmp_path):
    """The other one is at the base task when this one comes: this one waits, and loads what the other published."""
    signs: list[Progress] = []
    stages, go = tmp_path / "stages", tmp_path / "go"

    def look(progress: Progress) -> None:
        signs.append(progress)
        go.touch()  # now that this one waits, the other goes on

    with other_process(stages, "--until", str(go)) as process:
        row = chain_of(run_config("finetune", horizon=1), stages, look).advance().row
        rows = result_of(process)["rows"]
    assert origins([row]) == ["reused"]
    assert rows[0]["stages"][0]["origin"] == "trained"
    assert rows[0]["stages"][0]["key"] == row.stages[0].key
    assert row.metrics["paid/images_trained"] == 0 and row.metrics["images_trained"] == 64
    assert signs and all(sign == Progress(0, "classifier", 0, 1, waiting=True) for sign in signs)


def test_a_killed_holder_is_taken_over(tmp_path):
    """SIGKILL in the middle of the base task: who waits sees that the holder is gone, and trains."""
    signs: list[Progress] = []
    with other_process(tmp_path, "--until", str(tmp_path / "never")) as process:

        def kill_it(progress: Progress) -> None:
            signs.append(progress)
            if len(signs) == 3:
                process.kill()
                process.wait()

        rows = rows_of(chain_of(run_config("finetune", horizon=1), tmp_path, kill_it))
    assert [sign.waiting for sign in signs[:4]] == [True, True, True, False]
    assert origins(rows) == ["trained"] * 2
    assert comparable(rows) == comparable(rows_of(chain_of(run_config("finetune", horizon=1), tmp_path / "alone")))


def test_a_holder_that_hangs_is_taken_over_and_two_holders_do_no_harm(tmp_path):
    """The other process lives but renews nothing: after `stale` seconds it counts as dead, and both train."""
    with other_process(tmp_path, "--until", str(tmp_path / "never")) as process:
        times = LeaseTimes(beat=0.0, poll=0.05, stale=1.0)
        row = chain_of(run_config("finetune", horizon=1), tmp_path, times=times).advance().row
        assert origins([row]) == ["trained"]
        process.kill()
    assert StageStore(tmp_path).load(row.stages[0].key) is not None
