"""Which searched parameters matter, by Optuna's PED-ANOVA."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import create_trial

from tune_cl.study._definition import DIRECTIONS
from tune_cl.study._ranges import Range
from tune_cl.study._samplers import distribution
from tune_cl.study._scratch import quiet_optuna

FEWEST = 8  # trials without which an importance would be an accident
_BEST_SHARE, _FEWEST_BEST = 0.1, 4  # of the trials, whose parameters are compared with those of all


def importance(
    ranges: Mapping[str, Mapping[str, Any]],
    trials: Sequence[tuple[Mapping[str, Any], float]],
    direction: str,
) -> dict[str, float]:
    """The share that each searched parameter has in telling the best trials from all.

    PED-ANOVA (Watanabe et al., IJCAI 2023): how far the density of a parameter among the best tenth of the trials (four
    at least) differs from its density among all; the shares sum to 1. Parameters that are searched under a condition
    are left out, since not every trial draws them, and so are trials outside of the ranges, as a default may be.

    Args:
        ranges: path -> range as a space file has it.
        trials: of each its parameters, path -> value, and its score; all at the same increment.
        direction: 'max' or 'min'.

    Returns:
        Path -> share, 0 to 1; empty with fewer than `FEWEST` trials, or where all scores are equal.
    """
    always = {path: _range(written) for path, written in ranges.items() if not written.get("when")}
    within = [
        ({path: parameters[path] for path in always}, value)
        for parameters, value in trials
        if all(path in parameters and range_.contains(parameters[path]) for path, range_ in always.items())
    ]
    if len(within) < FEWEST or not always or len({value for _, value in within}) < 2:
        return {}
    distributions = {path: distribution(range_) for path, range_ in always.items()}
    with quiet_optuna(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that scores are equal, which the shares show

        study = optuna.create_study(direction=DIRECTIONS[direction])
        for parameters, value in within:
            study.add_trial(create_trial(params=parameters, distributions=distributions, value=value))
        evaluator = PedAnovaImportanceEvaluator(target_quantile=max(_BEST_SHARE, _FEWEST_BEST / len(within)))
        found = evaluator.evaluate(study)
    total = sum(found.values())
    return {path: float(value / total) if total > 0 else 0.0 for path, value in found.items()}


def _range(written: Mapping[str, Any]) -> Range:
    kind = next(kind for kind in ("log", "uniform", "int", "choice") if kind in written)
    return Range(kind, tuple(written[kind]))  # type: ignore[arg-type]
