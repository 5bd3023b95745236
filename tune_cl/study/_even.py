"""Samplers that cover a space evenly and learn nothing: Sobol points and a grid."""

import math
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from pydantic import Field

from tune_cl.study._sampler import Sampler, SamplerContext

_GOLDEN = 0.6180339887498949


class Qmc(Sampler):
    """Scrambled Sobol points over the parameters that every trial has; other parameters are random."""

    name: ClassVar[str] = "qmc"
    uses_history: ClassVar[bool] = False

    def make(self, context: SamplerContext) -> BaseSampler:
        """The trial's point of the sequence of the search seed."""
        return _SobolPoint(context)


class Grid(Sampler):
    """Every combination of the choices and of evenly spaced numbers, in a shuffled order; random when it is exhausted.

    What the method refuses, and what differs from an earlier trial only in parameters that do not count, is left out.
    """

    name: ClassVar[str] = "grid"
    points: int = Field(3, ge=2, le=1000)  # of each number, its ends among them

    def make(self, context: SamplerContext) -> BaseSampler:
        """The first point of the shuffled grid that no trial has had."""
        return _GridPoint(context, self.points)


class _Point(BaseSampler):  # type: ignore[misc]
    """One point for one trial; what it leaves out is random."""

    def __init__(self, context: SamplerContext) -> None:
        self._context = context
        self._independent = RandomSampler(seed=context.seed)

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return self._independent.sample_independent(study, trial, param_name, param_distribution)


class _SobolPoint(_Point):
    """One point of a scrambled Sobol sequence; for a second attempt at a trial, of another scrambling."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        return dict(sorted(self._context.shared.items()))

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        from scipy.stats import qmc  # a second that other samplers save

        context = self._context
        if not search_space:
            return {}
        engine = qmc.Sobol(len(search_space), seed=context.seed if context.attempt else context.search_seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it would rather be asked for powers of 2
            if context.number > 1:
                engine.fast_forward(context.number - 1)  # trial 0 is the default
            (point,) = engine.random(1)
        return {path: _placed(found, place) for (path, found), place in zip(search_space.items(), point, strict=True)}


class _GridPoint(_Point):
    """The first point of a grid that no trial has had; the grid's order comes from the search seed."""

    def __init__(self, context: SamplerContext, points: int) -> None:
        super().__init__(context)
        self._axes = {path: _marks(found, points) for path, found in sorted(context.distributions.items())}

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        return dict(self._context.distributions)

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        had: dict[tuple[str, ...], set[tuple[Any, ...]]] = {}  # parameters of a trial -> values
        for earlier in study.get_trials(deepcopy=False):
            paths = tuple(path for path in self._axes if path in earlier.params)
            had.setdefault(paths, set()).add(tuple(earlier.params[path] for path in paths))
        had.pop((), None)
        for point in self._points():
            if not any(tuple(point[path] for path in paths) in values for paths, values in had.items()):
                return point
        return {}

    def _points(self) -> Iterator[dict[str, Any]]:
        size = math.prod(len(marks) for marks in self._axes.values())
        stride = max(1, int(size * _GOLDEN))
        while math.gcd(stride, size) > 1:  # a stride without a common divisor reaches every point
            stride += 1
        at = self._context.search_seed % size
        for _ in range(size):
            yield self._point(at)
            at = (at + stride) % size

    def _point(self, index: int) -> dict[str, Any]:
        point: dict[str, Any] = {}
        for path, marks in self._axes.items():
            index, mark = divmod(index, len(marks))
            point[path] = marks[mark]
        return point


def _marks(distribution: BaseDistribution, points: int) -> list[Any]:
    """The values of one axis of a grid."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        steps = min(points, distribution.high - distribution.low + 1)
        return [
            distribution.low + round(i * (distribution.high - distribution.low) / (steps - 1)) for i in range(steps)
        ]
    return [_placed(distribution, i / (points - 1)) for i in range(points)]


def _placed(distribution: BaseDistribution, place: float) -> Any:
    """The value at a place in [0, 1) of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(place * len(distribution.choices))]
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution):
        return low + int(place * (high - low + 1))
    value = low * (high / low) ** place if distribution.log else low + place * (high - low)
    return min(max(float(value), low), high)
