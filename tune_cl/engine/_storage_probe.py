"""Whether all nodes of a cluster see the same folders: a file goes there and one comes back."""

import os
import socket
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_cl.engine._run import check_writable
from tune_cl.errors import TuneCLError

_TIMEOUT = 120.0  # seconds that a node gets to answer: it may have to fetch a job's code first
_PATIENCE = 10.0  # seconds until a file that a node has written must be seen here; file systems over a network lag
_REMEDY = "all nodes must see the same folder there: mount a shared file system on each, or name another with {option}"


def check_shared(folders: Mapping[str, Path]) -> None:
    """Have every node read a file of ours in each folder and write one that we read; nothing of it is left.

    Does nothing where this process is connected to no cluster, or to one of a single node.

    Args:
        folders: option that names a folder -> the folder; they exist.

    Raises:
        TuneCLError: a node does not see a folder, cannot write to it, or cannot load this package.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]] if ray.is_initialized() else []
    if len(nodes) < 2:
        return
    mark = f".probe-{uuid.uuid4().hex}"  # new, so that no node has in memory that it is not there
    paths = {option: folder.absolute() for option, folder in folders.items()}
    try:
        for option, path in paths.items():
            check_writable(path, option)
            (path / mark).write_text(mark)
        answers = [(_name(node), node, _ask(node["NodeID"], paths, mark)) for node in nodes]
        for name, node, answer in answers:
            _check(name, paths, mark, node["NodeID"], _answer(name, answer))
    finally:
        for path in paths.values():
            for left in path.glob(f"{mark}*"):
                left.unlink(missing_ok=True)


def check_seen(folder: Path, option: str) -> None:
    """Have every node look for a folder that is only read.

    Does nothing where this process is connected to no cluster, or to one of a single node.

    Args:
        folder: it is there on this machine.
        option: what names it.

    Raises:
        TuneCLError: a node does not see it, or cannot load this package.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]] if ray.is_initialized() else []
    if len(nodes) < 2:
        return
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = ray.remote(_unseen).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
        if _answer(_name(node), task.remote(str(folder.absolute()))):
            raise TuneCLError(
                f"{option} {folder}: node {_name(node)} sees no such folder; mount it at the same path on every node"
            )


def _unseen(folder: str) -> dict[str, str]:
    """On a node: the folder, if it is not there."""
    return {} if os.path.isdir(folder) else {folder: "no such folder"}


def _ask(node: str, paths: Mapping[str, Path], mark: str) -> "ray.ObjectRef[dict[str, str]]":
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(_look).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    return task.remote({option: str(path) for option, path in paths.items()}, mark, node)


def _look(paths: Mapping[str, str], mark: str, node: str) -> dict[str, str]:
    """On a node: option -> what is wrong with its folder there."""
    wrong = {}
    for option, path in paths.items():
        try:
            if (Path(path) / mark).read_text() != mark:
                wrong[option] = "another folder lies there"
            (Path(path) / f"{mark}-{node}").write_text(socket.gethostname())
        except FileNotFoundError:
            missing = "no such folder is there" if not Path(path).is_dir() else "a file written here is not seen there"
            wrong[option] = missing
        except OSError as error:
            wrong[option] = f"it cannot be read and written there: {error.strerror}"
    return wrong


def _answer(name: str, answer: "ray.ObjectRef[dict[str, str]]") -> dict[str, str]:
    try:
        wrong: dict[str, str] = ray.get(answer, timeout=_TIMEOUT)
    except ray.exceptions.GetTimeoutError:
        raise TuneCLError(f"node {name}: no answer within {_TIMEOUT:g} s; see `ray status`, and try again") from None
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "no reason given")
        raise TuneCLError(f"node {name}: cannot run a task of this search ({said}); mend that node") from None
    return wrong


def _check(name: str, paths: Mapping[str, Path], mark: str, node: str, wrong: Mapping[str, str]) -> None:
    for option, path in paths.items():
        reason = wrong.get(option)
        if reason is None and not _comes(path / f"{mark}-{node}"):
            reason = "a file written there is not seen here"
        if reason is not None:
            raise TuneCLError(
                f"{option} {path}: node {name} has another view ({reason}); {_REMEDY.format(option=option)}"
            )


def _comes(path: Path) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _name(node: Mapping[str, str]) -> str:
    return f"{node['NodeName']} ({node['NodeID'][:8]})"
