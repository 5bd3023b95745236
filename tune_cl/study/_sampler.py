"""What a sampler is, the samplers that learn, and any of Optuna's: `optuna:GPSampler`.

A sampler makes a fresh Optuna sampler for every proposal, in a scratch study that has the history. So a proposal is a
function of the search seed, the trial's number and the history.
"""

import importlib.util
import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseGASampler,
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from pydantic import Field, model_validator

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.metrics import Direction
from tune_cl.registry import Choice, Member


@dataclass(frozen=True)
class SamplerContext:
    """What a sampler is given for one proposal."""

    seed: int  # of this proposal: from the search seed, the trial's number and the attempt
    search_seed: int
    number: int  # of the trial that is proposed
    attempt: int  # how many proposals for it came to nothing: the method does not allow them, say
    startup: int  # random trials at first: a sampler's own option `startup`, else a third of the search, 2 to 10
    direction: Direction
    shared: Mapping[str, BaseDistribution]  # the parameters that every trial has, whatever its other parameters
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)  # all parameters, conditional ones too
    reported: int = 0  # trials that have finished or were stopped


class Sampler(Member):
    """Base of samplers: a class is a sampler, its fields are options that a search may write in parentheses.

    Attributes:
        uses_history: whether proposals depend on earlier trials; if not, it is not even shown them.
        sees_stopped: whether it learns from stopped trials (PRUNED) and what they reported. To one that knows finished
            trials alone, a stopped one is shown as finished, with the final score that its last report lets expect.
        fills_conditional: whether it is shown a value for parameters that do not count in a trial (`when:`), their
            default, so that a model of the parameters that all trials have in common has all of them.
        keeps_notes: whether what it notes in a trial's system attributes must be there at later proposals.

    Example:
        >>> class Greedy(Sampler):
        ...     "TPE that follows fewer good trials."
        ...     name = "greedy"
        ...     sees_stopped = True
        ...     good: int = 2
        ...     def make(self, context):
        ...         return TPESampler(seed=context.seed, n_startup_trials=context.startup, gamma=lambda n: self.good)
        >>> SAMPLER = Greedy  # in a plug-in: `--plugin greedy --sampler 'greedy(good=3)'`
    """

    uses_history: ClassVar[bool] = True
    sees_stopped: ClassVar[bool] = False
    fills_conditional: ClassVar[bool] = False
    keeps_notes: ClassVar[bool] = False

    def make(self, context: SamplerContext) -> BaseSampler:
        """A fresh Optuna sampler for one proposal; all of its randomness comes from the context's seeds."""
        raise NotImplementedError

    def proposer(self, context: SamplerContext) -> "Sampler":
        """The sampler that makes this proposal: itself, unless it chooses among others."""
        return self

    def check(self, distributions: Mapping[str, BaseDistribution], where: str) -> None:
        """Refuse a space that it cannot search.

        Args:
            distributions: all parameters that are searched; path -> distribution.
            where: what a message begins with.

        Raises:
            TuneCLError: it cannot search it.
        """


class Tpe(Sampler):
    """Tree-structured Parzen estimator over all parameters together."""

    name: ClassVar[str] = "tpe"
    sees_stopped: ClassVar[bool] = True
    startup: int | None = Field(None, ge=1, le=1_000_000)  # None: a third of the search, 2 to 10

    def make(self, context: SamplerContext) -> BaseSampler:
        """Multivariate, grouped (conditional parameters need it), wary of trials that are running."""
        return TPESampler(
            seed=context.seed, n_startup_trials=context.startup, multivariate=True, group=True, constant_liar=True
        )


class Random(Sampler):
    """Uniform random sampling."""

    name: ClassVar[str] = "random"
    uses_history: ClassVar[bool] = False

    def make(self, context: SamplerContext) -> BaseSampler:
        """Random."""
        return RandomSampler(seed=context.seed)


class Gp(Sampler):
    """Gaussian process with expected improvement, over all parameters together."""

    name: ClassVar[str] = "gp"
    fills_conditional: ClassVar[bool] = True
    startup: int | None = Field(None, ge=1, le=1_000_000)  # None: a third of the search, 2 to 10

    def make(self, context: SamplerContext) -> BaseSampler:
        """Optuna's."""
        return GPSampler(seed=context.seed, n_startup_trials=context.startup, warn_independent_sampling=False)


class CmaEs(Sampler):
    """CMA-ES over the numbers that every trial has; other parameters are random. Needs the package cmaes."""

    name: ClassVar[str] = "cmaes"
    keeps_notes: ClassVar[bool] = True
    population: int | None = Field(None, ge=4, le=10_000)  # None: 4 + 3 ln(parameters)

    def make(self, context: SamplerContext) -> BaseSampler:
        """Optuna's, on parameters that stay the same from trial to trial."""
        return _SharedCmaEs(context, popsize=self.population)

    def check(self, distributions: Mapping[str, BaseDistribution], where: str) -> None:
        """It needs the package, and a number to search."""
        _check_cmaes(distributions, where)


class Nsga2(Sampler):
    """Genetic algorithm: NSGA-II with one objective."""

    name: ClassVar[str] = "nsga2"
    keeps_notes: ClassVar[bool] = True
    population: int | None = Field(None, ge=2, le=10_000)  # None: as many as TPE has start-up trials, at least 4

    def make(self, context: SamplerContext) -> BaseSampler:
        """Optuna's."""
        population = max(4, context.startup) if self.population is None else self.population
        return NSGAIISampler(seed=context.seed, population_size=population)


# Why an Optuna sampler cannot serve, and what can.
_UNFIT = {
    "QMCSampler": "it counts its points in a study that lives as long as the search; use qmc",
    "GridSampler": "ranges have no grid of its kind; use --sampler grid",
    "PartialFixedSampler": "it fixes parameters; use --set PATH=VALUE",
    "BaseSampler": "it is a base class",
    "BaseGASampler": "it is a base class",
}
_SEE_STOPPED = ("TPESampler", "BruteForceSampler", "RandomSampler")
OPTUNA = "optuna:"


class OptunaSampler(Sampler):
    """Any sampler of Optuna by the name of its class, with its own arguments: optuna:TPESampler(n_startup_trials=4)."""

    name: ClassVar[str] = "optuna"
    kind: str  # name of the class in optuna.samplers
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_made(self) -> "OptunaSampler":
        known = sorted(set(optuna.samplers.__all__) - {"nsgaii", *_UNFIT})
        if self.kind in _UNFIT:
            raise ValueError(f"{self.kind} cannot search here: {_UNFIT[self.kind]}")
        if self.kind not in known:
            raise ValueError(
                f"no sampler {self.kind!r}{near_matches(self.kind, known) or '; it has ' + ', '.join(known)}"
            )
        taken = [name for name in inspect.signature(self._class).parameters if name != "seed"]
        for option in self.arguments:
            if option == "seed":
                raise ValueError("the seed comes from --search-seed; leave it out")
            if option not in taken:
                hint = near_matches(option, taken) or f"; it has {', '.join(taken)}"
                raise ValueError(f"{self.kind} has no argument {option!r}{hint}")
        if self.kind != "CmaEsSampler" or importlib.util.find_spec("cmaes"):
            try:
                with quiet_experiments():
                    self._class(**self._arguments(0))
            except Exception as error:
                raise ValueError(f"{self.kind} cannot be made so: {error}") from None
        return self

    @property
    def _class(self) -> type[BaseSampler]:
        found: type[BaseSampler] = getattr(optuna.samplers, self.kind)
        return found

    def _arguments(self, seed: int) -> dict[str, Any]:
        quiet = {"warn_independent_sampling": False} if self.kind in ("CmaEsSampler", "GPSampler") else {}
        taken = inspect.signature(self._class).parameters
        return {**quiet, **self.arguments, **({"seed": seed} if "seed" in taken else {})}

    @property
    def sees_stopped(self) -> bool:  # type: ignore[override]
        """Of Optuna's, these do."""
        return self.kind in _SEE_STOPPED

    @property
    def keeps_notes(self) -> bool:  # type: ignore[override]
        """CMA-ES and genetic algorithms do."""
        return self.kind == "CmaEsSampler" or issubclass(self._class, BaseGASampler)

    def make(self, context: SamplerContext) -> BaseSampler:
        """Of that class."""
        if self.kind == "CmaEsSampler":
            return _SharedCmaEs(context, **self.arguments)
        return self._class(**self._arguments(context.seed))

    def check(self, distributions: Mapping[str, BaseDistribution], where: str) -> None:
        """CMA-ES needs its package, and brute force ranges that end."""
        if self.kind == "CmaEsSampler":
            _check_cmaes(distributions, where)
        continuous = [path for path, found in distributions.items() if isinstance(found, FloatDistribution)]
        if self.kind == "BruteForceSampler" and continuous:
            raise TuneCLError(f"{where}: BruteForceSampler tries all values, and {continuous[0]} is continuous")

    def __str__(self) -> str:
        return str(Choice(f"{OPTUNA}{self.kind}", self.arguments))


class quiet_experiments(warnings.catch_warnings):
    """Holds back what Optuna says of arguments that it has called experimental for years."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.simplefilter("ignore", ExperimentalWarning)
        return entered


class _SharedCmaEs(CmaEsSampler):  # type: ignore[misc]
    """CMA-ES whose space is the same in every trial: its state would be lost where a parameter comes or goes."""

    def __init__(self, context: SamplerContext, **arguments: Any) -> None:
        super().__init__(**{"warn_independent_sampling": False, **arguments}, seed=context.seed)
        self._shared = _numbers(context.shared)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        return dict(self._shared)


def _numbers(distributions: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    return {
        path: found for path, found in distributions.items() if isinstance(found, FloatDistribution | IntDistribution)
    }


def _check_cmaes(distributions: Mapping[str, BaseDistribution], where: str) -> None:
    if importlib.util.find_spec("cmaes") is None:
        raise TuneCLError(f"{where}: CMA-ES needs a package that is not installed: pip install cmaes")
    if distributions and not _numbers(distributions):
        raise TuneCLError(f"{where}: CMA-ES searches numbers, and this space has choices alone; use tpe")
