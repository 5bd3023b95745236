"""How the suite runs on two cores, and the search that tests of several folders read."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from installed_wheel import Installed, OneMachine, install, search_on_one_machine
from search_cli import STEADY, Reference, environment, search
from xdist.scheduler import LoadScopeScheduling


def pytest_configure() -> None:
    """One thread of a test computes: the other core belongs to the tests beside it."""
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start Ray come first: they take longest."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "SearchOnce":
    """With `-n 3`: files are shared out one by one, but for those whose tests read the same search of minutes."""
    return SearchOnce(config, log)


class SearchOnce(LoadScopeScheduling):
    """Shares out files; those that read one search go to one worker, so that it is run once.

    Clusters run side by side: each has ports and folders of its own, and Ray is idle half of the time.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return search_of(self.config.rootpath / file) or file


@cache
def search_of(file: Path) -> str | None:
    """The search that a file's tests read; asked of each test when it is shared out and when it is done."""
    text = file.read_text()
    if file.parent.name == "evaluation" and ("searched" in text or "evaluated" in text):
        return "searched"
    return "one_machine" if any(word in text for word in ("one_machine", ": Reference", ": Undisturbed")) else None


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package from its wheel; it is not to be changed."""
    return install(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def one_machine(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> OneMachine:
    """A whole search by the installed command, without test data, its study in a database; not to be changed."""
    package = installed.without_test_data(tmp_path_factory.mktemp("no-test-data") / "site")
    return search_on_one_machine(package, tmp_path_factory.mktemp("one-machine"))


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A whole search through the real script, W&B offline; it is not to be changed (copy it)."""
    home = tmp_path_factory.mktemp("home")
    results = tmp_path_factory.mktemp("reference") / "results"
    env = environment(WANDB_MODE="offline", HOME=str(home))
    done = search(*STEADY, "--results", results, env=env, cwd=home)
    return Reference(STEADY, results, done)
