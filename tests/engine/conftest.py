"""Keeps the machine's W&B settings out."""

import pytest


@pytest.fixture(autouse=True)
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B is the subject of few tests here; those set their own environment."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
