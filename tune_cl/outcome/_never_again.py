"""Never training again: what the base task's classifier gives if it is left as it is. No training, only arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from tune_cl.metrics import TEST, VALIDATION, read_out
from tune_cl.records import NeverTrainedAgain


@dataclass(frozen=True)
class Achieved:
    """What a configuration achieved along a stream, by one read-out; of several runs their means."""

    metrics: Sequence[Mapping[str, float | None]]  # after increments 0, 1, …; named without prefix: `accuracy_new`
    never_trained_again: Mapping[str, float] = field(default_factory=dict)  # empty where it is unknown
    base_classes: int | None = None
    base_images: int | None = None  # that the accuracy at the base task is over

    def after(self, increment: int, name: str) -> float | None:
        """A metric after an increment; None where there is none."""
        return self.metrics[increment].get(name) if increment < len(self.metrics) else None

    def frozen(self, trial: int, objective: str) -> NeverTrainedAgain | None:
        """The record of what its base task gives without more training; None where it is unknown."""
        if not self.never_trained_again:
            return None
        return NeverTrainedAgain(trial=trial, nearest_mean="/nme/" in objective, **self.never_trained_again)


def accuracies_never_trained_again(base_accuracy: float, images: Sequence[int]) -> list[float]:
    """Accuracy over all classes seen after increments 0, 1, …, of a classifier that knows the base classes alone.

    It is right on the images of the base classes as often as at the base task, and on no other. The method `frozen`
    gets the same, to the last bit.

    Args:
        base_accuracy: on the base classes, after the base task.
        images: scored images of the classes of each increment.
    """
    return [base_accuracy * images[0] / seen for seen in accumulate(images)]


def never_trained_again(base_accuracy: float, images: Sequence[int]) -> dict[str, float]:
    """The metrics of such a classifier after the last increment, by their names without prefix.

    Args:
        base_accuracy: on the base classes, after the base task.
        images: scored images of the classes of each increment; of two increments at least.
    """
    accuracies = accuracies_never_trained_again(base_accuracy, images)
    return {
        "accuracy": accuracies[-1],
        "average_incremental_accuracy": sum(accuracies) / len(accuracies),
        "average_incremental_accuracy_excl_base": sum(accuracies[1:]) / (len(accuracies) - 1),
    }


def achieved(
    by_increment: Sequence[Mapping[str, float | None]],
    base_row: Sequence[float],
    images: Sequence[int],
    objective: str,
    base_classes: int | None = None,
) -> Achieved:
    """What a run achieved, by the read-out that an objective is of.

    Args:
        by_increment: its metrics after increments 0, 1, …, under their full names.
        base_row: R[0, 0], by the head.
        images: scored images of the classes of each increment; empty where nobody has noted them.
        objective: e.g. `val/average_incremental_accuracy`, `test/nme/accuracy`.
        base_classes: how many classes the base task has.
    """
    tested = any(name.startswith(TEST) for row in by_increment for name in row)
    prefix = read_out(objective) or (TEST if tested else VALIDATION)  # a cost is of no read-out
    metrics = [
        {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
        for row in by_increment
    ]
    base = metrics[0].get("accuracy") if metrics else None
    if base_row and not prefix.endswith("nme/"):
        base = base_row[0]
    known = base is not None and len(images) == len(by_increment) > 1
    return Achieved(
        metrics,
        never_trained_again(base, images) if known and base is not None else {},
        base_classes,
        images[0] if images else None,
    )
