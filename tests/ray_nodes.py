"""Two Ray nodes on this machine, as `ray start` makes them, with token authentication."""

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from search_cli import end_group, environment, start, wait_until

RAY = Path(sys.executable).with_name("ray")


@dataclass(frozen=True)
class TwoNodes:
    """A cluster: where it is, and how to reach it."""

    address: str
    environment: dict[str, str]  # of a process that connects
    second: int  # process id of the second node's `ray start --block`
    server: str | None = None  # URL of the job server, where there is one

    @property
    def place(self) -> Path:
        """Where both nodes keep their logs, and the home with the token."""
        return Path(self.environment["HOME"])

    def second_raylet(self) -> int:
        """Process id of the second node's raylet."""
        (raylet,) = [pid for pid in _children(self.second) if "/raylet" in _command(pid).split("\0")[0]]
        return raylet


@contextmanager
def two_nodes(
    cpus: int,
    changes: Mapping[str, str],
    on_second: Mapping[str, str] | None = None,
    *,
    job_server: bool = False,
    second_by: Sequence[str | Path] = (),
) -> Iterator[TwoNodes]:
    """Start them; end both and all their processes at last.

    Args:
        cpus: of each node.
        changes: to the environment of both nodes and of who connects.
        on_second: further changes on the second node alone.
        job_server: whether the head takes jobs.
        second_by: a Python script, and its arguments, that starts the second node.
    """
    place = Path(tempfile.mkdtemp(prefix="ray-"))  # short, for Ray's socket names
    env = environment(HOME=str(place), RAY_AUTH_MODE="token", RAY_USAGE_STATS_ENABLED="0", **changes)
    subprocess.run([RAY, "get-auth-token", "--generate"], env=env, check=True, capture_output=True, timeout=120)
    address = f"127.0.0.1:{_free_port()}"
    shared = [f"--num-cpus={cpus}", "--node-ip-address=127.0.0.1", "--object-store-memory=200000000", "--block"]
    head = ["--head", f"--port={address.split(':')[1]}", f"--include-dashboard={str(job_server).lower()}"]
    server = f"127.0.0.1:{_free_port()}" if job_server else None
    if server:
        head += ["--dashboard-host=127.0.0.1", f"--dashboard-port={server.split(':')[1]}"]
        head += [f"--dashboard-agent-listen-port={_free_port()}"]  # Ray's own choice is one per machine
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        nodes.append(start([RAY, "start", *head, f"--temp-dir={place}/head", *shared], place / "head.log", env=env))
        wait_until(lambda: _answers(address), 90, f"the head answers ({place}/head.log)")
        second = [*second_by, RAY, "start", f"--address={address}", f"--temp-dir={place}/second", *shared]
        second += [f"--dashboard-agent-listen-port={_free_port()}"] if job_server else []
        nodes.append(start(second, place / "second.log", env={**env, **(on_second or {})}))
        wait_until(lambda: _n_alive(address, env) == 2, 120, "two nodes are there")
        if server:
            wait_until(lambda: _answers(server), 90, f"the job server answers ({place}/head.log)")
        yield TwoNodes(address, env, nodes[1].pid, server and f"http://{server}")
    finally:
        for node in reversed(nodes):
            end_group(node)
        shutil.rmtree(place, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _n_alive(address: str, env: dict[str, str]) -> int:
    """Nodes of the cluster, counted by a process of its own, since Ray reads the token once per process."""
    count = (
        "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR');"
        "print(sum(node['Alive'] for node in ray.nodes()))"
    )
    done = subprocess.run([sys.executable, "-c", count, address], env=env, capture_output=True, text=True, timeout=120)
    return int(done.stdout.split()[-1]) if done.returncode == 0 else 0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
