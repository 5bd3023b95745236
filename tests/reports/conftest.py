"""Makes the helpers of other folders importable, and gives each test a W&B that knows nothing of the machine."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "tracking")]


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
