"""Honest hyperparameter search for class-incremental learning.

Search, evaluate and compare from Python as from the command line (`tune-cl search --help`), run single chains, and put
trials under one's own Ray Tuner. Nothing heavy is imported before a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tune_cl.errors import TuneCLError
from tune_cl.options import EvaluationOptions, Numerics, Runtime, SearchOptions

if TYPE_CHECKING:
    from tune_cl.api.chain import configure, load, run_chain, trainable
    from tune_cl.api.classifier import LoadedClassifier
    from tune_cl.api.compare import ComparisonResult, compare
    from tune_cl.api.evaluate import evaluate
    from tune_cl.api.publish import publish
    from tune_cl.api.recorder import Recorder, record
    from tune_cl.api.results import EvaluationResult, SearchResult, TrialResult, open_result
    from tune_cl.api.search import search

__all__ = [
    "ComparisonResult",
    "EvaluationOptions",
    "EvaluationResult",
    "LoadedClassifier",
    "Numerics",
    "Recorder",
    "Runtime",
    "SearchOptions",
    "SearchResult",
    "TrialResult",
    "TuneCLError",
    "__version__",
    "compare",
    "configure",
    "evaluate",
    "load",
    "open_result",
    "publish",
    "record",
    "run_chain",
    "search",
    "trainable",
]

_PLACES = {
    "tune_cl.api.chain": ("configure", "load", "run_chain", "trainable"),
    "tune_cl.api.classifier": ("LoadedClassifier",),
    "tune_cl.api.compare": ("ComparisonResult", "compare"),
    "tune_cl.api.evaluate": ("evaluate",),  # the one way to test data
    "tune_cl.api.publish": ("publish",),
    "tune_cl.api.recorder": ("Recorder", "record"),
    "tune_cl.api.results": ("EvaluationResult", "SearchResult", "TrialResult", "open_result"),
    "tune_cl.api.search": ("search",),
}
_PLACE = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("tune_cl")
    if name in _PLACE:
        return getattr(import_module(_PLACE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
