"""Each test gets a W&B that knows nothing of the machine it runs on."""

from pathlib import Path

import pytest
from own_wandb import own_wandb as own_wandb
from own_wandb import server as server

from tune_cl.records import SearchFolder


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """Where the search of a test lies."""
    return SearchFolder(tmp_path / "results" / "genifer-fashion-b4-t3-quick")
