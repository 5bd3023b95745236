"""Smooth surrogates of recorded trials: Gaussian processes from a configuration to its objective at each increment.

A search on them costs microseconds a trial, and what it hands back is judged without noise.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from simulator import Recording

_FOLDS = 10
_RESTARTS = 3


class GaussianProcess:
    """Matérn 5/2 with a length scale for each input and constant mean; parameters by marginal likelihood.

    Log-normal priors hold back length scales and noise where there are few points.
    """

    def __init__(self, inputs: np.ndarray, values: np.ndarray, *, restarts: int = _RESTARTS) -> None:
        """Fit it.

        Args:
            inputs: (N, D) float64 in [0, 1].
            values: (N,) float64.
            restarts: starts of the search for its parameters.
        """
        self._inputs = inputs
        self._mean, self._scale = float(values.mean()), float(values.std()) or 1.0
        self._values = (values - self._mean) / self._scale
        rng = np.random.default_rng(0)
        start = np.concatenate([np.full(inputs.shape[1], math.log(0.7)), [0.0, math.log(0.1)]])
        starts = [start, *(start + rng.normal(0, 0.7, start.shape) for _ in range(restarts - 1))]
        found = [minimize(self._loss, each, method="L-BFGS-B", bounds=[(-4, 4)] * len(start)) for each in starts]
        best = min(found, key=lambda result: float(result.fun))
        self._parameters = best.x
        self._factor = cho_factor(self._covariance(best.x), lower=True)
        self._weights = cho_solve(self._factor, self._values)

    def mean(self, inputs: np.ndarray) -> np.ndarray:
        """Posterior mean at (M, D) inputs, (M,)."""
        across = _matern(inputs, self._inputs, self._parameters)
        found: np.ndarray = self._mean + self._scale * (across @ self._weights)
        return found

    def _covariance(self, parameters: np.ndarray) -> np.ndarray:
        noise = math.exp(2 * parameters[-1])
        found: np.ndarray = _matern(self._inputs, self._inputs, parameters) + (noise + 1e-8) * np.eye(len(self._inputs))
        return found

    def _loss(self, parameters: np.ndarray) -> float:
        factor = cho_factor(self._covariance(parameters), lower=True)
        fit = 0.5 * self._values @ cho_solve(factor, self._values) + np.log(np.diag(factor[0])).sum()
        scales, noise = parameters[:-2], parameters[-1]
        held = 0.5 * ((scales - math.log(0.7)) ** 2).sum() + 0.5 * (noise - math.log(0.15)) ** 2
        return float(fit + held + 0.5 * parameters[-2] ** 2)


class Surrogate:
    """The objective of a recording, as a smooth function of the configuration."""

    def __init__(self, recording: Recording, noise: float, metric: str | None = None) -> None:
        """Fit it.

        Args:
            recording: finished trials.
            noise: standard deviation of the final value over train seeds.
            metric: of the recording; its objective by default.
        """
        self._ranges = recording.ranges
        self.recorded = [trial.parameters for trial in recording.trials]
        self.paths = list(recording.ranges)
        self.noise, self.horizon = noise, recording.horizon
        metric = metric or recording.objective
        self._inputs = np.array([self.place(trial.parameters) for trial in recording.trials])
        curves = [[increment.metrics[metric] for increment in trial.increments] for trial in recording.trials]
        self._curves = np.array(curves, dtype=np.float64)  # (N, increments)
        self._models = [GaussianProcess(self._inputs, column) for column in self._curves.T]

    def place(self, parameters: Mapping[str, Any]) -> np.ndarray:
        """A configuration in the unit cube, (D,)."""
        return np.array([_unit(self._ranges[path], parameters[path]) for path in self.paths])

    def curve(self, parameters: Mapping[str, Any]) -> np.ndarray:
        """The objective at each increment without noise, (increments,)."""
        at = self.place(parameters)[None]
        return np.array([float(model.mean(at)[0]) for model in self._models])

    def noisy(self, parameters: Mapping[str, Any], train_seed: int) -> np.ndarray:
        """The same with the noise of a train seed, which grows with the increments and is the same when asked again."""
        written = repr((sorted(parameters.items()), train_seed)).encode()
        draws = np.random.default_rng(int.from_bytes(hashlib.sha256(written).digest()[:8], "big"))
        steps = draws.normal(0.0, 1.0, self.horizon + 1) / math.sqrt(self.horizon)
        steps[0] = 0.0  # the base task is shared
        return self.curve(parameters) + self.noise * np.cumsum(steps)

    def cross_validated(self) -> tuple[float, float]:
        """R² and root mean squared error of the final value, each trial predicted without its tenth of the trials."""
        final = self._curves[:, -1]
        order = np.random.default_rng(0).permutation(len(final))
        predicted = np.empty_like(final)
        for fold in range(_FOLDS):
            out = order[fold::_FOLDS]
            kept = np.setdiff1d(order, out)
            predicted[out] = GaussianProcess(self._inputs[kept], final[kept]).mean(self._inputs[out])
        error = float(((predicted - final) ** 2).mean())
        return 1 - error / float(final.var()), math.sqrt(error)

    def rank_correlations(self) -> list[float]:
        """Spearman's correlation of the value at each increment from 1 on with the final one."""
        ranks = self._curves.argsort(axis=0).argsort(axis=0)
        return [float(np.corrcoef(ranks[:, t], ranks[:, -1])[0, 1]) for t in range(1, self.horizon)]

    def __len__(self) -> int:
        return len(self._curves)


def _matern(one: np.ndarray, other: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    scales = np.exp(parameters[:-2])
    squares = (((one[:, None] - other[None]) / scales) ** 2).sum(-1)
    r = np.sqrt(5 * np.maximum(squares, 1e-12))
    found: np.ndarray = math.exp(2 * parameters[-2]) * (1 + r + r**2 / 3) * np.exp(-r)
    return found


def _unit(raw: Mapping[str, Any], value: Any) -> float:
    kind = next(kind for kind in raw if kind != "when")
    values: Sequence[Any] = raw[kind]
    low, high = min(values), max(values)
    if kind == "log" or (kind == "choice" and low > 0):
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))
