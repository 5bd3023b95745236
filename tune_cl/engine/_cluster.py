"""Starting Ray on this machine, or connecting to a cluster, and what its machines offer."""

import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import ray
import torch

from tune_cl.errors import TuneCLError
from tune_cl.options import PORTS

# Read by Ray at its start. Our folders are the record: Ray writes no logs of its own about trials, sends no usage
# statistics, and leaves signals to us.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class Resources:
    """What one trial takes, and how many run at a time."""

    cpus: int
    gpus: float
    concurrency: int

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """The torch device kind of a trial."""
        return "cuda" if self.gpus else "cpu"


@contextmanager
def cluster(address: str | None) -> Iterator[list[dict[str, float]]]:
    """Start Ray here or connect to a cluster; yields the resources of each node.

    Without an address, a Ray that this process is connected to already is used, and stays up.

    Ray started here has no dashboard. Its own ports listen on all interfaces whatever address it is given; they are
    guarded by the token that Ray makes for the user (`~/.ray/auth_token`), unless RAY_AUTH_MODE says otherwise.

    Raises:
        TuneCLError: there is no cluster at the address, or this process is connected to another one.
    """
    with _environment():
        nodes = joined()
        if nodes is None:
            yield from _connected(address)
            return
        if address is not None:
            raise TuneCLError(
                f"--address {address}: this process is connected to a Ray already; leave the address out to run there, "
                "or call ray.shutdown() first"
            )
        yield nodes


def joined() -> list[dict[str, float]] | None:
    """The resources of each node of the Ray that this process is connected to; None without one."""
    return _nodes() if ray.is_initialized() else None


def _nodes() -> list[dict[str, float]]:
    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def _connected(address: str | None) -> Iterator[list[dict[str, float]]]:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        here = local_resources()[0]
        ray.init(
            address="local", include_dashboard=False, num_cpus=int(here["CPU"]), num_gpus=int(here["GPU"]), **quiet
        )
    else:
        try:
            _knock(address)
        except OSError as error:
            raise _no_cluster(address, error) from None
        try:
            ray.init(address=address, **quiet)
        except (OSError, ValueError, RuntimeError, ray.exceptions.AuthenticationError) as error:
            raise _not_joined(address, error) from None
    try:
        yield _nodes()
    finally:
        ray.shutdown()


def _no_cluster(address: str, error: Exception) -> TuneCLError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return TuneCLError(
        f"--address {address}: no Ray cluster can be reached there ({reason}); start one: `ray start --head`"
    )


def _not_joined(address: str, error: Exception) -> TuneCLError:
    """Why Ray does not take this process in, though somebody may listen at the address."""
    if "ersion mismatch" in str(error):
        found = [f"{name} {version}" for name, version in re.findall(r"\b(Ray|Python): (\S+)", str(error))]
        there, here = " on ".join(found[:2]), " on ".join(found[2:])
        return TuneCLError(
            f"--address {address}: the cluster runs {there}, and this process {here}; have the same on all"
        )
    token = "have the cluster's token in ~/.ray/auth_token, or name another file of it by RAY_AUTH_TOKEN_PATH"
    if isinstance(error, ray.exceptions.AuthenticationError):
        return TuneCLError(f"--address {address}: RAY_AUTH_MODE is token, but there is no token here; {token}")
    if isinstance(error, ConnectionError) and _is_host_and_port(address):  # it answered the knock
        return TuneCLError(
            f"--address {address}: what listens there does not take this process in; if the cluster asks for a token, "
            f"set RAY_AUTH_MODE=token and {token}; see also that it is a Ray cluster's port, 6379 unless told otherwise"
        )
    return _no_cluster(address, error)


@contextmanager
def _environment() -> Iterator[None]:
    """Set what Ray reads, where the user has not set it, and put everything back at the end."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith(("RAY_", "TUNE_"))]:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if name.startswith(("RAY_", "TUNE_"))})


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at host:port: Ray would try for minutes and then end the process."""
    if _is_host_and_port(address):
        host, _, port = address.rpartition(":")
        socket.create_connection((host, PORTS.read(port, f"--address {address}: port")), timeout=5).close()


def _is_host_and_port(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and "://" not in address


def local_resources() -> list[dict[str, float]]:
    """What Ray started here offers: the CPUs that this process may use (affinity, container quota) and all GPUs."""
    return [{"CPU": float(_usable_cpus()), "GPU": float(torch.cuda.device_count())}]


def _usable_cpus() -> int:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no control group, or one without a quota ("max")
        return allowed


def share_out(
    nodes: Sequence[Mapping[str, float]], cpus: int | None, gpus: float | None, concurrency: int | None, where: str
) -> Resources:
    """Divide what there is among trials: a GPU each where there are any, else one core each.

    Args:
        nodes: "CPU" and "GPU" of each node; a trial runs within one.
        cpus: asked for per trial, None for 1.
        gpus: asked for per trial (a fraction shares one), None for 1 where there are any.
        concurrency: most trials at a time, None for as many as fit.
        where: what offers the resources, for messages.

    Raises:
        TuneCLError: not one trial fits on any node.
    """
    n_cpus, n_gpus = (max((node.get(kind, 0.0) for node in nodes), default=0.0) for kind in ("CPU", "GPU"))
    on_a_node = where if len(nodes) == 1 else f"no node of {where} has that many; the largest"
    cpus = cpus or 1
    gpus = gpus if gpus is not None else (1.0 if n_gpus else 0.0)
    if gpus > n_gpus:
        raise TuneCLError(
            f"--gpus-per-trial {gpus:g}: {on_a_node} has {n_gpus:g} GPUs; leave the option out to run on "
            f"{'those there are' if n_gpus else 'the CPU'}"
        )
    if cpus > n_cpus:
        raise TuneCLError(f"--cpus-per-trial {cpus}: {on_a_node} has {n_cpus:g} CPUs; ask for at most that many")
    fit = sum(_fitting(node, cpus, gpus) for node in nodes)
    if not fit:
        raise TuneCLError(
            f"--cpus-per-trial {cpus}, --gpus-per-trial {gpus:g}: no node of {where} has both; ask for less of one"
        )
    return Resources(cpus, gpus, min(fit, concurrency or fit))


def _fitting(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    """How many trials run on a node at a time; a fraction of a GPU lies on one GPU."""
    by_cpu = int(node.get("CPU", 0.0) // cpus)
    if not gpus:
        return by_cpu
    n_gpus = node.get("GPU", 0.0)
    by_gpu = int(n_gpus // gpus) if gpus >= 1 else int(n_gpus) * int(1 / gpus + 1e-9)
    return min(by_cpu, by_gpu)
