"""The search that tests of several folders read: by the installed command, without test data, on one machine."""

import pytest
from installed_wheel import Installed, OneMachine, install, search_on_one_machine


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package from its wheel; it is not to be changed."""
    return install(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def one_machine(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> OneMachine:
    """A whole search by the installed command, without test data, its study in a database; not to be changed."""
    package = installed.without_test_data(tmp_path_factory.mktemp("no-test-data") / "site")
    return search_on_one_machine(package, tmp_path_factory.mktemp("one-machine"))
