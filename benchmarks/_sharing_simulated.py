"""The simulated part of `sharing.py`: recorded trials replayed, many searches in minutes."""

import argparse
import math
import random
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from tune_cl.engine import SimulatedSearch, Simulation, simulate
from tune_cl.records import RecordedTrial, Recording, read_record

# Base parameters with continuous ranges: a sampler that knows nothing of prefixes opens a new base in every trial.
BASE_RANGES = {
    "base.classifier.learning_rate": {"log": [5e-4, 8e-3]},
    "base.generator.r1_gamma": {"log": [0.003, 0.3]},
}
LIMITS = (1, 4, 8, None)  # k; None: unlimited, the unaware sampler
SCHEDULERS: tuple[Literal["none", "halving"], ...] = ("none", "halving")
SAMPLERS = ("tpe", "random")

# Part a: CIFAR-100, 50 + 5 x 10 classes, as in the released code of Genifer (arXiv 2106.05350).
PAPER_TRIALS, PAPER_WORKERS, PAPER_HORIZON = 32, 4, 5
MILLION = 1e6
PAPER_IMAGES = {
    (True, "classifier"): 100 * 25_000 / MILLION,  # 100 epochs
    (True, "generator"): 250_000 * 64 * 2 / MILLION,  # steps x batch x (real and fake)
    (False, "classifier"): 100 * (5_000 + 5_000) / MILLION,  # 100 epochs of real images, with as many replayed
    (False, "generator"): 80_000 * 64 * 2 / MILLION,
}

# Part b: as many trials as people run; the search that the others are held to is the unaware one.
TRIALS = (8, 16, 32)


@dataclass(frozen=True)
class Arm:
    """Searches that are compared by seed."""

    sampler: str
    limit: int | None
    trials: int


@dataclass(frozen=True)
class Outcome:
    """Of one search seed: best values of an arm, and what it cost."""

    best: float  # with as many trials as the unaware search
    paid: float
    best_at_equal_cost: float
    trials_at_equal_cost: int


def paper_cost(increment: int, phase: str) -> float:
    """Millions of images trained in a phase."""
    return PAPER_IMAGES[increment == 0, phase]


def simulated(args: argparse.Namespace) -> str:
    """Both simulated sections."""
    recording = read_record(args.recording, Recording)
    seeds = range(args.search_seeds)
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        files = [args.recording] * len(seeds)
        paper = list(pool.map(paper_searches, files, seeds))
        outcomes = list(pool.map(compare, files, seeds))
        control = list(pool.map(compare_shuffled, files, seeds))
    return "\n".join([*cost_section(paper), "", *value_section(recording, outcomes, control)])


def paper_searches(file: Path, seed: int) -> dict[tuple[str, int | None], SimulatedSearch]:
    """One search seed at the paper's cost, by scheduler and limit."""
    recording = read_record(file, Recording)
    return {
        (scheduler, limit): simulate(
            recording,
            Simulation(
                trials=PAPER_TRIALS,
                search_seed=seed,
                scheduler=scheduler,
                base_configurations=limit,
                workers=PAPER_WORKERS,
                cost=paper_cost,
                horizon=PAPER_HORIZON,
                ranges=BASE_RANGES,
            ),
        )
        for scheduler, limit in product(SCHEDULERS, LIMITS)
    }


def compare(file: Path, seed: int) -> dict[Arm, Outcome]:
    """One search seed, base and curves as recorded."""
    return compared(read_record(file, Recording), seed)


def compare_shuffled(file: Path, seed: int) -> dict[Arm, Outcome]:
    """One search seed, with the recorded bases shuffled among the trials: which base it is says nothing of a curve."""
    return compared(shuffled(read_record(file, Recording), seed), seed)


def shuffled(recording: Recording, seed: int) -> Recording:
    """A recording whose trials have each other's base parameters; the first, the default, keeps its own."""
    default, *others = recording.trials
    bases = [{path: trial.parameters[path] for path in BASE_RANGES} for trial in others]
    random.Random(seed).shuffle(bases)
    moved = [
        trial.model_copy(update={"parameters": {**trial.parameters, **base}})
        for trial, base in zip(others, bases, strict=True)
    ]
    return recording.model_copy(update={"trials": [default, *moved]})


def compared(recording: Recording, seed: int) -> dict[Arm, Outcome]:
    """Each arm with the unaware search's number of trials, and at its cost; costs are the recorded ones."""
    outcomes: dict[Arm, Outcome] = {}
    for sampler, trials in product(SAMPLERS, TRIALS):
        common: dict[str, Any] = {"sampler": sampler, "search_seed": seed, "ranges": BASE_RANGES}
        unaware = simulate(recording, Simulation(trials=trials, **common))
        outcomes[Arm(sampler, None, trials)] = Outcome(best(unaware), unaware.paid, best(unaware), trials)
        for limit in (limit for limit in LIMITS if limit is not None):
            same = simulate(recording, Simulation(trials=trials, base_configurations=limit, **common))
            affordable = max(trials, math.floor(trials * unaware.paid / same.paid))
            equal = simulate(recording, Simulation(trials=affordable, base_configurations=limit, **common))
            at_equal_cost = equal.best_at(unaware.paid)
            assert at_equal_cost is not None  # trial 0 is never stopped
            within = sum(trial.paid_by_all <= unaware.paid for trial in equal.trials)
            outcomes[Arm(sampler, limit, trials)] = Outcome(best(same), same.paid, at_equal_cost, within)
    return outcomes


def best(search: SimulatedSearch) -> float:
    assert search.best_value is not None  # trial 0 is never stopped
    return search.best_value


def cost_section(by_seed: Sequence[dict[tuple[str, int | None], SimulatedSearch]]) -> list[str]:
    lines = [
        "## Simulated: the cost of the paper's CIFAR-100 run",
        "",
        f"{PAPER_TRIALS} trials, {PAPER_WORKERS} workers, TPE, mean ± standard error over {len(by_seed)} search seeds. "
        "The cost of a phase is the images that it trains on, in millions: base classifier "
        f"{paper_cost(0, 'classifier'):g} (100 epochs of 25,000), base GAN {paper_cost(0, 'generator'):g} (250,000 "
        f"steps × 64 × 2, real and fake); at each of 5 increments the classifier {paper_cost(1, 'classifier'):g} (100 "
        "epochs of 5,000 real images and as many replayed) and, but for the last, the GAN "
        f"{paper_cost(1, 'generator'):g} (80,000 × 64 × 2). A validation split of 10 %, which a search here would hold "
        "back, is not taken off; an image costs the same in either network.",
        "",
        "Which trials are stopped is decided by the recorded curves of `fashion-b4-t3`, whose horizon is 3: increments "
        "4 and 5 repeat the values of increment 3, so that the rung at increment 4 judges by those. The costs without "
        "stopping do not depend on any curve. Both base parameters have continuous ranges. Saving = cost of all trials "
        "trained alone / cost paid; bound = 1 / (1 − b(1 − k/N)), with b the share of the base in the cost as if alone "
        "and k the base configurations that were trained. Idle: share of the workers' time in which they waited for a "
        "stage or, while a base was in training, for a proposal.",
        "",
        "| stopping | base configurations allowed | trained (k) | trials finished | b | saving | bound | idle |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for scheduler, limit in product(SCHEDULERS, LIMITS):
        searches = [searches[scheduler, limit] for searches in by_seed]
        cells = [
            scheduler,
            "unlimited" if limit is None else str(limit),
            f"{statistics.mean(search.base_configurations for search in searches):g}",
            f"{statistics.mean(n_finished(search) for search in searches):.1f}",
            f"{statistics.mean(search.base_share for search in searches):.3f}",
            mean_and_error([search.saving for search in searches], 3),
            mean_and_error([search.bound for search in searches], 3),
            f"{100 * statistics.mean(s.idle / (PAPER_WORKERS * s.makespan) for s in searches):.1f} %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    gap = max(abs(search.saving / search.bound - 1) for searches in by_seed for search in searches.values())
    return [*lines, "", f"Saving and bound differ by at most {100 * gap:.2g} % in any of these searches."]


def value_section(
    recording: Recording, by_seed: Sequence[dict[Arm, Outcome]], control: Sequence[dict[Arm, Outcome]]
) -> list[str]:
    finals = {trial.trial: final(recording, trial) for trial in recording.trials}
    default = recording.trials[0]
    beside_default = [trial.trial for trial in recording.trials if base_of(trial) == base_of(default)]
    n_bases = len({base_of(trial) for trial in recording.trials})
    of_default = max(finals[number] for number in beside_default)
    favour = ", the best of all, which favours k = 1" if of_default == max(finals.values()) else ""
    lines = [
        "## Simulated: does reuse cost accuracy?",
        "",
        f"Searches over {len(recording.trials)} recorded trials of `{recording.method}` on `{recording.stream.name}` "
        f"({recording.budget} budget), halving, one worker, {len(by_seed)} search seeds; costs are the recorded CPU "
        f"seconds. The figure of merit is the best finished `{recording.objective}`: the recorded trials lie between "
        f"{min(finals.values()):.4f} and {max(finals.values()):.4f}, the default at {finals[default.trial]:.4f}. "
        "*Unaware*: base ranges are continuous and every trial opens a base of its own, at the given number of trials; "
        "the others may train k bases. *Equal trials*: as many trials, at less cost. *Equal cost*: as many trials as "
        "the unaware search's cost pays for. Differences are paired by seed; mean ± standard error.",
        "",
        f"How far this carries. A proposal replays the recorded trial nearest to it, of the nearest of {n_bases} "
        "recorded bases: the surface consists of steps. A search with k = 1 stays with the default's base and finds at "
        f"most the best of its {len(beside_default)} recorded trials, {of_default:.4f}"
        f"{favour}, while one over all bases draws from all trials; in a real search a base has as many increments to "
        "try as one likes. Hence the columns *bases shuffled*: the same searches, but with the recorded bases dealt "
        "out to the trials at random (the default keeps its own), so that the base has no influence. What is lost "
        "there is lost to the thinness of the recording; only what is lost beyond it is the cost of few bases. Trials "
        "that replay one curve tie, and ties are not stopped. The base explains "
        f"{100 * explained_by_base(recording):.0f} % of the variance of the recorded final values (adjusted R²; below "
        "0 where it is less than chance would give). One training seed, one class order.",
        "",
        "| sampler | trials of the unaware search | k | paid, share of unaware | best, equal trials | − unaware "
        "| the same, bases shuffled | trials at equal cost | best, equal cost | − unaware | the same, bases shuffled |",
        f"|{11 * '---|'}",
    ]
    for sampler, trials, limit in product(SAMPLERS, TRIALS, (None, *LIMITS[:-1])):
        arm, reference = Arm(sampler, limit, trials), Arm(sampler, None, trials)
        mine = [outcomes[arm] for outcomes in by_seed]
        pairs = [(outcomes[arm], outcomes[reference]) for outcomes in by_seed]
        shuffled_pairs = [(outcomes[arm], outcomes[reference]) for outcomes in control]
        cells = [
            sampler,
            str(trials),
            "unaware" if limit is None else str(limit),
            f"{statistics.mean(one.paid / other.paid for one, other in pairs):.2f}",
            mean_and_error([one.best for one in mine]),
            *(difference([one.best - other.best for one, other in p], limit) for p in (pairs, shuffled_pairs)),
            f"{statistics.mean(one.trials_at_equal_cost for one in mine):.1f}",
            mean_and_error([one.best_at_equal_cost for one in mine]),
            *(
                difference([one.best_at_equal_cost - other.best for one, other in p], limit)
                for p in (pairs, shuffled_pairs)
            ),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def difference(values: Sequence[float], limit: int | None) -> str:
    return "" if limit is None else mean_and_error(values, sign="+")


def final(recording: Recording, trial: RecordedTrial) -> float:
    """A recorded trial's objective at the horizon."""
    value = trial.increments[-1].metrics[recording.objective]
    return math.nan if value is None else value


def base_of(trial: RecordedTrial) -> str:
    return trial.increments[0].stages[-1].key


def explained_by_base(recording: Recording) -> float:
    """Adjusted R² of the final values on the recorded bases."""
    groups: dict[str, list[float]] = {}
    for trial in recording.trials:
        groups.setdefault(base_of(trial), []).append(final(recording, trial))
    values = [value for group in groups.values() for value in group]
    within = sum((value - statistics.mean(group)) ** 2 for group in groups.values() for value in group)
    degrees = len(values) - len(groups)
    return 1 - within / degrees / statistics.variance(values) if degrees else math.nan


def n_finished(search: SimulatedSearch) -> int:
    return sum(trial.state == "finished" for trial in search.trials)


def mean_and_error(values: Sequence[float], places: int = 4, sign: str = "") -> str:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.mean(values):{sign}.{places}f} ± {error:.{places}f}"
