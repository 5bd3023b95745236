"""A W&B that knows nothing of the machine it runs on: each test of a folder whose conftest imports it gets one."""

import os
import sys
from collections.abc import Iterator

import pytest
from wandb_server import WandbServer


@pytest.fixture(autouse=True)
def own_wandb(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No credentials, no settings of the user's, and W&B's service gone after the test."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / ".netrc"))
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


@pytest.fixture
def server(own_wandb: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """A W&B server on this machine, with credentials for it in the environment."""
    with WandbServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
        assert server.unknown == []
