"""What a phase hands back, checked before it is stored: a phase may be anybody's."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.methods import Diverged, Phase, PhaseResult
from tune_cl.nets import Component


def checked(phase: Phase, result: Any) -> tuple[dict[str, float], dict[str, float]]:
    """The losses and the metrics of what a phase returned.

    Raises:
        Diverged: a loss is not finite.
        TuneCLError: it is no result of a phase, or a number is none or not finite.
    """
    where = f"phase {phase.name!r} ({phase.kind})"
    if not isinstance(result, PhaseResult):
        raise TuneCLError(f"{where}: returns a {type(result).__name__}; it must return a tune_cl.methods.PhaseResult")
    for name, part in result.changed.items():
        if not isinstance(part, Component):
            raise TuneCLError(
                f"{where}: changed[{name!r}] is a {type(part).__name__}, not a tune_cl.nets.Component; save_classifier "
                "makes one of a classifier"
            )
    losses = _numbers(result.losses, f"{where}: losses")
    metrics = _numbers(result.metrics, f"{where}: metrics")
    for name, value in losses.items():
        if not math.isfinite(value):
            raise Diverged(f"{where}: the mean of its loss {name!r} over the last steps is not finite")
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise TuneCLError(
                f"{where}: metrics[{name!r}] is {value}; a metric must be finite: leave it out where it is not defined"
            )
    return losses, metrics


def _numbers(values: Any, where: str) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise TuneCLError(f"{where} is a {type(values).__name__}; it must be a dictionary of names and floats")
    for name, value in values.items():
        if not isinstance(name, str) or not name:
            raise TuneCLError(f"{where} has the name {name!r}; names are texts that are not empty")
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TuneCLError(f"{where}[{name!r}] is a {type(value).__name__}; write float(...) around it")
    return {name: float(value) for name, value in values.items()}
