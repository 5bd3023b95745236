"""Makes `search_cli` importable, and keeps the machine's W&B settings out."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))


@pytest.fixture(autouse=True)
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B is the subject of few tests here."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
