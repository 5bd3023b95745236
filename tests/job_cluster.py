"""A cluster that takes jobs, on this machine, and `launch/submit.py` as a person runs it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray_nodes import TwoNodes, two_nodes
from search_cli import LAUNCH, run

SUBMIT = LAUNCH / "submit.py"


@contextmanager
def cluster_with_jobs(
    changes: Mapping[str, str] | None = None, second_by: Sequence[str | Path] = ()
) -> Iterator[TwoNodes]:
    """Two nodes of one CPU, whose Python is this one; see `two_nodes`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with two_nodes(1, {"PATH": path, **(changes or {})}, job_server=True, second_by=second_by) as cluster:
        yield cluster


def submit(cluster: TwoNodes, *words: str | Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run `launch/submit.py` against a cluster."""
    settings = {"env": cluster.environment, "timeout": 240, **settings}
    return run([SUBMIT, *words, f"--address={cluster.server}"], **settings)


def job_of(output: str) -> str:
    """The job's id, from what `submit` printed."""
    found = re.search(r"^Job (\S+) is submitted", output, re.MULTILINE)
    assert found is not None, output
    return found[1]
