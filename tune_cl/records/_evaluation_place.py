"""Where an evaluation runs a configuration, and the name of that run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_RUN = re.compile(r"trial-(\d+)-(.+)-train-(\d+)")


@dataclass(frozen=True)
class EvaluationPlace:
    """A class order and a training seed; its text is, say, 'seed-1001-train-1002'.

    Attributes:
        order: name of the class order; see `order_name`.
        seed: training seed.
    """

    order: str
    seed: int

    def __str__(self) -> str:
        return f"{self.order}-train-{self.seed}"

    def run_of(self, trial: int) -> str:
        """Name of the run of a trial's configuration here, its folder below `evaluation/runs`."""
        return f"trial-{trial:04d}-{self}"


def order_name(class_order: str | Sequence[int], order_seed: int) -> str:
    """Name of a stream's class order: 'seed-1001', that of a published one, or the labels one by one."""
    return f"seed-{order_seed}" if class_order == "seed" else str(class_order)


def parse_run(name: str) -> tuple[int, EvaluationPlace] | None:
    """The trial and the place that a run's name tells; None where the text is no such name."""
    match = _RUN.fullmatch(name)
    return None if match is None else (int(match[1]), EvaluationPlace(match[2], int(match[3])))


def place_of(run: str) -> EvaluationPlace:
    """The place that a run's name tells.

    Raises:
        ValueError: the text is no such name.
    """
    parsed = parse_run(run)
    if parsed is None:
        raise ValueError(f"{run!r} is no name of an evaluation's run, such as trial-0007-seed-1001-train-1002")
    return parsed[1]
