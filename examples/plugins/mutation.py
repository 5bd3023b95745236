"""A sampler: each parameter keeps the value of the best finished trial, or is drawn at random.

tune-cl search --space finetune --plugin examples/plugins/mutation.py --sampler 'mutation(keep=0.5)'
"""

import random
from typing import Any

from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState
from pydantic import Field

from tune_cl.study import Sampler, SamplerContext


class Mutation(Sampler):
    """Mutates the best finished trial."""

    name = "mutation"
    keep: float = Field(0.7, ge=0, le=1)  # with which probability a parameter keeps its value

    def make(self, context: SamplerContext) -> BaseSampler:
        """A fresh one for every proposal; the context's seed is the only source of randomness."""
        return _Mutation(context, self.keep)


class _Mutation(BaseSampler):
    """An Optuna sampler, as Optuna's documentation describes them."""

    def __init__(self, context: SamplerContext, keep: float) -> None:
        self._keep, self._best_is = keep, max if context.direction == "max" else min
        self._chance, self._random = random.Random(context.seed), RandomSampler(seed=context.seed)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        best = self._best_is(finished, key=lambda one: one.value).params if finished else {}
        if param_name in best and self._chance.random() < self._keep:
            return best[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)


SAMPLER = Mutation
