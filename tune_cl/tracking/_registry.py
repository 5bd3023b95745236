"""Trackers by name, and trackers of one's own, beside the console and W&B."""

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.registry import Origin, Registry
from tune_cl.tracking._events import Tracker
from tune_cl.tracking._runs import RunTracker

Report = Callable[[str], None]


def _tensorboard(report: Report) -> Tracker:
    from tune_cl.tracking._tensorboard import TensorBoardRuns

    return RunTracker("TensorBoard", TensorBoardRuns, report)


def _mlflow(report: Report) -> Tracker:
    from tune_cl.tracking._mlflow import MlflowRuns

    return RunTracker("MLflow", MlflowRuns, report)


NAMED: Registry[Callable[[Report], Tracker]] = Registry(
    "tracker", shipped={"tensorboard": lambda: _tensorboard, "mlflow": lambda: _mlflow}
)
_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow-skinny"}  # module -> what pip calls it
TRACKERS: Registry[Callable[[], Tracker]] = Registry("tracker", form=re.compile(".+"))  # by module and name


def register_tracker(make: Callable[[], Tracker], origin: Origin) -> None:
    """Have every search of this process followed by a tracker.

    Args:
        make: a class or function that makes one, without arguments; called once for each search.
        origin: the plug-in that brings it.
    """
    TRACKERS.add(f"{origin.module}.{getattr(make, '__name__', repr(make))}", make, origin)


def own_trackers() -> list[Tracker]:
    """Fresh ones of the plug-ins for a search."""
    return [make() for make in TRACKERS]


def chosen_trackers(chosen: Sequence[Any], report: Report) -> list[Tracker]:
    """The trackers that a search was asked for: objects as they are, names as fresh ones.

    Args:
        chosen: trackers, 'tensorboard', 'mlflow'.
        report: where lines for a person go.

    Raises:
        TuneCLError: a name is unknown, or the package that it needs is not installed.
    """
    names = dict.fromkeys(one for one in chosen if isinstance(one, str))
    return [*(_named(name, report) for name in names), *(one for one in chosen if not isinstance(one, str))]


def tracker_packages() -> dict[str, str | None]:
    """The trackers that are chosen by name, and the package that each lacks here."""
    return {name: None if find_spec(name) else _PACKAGES[name] for name in NAMED.names()}


def _named(name: str, report: Report) -> Tracker:
    make = NAMED.get(name, "--tracker")
    if find_spec(name) is None:
        raise TuneCLError(f"--tracker {name}: needs a package that is not installed: pip install {_PACKAGES[name]}")
    return make(report)
