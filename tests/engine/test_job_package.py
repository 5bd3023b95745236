"""What travels with a job, and what a job looks for before it begins."""

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from search_cli import wait_until

from tune_cl.cli import _job
from tune_cl.engine import pack


def names(archive: Path) -> set[str]:
    return set(zipfile.ZipFile(archive).namelist())


def test_the_package_carries_code_data_and_spaces_and_nothing_that_lies_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is gathered from the package; the current folder, its results and its credentials have no part in it."""
    for name in ("results/s/search.json", "stages/ab/state.pt", ".git/config", ".venv/pyvenv.cfg", ".netrc", "data/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("not to travel")
    monkeypatch.chdir(tmp_path)
    pack(tmp_path / "job.zip", {"spaces/mine.yaml": tmp_path / "data/x"})
    inside = names(tmp_path / "job.zip")
    assert {"tune_cl/cli/main.py", "tune_cl/streams/data/fashion_train.npz", "tune_cl/spaces/genifer.yaml"} <= inside
    assert {"tune_cl/heldout/data/fashion_test.npz", "spaces/mine.yaml"} <= inside
    assert {name.split("/")[0].split("-")[0] for name in inside} == {"tune_cl", "spaces"}
    assert {Path(name).suffix for name in inside} == {".py", ".npz", ".md", ".yaml", ".typed", ".css", ".js", ""}
    assert not [name for name in inside if "__pycache__" in name or "/." in name]
    assert (tmp_path / "job.zip").stat().st_size < 20e6


def test_the_same_code_makes_the_same_package(tmp_path: Path) -> None:
    """Ray names a package by its bytes, and does not fetch what it has."""
    for name in ("a.zip", "b.zip"):
        pack(tmp_path / name, {"job.py": Path(_job.__file__)})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_an_unpacked_package_runs_a_command_without_an_installation(tmp_path: Path) -> None:
    pack(tmp_path / "job.zip", {"job.py": Path(_job.__file__)})
    zipfile.ZipFile(tmp_path / "job.zip").extractall(tmp_path / "folder")
    where = "import runpy, sys; sys.argv = ['job.py', 'search', '--lst']; runpy.run_path('job.py', run_name='__main__')"
    told = subprocess.run([sys.executable, "-c", where], cwd=tmp_path / "folder", capture_output=True, text=True)
    assert told.returncode == 2
    assert "unknown option --lst; did you mean '--list'" in told.stderr


def test_a_job_says_which_packages_the_cluster_lacks(tmp_path: Path) -> None:
    wanted = ["numpy>=1", "no-such-package>=2", "optuna>=99", "also-missing; extra == 'dev'"]
    metadata = tmp_path / "tune_cl-9.dist-info" / "METADATA"
    metadata.parent.mkdir()
    lines = ["Metadata-Version: 2.1", "Name: tune_cl", "Version: 9", *(f"Requires-Dist: {line}" for line in wanted)]
    metadata.write_text("\n".join(lines) + "\n")
    (tmp_path / "job.py").write_text(Path(_job.__file__).read_text())
    done = subprocess.run([sys.executable, "job.py", "search"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "lacks no-such-package, optuna>=99 (it has " in done.stderr
    assert "install them in the environment of every node" in done.stderr
    assert "numpy" not in done.stderr and "also-missing" not in done.stderr and "Traceback" not in done.stderr


# A search as Ray's stop finds it: it takes a moment to end, and has a service of its own that must outlive the signal.
SEARCH = """
import os, signal, subprocess, sys, threading
from tune_cl.cli._job import shielded

def search():
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    service = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(os.getpid(), flush=True)
    while not asked.wait(0.1):
        pass
    alive = service.poll() is None
    service.kill()
    return 130 if alive else 3

sys.exit(shielded(search))
"""


@pytest.fixture
def job() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A job's process, and the process id of its search."""
    with subprocess.Popen([sys.executable, "-c", SEARCH], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        search = int(process.stdout.readline())
        yield process, search
        for pid in (process.pid, search):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid, *(deeper for child in children for deeper in descendants(child))]


def test_a_stop_reaches_the_search_and_not_what_it_needs_to_end(job: tuple[subprocess.Popen[str], int]) -> None:
    process, search = job
    for pid in descendants(process.pid):
        os.kill(pid, signal.SIGTERM)
    assert process.wait(timeout=30) == 130
    assert not Path(f"/proc/{search}/cmdline").exists() or not Path(f"/proc/{search}/cmdline").read_bytes()


def test_a_killed_job_takes_its_search_along(job: tuple[subprocess.Popen[str], int]) -> None:
    process, search = job
    process.kill()
    command = Path(f"/proc/{search}/cmdline")
    wait_until(lambda: not command.exists() or not command.read_bytes(), 30, "the search has ended")
