"""Each test gets a W&B that knows nothing of the machine it runs on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from own_wandb import own_wandb as own_wandb
from wandb_server import WandbServer

from tune_cl.records import SearchFolder


@pytest.fixture
def server(own_wandb: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """A W&B server on this machine, with credentials for it in the environment."""
    with WandbServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
        assert server.unknown == []


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """Where the search of a test lies."""
    return SearchFolder(tmp_path / "results" / "genifer-fashion-b4-t3-quick")
