"""The metrics of class-incremental learning, each once: formula, direction, label, range."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tune_cl.errors import TuneCLError
from tune_cl.registry import Origin, Registry

Direction = Literal["max", "min"]


@dataclass(frozen=True)
class Scored:
    """What a read-out has right after increments 0 to t: what formulas are over."""

    rows: Sequence[Sequence[float]]  # R, row s of columns i = 0..s: accuracy on the classes of i after s, in 0..1
    images: Sequence[int]  # how many images of the classes of increments 0..t the accuracies are over

    @property
    def last(self) -> int:
        """The increment t just trained."""
        return len(self.rows) - 1

    @property
    def accuracies(self) -> list[float]:
        """Accuracy over all classes seen after increments 0 to t."""
        return [self.over_images(row) for row in self.rows]

    def over_images(self, values: Sequence[float]) -> float:
        """The mean of values of increments 0, 1, ... weighted by their images."""
        weights = self.images[: len(values)]
        return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


Formula = Callable[[Scored], float]


@dataclass(frozen=True)
class Metric:
    """A number that every row has.

    Attributes:
        name: without prefix: `accuracy` is `val/accuracy` in a search, `val/nme/accuracy` by nearest class means,
            `test/accuracy` in an evaluation. Costs have no prefix.
        formula: from accuracies; None for a cost, which a chain counts itself.
        label: in words, for tables.
        direction: whether more or less of it is better.
        defined_at_base: whether it has a value at the base task, where no class is old yet.
        low, high: between which values it can lie, so that intervals stay within.
        short: the label of a narrow column; empty for a metric that comparisons leave out.

    Example:
        >>> worst = Metric("accuracy_worst", lambda scored: min(scored.rows[-1]), "accuracy on the worst increment")
        >>> METRIC = worst  # in a plug-in: `--plugin worst --objective val/accuracy_worst`
    """

    name: str
    formula: Formula | None
    label: str
    direction: Direction = "max"
    defined_at_base: bool = True
    low: float = 0.0
    high: float = 1.0
    short: str = ""

    def chosen(self, where: str) -> str:
        """The objective that it is, by name: workers compute it, so they must know it from a plug-in.

        Raises:
            TuneCLError: no plug-in has brought it.
        """
        if self.name not in METRICS or METRICS.get(self.name, where) != self:
            raise TuneCLError(
                f"{where}: workers do not know metric {self.name!r}; write METRIC = ... in a file, and name that file "
                "as a plug-in, too"
            )
        return self.name if self.formula is None else f"val/{self.name}"


def _average(scored: Scored) -> float:
    return sum(scored.accuracies) / (scored.last + 1)


def _average_without_base(scored: Scored) -> float:
    return sum(scored.accuracies[1:]) / scored.last


def _forgetting(scored: Scored) -> float:
    rows, t = scored.rows, scored.last
    return sum(max(rows[s][i] for s in range(i, t)) - rows[t][i] for i in range(t)) / t


def _backward_transfer(scored: Scored) -> float:
    rows, t = scored.rows, scored.last
    return sum(rows[t][i] - rows[i][i] for i in range(t)) / t


_AVERAGE = "average_incremental_accuracy"
METRICS: Registry[Metric] = Registry("metric")
for _metric in (
    Metric("accuracy", lambda s: s.accuracies[-1], "accuracy after the last increment", short="accuracy"),
    Metric(_AVERAGE, _average, "average incremental accuracy", short="average incremental"),
    Metric(
        f"{_AVERAGE}_excl_base",
        _average_without_base,
        "average incremental accuracy without the base task",
        defined_at_base=False,
        short="without base",
    ),
    Metric("forgetting", _forgetting, "forgetting", "min", defined_at_base=False, low=-1.0, short="forgetting"),
    Metric("backward_transfer", _backward_transfer, "backward transfer", defined_at_base=False, low=-1.0),
    Metric(
        "accuracy_old",
        lambda s: s.over_images(s.rows[-1][:-1]),
        "accuracy on old classes",
        defined_at_base=False,
        short="old classes",
    ),
    Metric("accuracy_new", lambda s: s.rows[-1][-1], "accuracy on the newest classes", short="new classes"),
    Metric("images_trained", None, "images trained on so far", "min", high=math.inf),
    Metric("seconds", None, "seconds of training so far", "min", high=math.inf),
):
    METRICS.add(_metric.name, _metric)


def scored_metrics() -> list[Metric]:
    """The metrics that are computed from accuracies, so by each read-out."""
    return [metric for metric in METRICS if metric.formula is not None]


def measure(scored: Scored) -> dict[str, float | None]:
    """All of them after an increment, by their names without prefix; None where one is not defined at the base task.

    Raises:
        TuneCLError: the formula of a metric fails, or gives no number.
    """
    at_base = scored.last == 0
    return {
        metric.name: None if at_base and not metric.defined_at_base else _value(metric, scored)
        for metric in scored_metrics()
    }


def register_metric(metric: Metric, origin: Origin | None = None) -> None:
    """Make a metric from outside the package known in this process.

    Raises:
        TuneCLError: its name is unfit or taken, its direction is none, or it has no formula.
    """
    if metric.direction not in ("max", "min"):
        raise TuneCLError(f"metric {metric.name!r}: direction {metric.direction!r} is neither 'max' nor 'min'")
    if not callable(metric.formula):
        raise TuneCLError(f"metric {metric.name!r}: its formula is no function of `tune_cl.metrics.Scored`")
    METRICS.add(metric.name, metric, origin)


def _value(metric: Metric, scored: Scored) -> float:
    assert metric.formula is not None
    try:
        value = float(metric.formula(scored))
    except Exception as error:
        raise TuneCLError(f"metric {metric.name!r}: its formula fails: {type(error).__name__}: {error}") from error
    if not math.isfinite(value):
        raise TuneCLError(f"metric {metric.name!r}: its formula gives {value}, which is no number")
    return value
