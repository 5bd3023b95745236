"""A small search whose winner is evaluated, and that evaluation, undisturbed."""

import shutil
from pathlib import Path

import pytest
from evaluations import EVALUATION, SEARCH, WATCHER, Evaluated
from search_cli import LAUNCH, environment, run, search


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search, not evaluated; it is not to be changed (copy it)."""
    results = tmp_path_factory.mktemp("searched")
    done = search(*SEARCH, "--results", results, timeout=280)
    assert done.returncode == 0, done.stderr
    return results / "s"


@pytest.fixture(scope="session")
def evaluated(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """The same search, evaluated while every opening of a test file is watched from outside; not to be changed."""
    folder = Path(shutil.copytree(searched, tmp_path_factory.mktemp("evaluated") / "s"))
    log = folder.parent / "opened.txt"
    log.touch()
    watched = environment(PYTHONPATH=str(WATCHER), OPENED_TEST_FILES=str(log))
    done = run([LAUNCH / "evaluate.py", folder, *EVALUATION], env=watched, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return Evaluated(folder, done.stdout, log.read_text().splitlines())
