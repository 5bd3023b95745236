"""Keeps the machine's W&B settings out, and runs the search that others are held to."""

import pytest
from search_cli import STEADY, Reference, environment, search


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A whole search through the real script, W&B offline; it is not to be changed (copy it)."""
    home = tmp_path_factory.mktemp("home")
    results = tmp_path_factory.mktemp("reference") / "results"
    env = environment(WANDB_MODE="offline", HOME=str(home))
    done = search(*STEADY, "--results", results, env=env, cwd=home)
    return Reference(STEADY, results, done)


@pytest.fixture(autouse=True)
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B is the subject of few tests here; those set their own environment."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
