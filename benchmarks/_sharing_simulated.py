"""The simulated part of `sharing.py`: what sharing saves at a published run's cost, many searches in minutes.

It says nothing of accuracy: a proposal replays the recorded trial nearest to it, and on such a surface of steps one
sampler cannot be told from another.
"""

import argparse
import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from simulator import Recording, SimulatedSearch, Simulation, simulate

from tune_cl.records import read_record

# Base parameters with continuous ranges: a sampler that knows nothing of prefixes opens a new base in every trial.
BASE_RANGES = {
    "base.classifier.learning_rate": {"log": [5e-4, 8e-3]},
    "base.generator.r1_gamma": {"log": [0.003, 0.3]},
}
LIMITS = (1, 4, 8, None)  # k; None: unlimited, the unaware sampler
SCHEDULERS: tuple[Literal["none", "halving"], ...] = ("none", "halving")

# CIFAR-100, 50 + 5 x 10 classes, as in the released code of Genifer (arXiv 2106.05350).
PAPER_TRIALS, PAPER_WORKERS, PAPER_HORIZON = 32, 4, 5
MILLION = 1e6
PAPER_IMAGES = {
    (True, "classifier"): 100 * 25_000 / MILLION,  # 100 epochs
    (True, "generator"): 250_000 * 64 * 2 / MILLION,  # steps x batch x (real and fake)
    (False, "classifier"): 100 * (5_000 + 5_000) / MILLION,  # 100 epochs of real images, with as many replayed
    (False, "generator"): 80_000 * 64 * 2 / MILLION,
}


def paper_cost(increment: int, phase: str) -> float:
    """Millions of images trained in a phase."""
    return PAPER_IMAGES[increment == 0, phase]


def simulated(args: argparse.Namespace) -> str:
    """The simulated section."""
    seeds = range(args.search_seeds)
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        files = [args.recording] * len(seeds)
        paper = list(pool.map(paper_searches, files, seeds))
    return "\n".join(cost_section(paper))


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


def n_finished(search: SimulatedSearch) -> int:
    return sum(trial.state == "finished" for trial in search.trials)


def mean_and_error(values: Sequence[float], places: int) -> str:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.mean(values):.{places}f} ± {error:.{places}f}"
