"""A fixture: what plug-ins make known in this process is forgotten after each test."""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

import pytest

from tune_cl import plugins
from tune_cl.methods import METHODS
from tune_cl.metrics import METRICS
from tune_cl.nets._networks import NETWORKS
from tune_cl.streams import DATASETS
from tune_cl.study import SAMPLERS, STOPPING_RULES
from tune_cl.tracking._registry import TRACKERS

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def forgotten_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registries, modules and paths as they were."""
    monkeypatch.setattr(plugins, "_LOADED", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    plugins._entry_points.cache_clear()
    for registry in (METRICS, SAMPLERS, STOPPING_RULES, METHODS, NETWORKS, DATASETS, TRACKERS):
        monkeypatch.setattr(registry, "_members", dict(registry._members))
        monkeypatch.setattr(registry, "_origins", {})
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and any(Path(file).is_relative_to(folder) for folder in (EXAMPLES, gettempdir())):
            del sys.modules[name]
