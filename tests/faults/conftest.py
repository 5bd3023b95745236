"""Runs what nothing disturbs once, and says how much of the grid passed."""

from collections.abc import Iterator

import pytest
from chain_runs import ChainServer, Uninterrupted, run_uninterrupted
from grid import CASES
from installed_wheel import OneMachine
from search_runs import Undisturbed

_OUTCOMES = pytest.StashKey[dict[str, str]]()


@pytest.fixture(scope="session")
def server() -> Iterator[ChainServer]:
    server = ChainServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def whole(server: ChainServer, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """The chain's uninterrupted run from an empty store."""
    return run_uninterrupted(server, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def undisturbed(one_machine: OneMachine) -> Undisturbed:
    """The same search in another package, two trials at a time, from an empty store."""
    assert one_machine.done.returncode == 0, one_machine.done.stdout + one_machine.done.stderr
    return Undisturbed.of(one_machine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note how each case of the grid ends: in its setup, where it is skipped, or in its call."""
    report = yield
    case = getattr(item, "callspec", None) and item.callspec.params.get("case")
    if case in CASES and (report.when == "call" or report.outcome != "passed"):
        outcomes = item.config.stash.setdefault(_OUTCOMES, {})
        if outcomes.get(str(case)) != "failed":
            outcomes[str(case)] = report.outcome
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many of the cases that ran passed."""
    outcomes = list(terminalreporter.config.stash.get(_OUTCOMES, {}).values())
    if outcomes:
        skipped = f", {outcomes.count('skipped')} skipped" if "skipped" in outcomes else ""
        passed = f"{outcomes.count('passed')} of {len(outcomes)} passed{skipped}"
        terminalreporter.write_line(f"fault grid: {passed} ({len(CASES)} in all)")
