"""How far chance alone moves a score: the standard error that comes from which images happened to be scored."""

import math
from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean

from tune_cl.metrics import bare_name
from tune_cl.outcome._never_again import Achieved

_AVERAGE = "average_incremental_accuracy"
CLEAR = 2.0  # standard errors that a gain must exceed


def sampling_error(run: Achieved, images: Sequence[int], objective: str) -> float | None:
    """The standard error of a score over accuracies, by the choice of the scored images alone; at most.

    An accuracy `a` over `n` images has the standard error sqrt(a (1 - a) / n). Accuracies after several increments
    share images, and a mean of numbers varies at most by the mean of their standard errors, however they depend on
    each other.

    Args:
        run: what was achieved, along the whole stream.
        images: scored images of the classes of each increment.
        objective: e.g. `val/average_incremental_accuracy`.

    Returns:
        None where the objective is no accuracy over all classes seen, or an accuracy is not known.
    """
    name = bare_name(objective)
    accuracies = [run.after(t, "accuracy") for t in range(len(run.metrics))]
    if name not in ("accuracy", _AVERAGE, f"{_AVERAGE}_excl_base") or len(images) != len(accuracies) or not images:
        return None
    errors = [
        math.sqrt(max(a * (1 - a), 0.0) / n)
        for a, n in zip(accuracies, accumulate(images), strict=True)
        if a is not None and n
    ]
    if len(errors) < len(accuracies):
        return None
    used = {"accuracy": errors[-1:], _AVERAGE: errors}.get(name, errors[1:])
    return fmean(used) if used else None


def gain_error(
    choice: Achieved, default: Achieved, images: Sequence[int], default_images: Sequence[int], objective: str
) -> float | None:
    """The standard error of the difference of two scores, as if the two erred independently of each other.

    Two configurations are scored on the same images and tend to err on the same ones, so that it is an upper bound
    wherever they agree more often than by chance.
    """
    errors = [sampling_error(run, n, objective) for run, n in ((choice, images), (default, default_images))]
    known = [error for error in errors if error is not None]
    return math.hypot(*known) if len(known) == 2 else None
