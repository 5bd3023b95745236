"""What a plug-in makes known is forgotten after each test."""

import sys
from collections.abc import Iterator

import pytest

from tune_cl import plugins
from tune_cl.metrics import METRICS
from tune_cl.search import SAMPLERS, STOPPING_RULES


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registries, modules and paths as they were."""
    monkeypatch.setattr(plugins, "_LOADED", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    for registry in (METRICS, SAMPLERS, STOPPING_RULES):
        monkeypatch.setattr(registry, "_members", dict(registry._members))
        monkeypatch.setattr(registry, "_origins", {})
    before = set(sys.modules)
    yield
    for name in ("mutation", "floor", "worst_increment", "stripes", "plain_network", "csv_rows"):
        if name not in before:
            sys.modules.pop(name, None)
