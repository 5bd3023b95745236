"""What a sampler is, the samplers of the package, and any of Optuna's: `optuna:GPSampler`.

A sampler makes a fresh Optuna sampler for every proposal, in a scratch study that has the history. So a proposal is a
function of the search seed, the trial's number and the history.
"""

import importlib.util
import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
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
from tune_cl.registry import Choice, Member, Origin, Registry


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


class Sampler(Member):
    """Base of samplers: a class is a sampler, its fields are options that a search may write in parentheses.

    Attributes:
        uses_history: whether proposals depend on earlier trials; if not, it is not even shown them.
        sees_stopped: whether it learns from stopped trials (PRUNED) and what they reported. To one that knows finished
            trials alone, a stopped one is shown as finished, with the final score that its last report lets expect.
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
    keeps_notes: ClassVar[bool] = False

    def make(self, context: SamplerContext) -> BaseSampler:
        """A fresh Optuna sampler for one proposal; all of its randomness comes from the context's seeds."""
        raise NotImplementedError

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
    """Gaussian process with expected improvement; parameters that not every trial has are random."""

    name: ClassVar[str] = "gp"
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


class Qmc(Sampler):
    """Scrambled Sobol points over the parameters that every trial has; other parameters are random."""

    name: ClassVar[str] = "qmc"
    uses_history: ClassVar[bool] = False

    def make(self, context: SamplerContext) -> BaseSampler:
        """The trial's point of the sequence of the search seed."""
        return _SobolPoint(context)


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
    "GridSampler": "it needs a grid, and ranges have none; use --sampler qmc for even coverage",
    "PartialFixedSampler": "it fixes parameters; use --set PATH=VALUE",
    "BaseSampler": "it is a base class",
    "BaseGASampler": "it is a base class",
}
_SEE_STOPPED = ("TPESampler", "BruteForceSampler", "RandomSampler")
_PREFIX = "optuna:"


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
        return str(Choice(f"{_PREFIX}{self.kind}", self.arguments))


SAMPLERS: Registry[type[Sampler]] = Registry(
    "sampler", "; optuna:NAME is any sampler of Optuna, such as optuna:GPSampler"
)
for _sampler in (Tpe, Random, Gp, CmaEs, Qmc, Nsga2):
    SAMPLERS.add(_sampler.name, _sampler)


def find_sampler(text: str, where: str) -> Sampler:
    """The sampler that a text such as `gp`, `tpe(startup=4)` or `optuna:TPESampler(gamma=0.2)` names.

    Args:
        text: a name, with options in parentheses or without.
        where: what a message begins with, such as `--sampler`.

    Raises:
        TuneCLError: the sampler or an option is unknown, or the sampler cannot serve a search.
    """
    choice = Choice.parse(text, where)
    if choice.name.startswith(_PREFIX):
        return OptunaSampler.choose(
            Choice("optuna", {"kind": choice.name.removeprefix(_PREFIX), "arguments": dict(choice.options)}), where
        )
    return SAMPLERS.get(choice.name, where).choose(choice, where)


def register_sampler(sampler: type[Sampler], origin: Origin | None = None) -> None:
    """Make a sampler from outside the package known in this process.

    Raises:
        TuneCLError: its name is unfit or taken, or it has no `make`.
    """
    if sampler.make is Sampler.make:
        raise TuneCLError(f"sampler {sampler.__name__}: it defines no `make(self, context)`")
    SAMPLERS.add(getattr(sampler, "name", None), sampler, origin)


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


class _SobolPoint(BaseSampler):  # type: ignore[misc]
    """One point of a scrambled Sobol sequence; for a second attempt at a trial, of another scrambling."""

    def __init__(self, context: SamplerContext) -> None:
        self._context = context
        self._independent = RandomSampler(seed=context.seed)

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

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return self._independent.sample_independent(study, trial, param_name, param_distribution)


def _placed(distribution: BaseDistribution, place: float) -> Any:
    """The value at a place in [0, 1) of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(place * len(distribution.choices))]
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution):
        return low + int(place * (high - low + 1))
    value = low * (high / low) ** place if distribution.log else low + place * (high - low)
    return min(max(float(value), low), high)


def _numbers(distributions: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    return {
        path: found for path, found in distributions.items() if isinstance(found, FloatDistribution | IntDistribution)
    }


def _check_cmaes(distributions: Mapping[str, BaseDistribution], where: str) -> None:
    if importlib.util.find_spec("cmaes") is None:
        raise TuneCLError(f"{where}: CMA-ES needs a package that is not installed: pip install cmaes")
    if distributions and not _numbers(distributions):
        raise TuneCLError(f"{where}: CMA-ES searches numbers, and this space has choices alone; use tpe")
