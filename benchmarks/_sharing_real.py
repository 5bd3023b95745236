"""The real part of `sharing.py`: the same trials trained with a shared store and each for itself, from empty stores."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import tune_cl
from tune_cl.records import IncrementRow, RunConfig, SearchFolder, SearchRecord, Summary, read_record

TRIALS, BASES = 32, 4
# A twentieth of the quick budget's generator steps and fewer epochs, so that 64 chains can be trained in half an hour.
# The base is searched, so that there are bases to share; random proposals depend on nothing that happens, so that both
# searches have the same configurations.
BUDGET = {
    "base.classifier.epochs": 2,
    "base.generator.steps": 40,
    "increment.classifier.epochs": 1,
    "increment.generator.steps": 20,
}
BASE_RANGES = {"base.classifier.learning_rate": "{log: [5e-4, 8e-3]}", "base.generator.r1_gamma": "{log: [0.003, 0.3]}"}
SCHEDULERS = ("none", "halving")

Rows = dict[int, list[IncrementRow]]


def real(args: argparse.Namespace) -> str:
    """Run both searches side by side, then every trial alone; compare rows and costs."""
    place = Path(tempfile.mkdtemp(prefix="sharing-", dir=args.scratch))
    try:
        folders = {scheduler: place / scheduler for scheduler in SCHEDULERS}
        searches = [subprocess.Popen(command(scheduler, folder)) for scheduler, folder in folders.items()]
        for search in searches:
            if search.wait():
                raise SystemExit("a search failed")
        shared = {scheduler: SearchFolder(folder / "s") for scheduler, folder in folders.items()}
        runs = {n: read_record(t.config, RunConfig) for n, t in shared["none"].trials().items()}
        alone = train_alone(runs, place / "alone", args.processes)
        return "\n".join(section(shared, alone))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def command(scheduler: str, results: Path) -> list[str]:
    """A search of one trial at a time, so that two run side by side on two cores."""
    script = Path(__file__).parent.parent / "launch" / "search.py"
    changes = [f"--set={path}={value}" for path, value in {**BUDGET, **BASE_RANGES}.items()]
    options = ["--trials", str(TRIALS), "--base-configurations", str(BASES), "--sampler", "random"]
    where = ["--concurrency", "1", "--name", "s", "--results", str(results), "--wandb-mode", "disabled"]
    return [
        *(sys.executable, str(script), "--space", "genifer.yaml", "--stream", "fashion-b4-t3"),
        *(*options, "--scheduler", scheduler, *changes, *where),
    ]


def train_alone(runs: Mapping[int, RunConfig], place: Path, processes: int) -> Rows:
    """Train each configuration with an empty store of its own."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = {n: pool.submit(run_alone, run, place / f"{n:04d}") for n, run in runs.items()}
        return {n: future.result() for n, future in futures.items()}


def run_alone(run: RunConfig, stages: Path) -> list[IncrementRow]:
    """One chain; its stages are not kept."""
    try:
        return tune_cl.run_chain(run, stages=stages)
    finally:
        shutil.rmtree(stages, ignore_errors=True)


def cost(rows: Sequence[IncrementRow], *, paid_only: bool = False) -> float:
    """CPU seconds of the stages of some rows."""
    uses = [use for row in rows for use in row.stages]
    return sum(use.cpu_seconds or 0.0 for use in uses if use.origin == "trained" or not paid_only)


def section(shared: Mapping[str, SearchFolder], alone: Rows) -> list[str]:
    record = read_record(shared["none"].search, SearchRecord)
    budget = ", ".join(f"`{path}` {value}" for path, value in BUDGET.items())
    lines = [
        "## Trained for real, with and without sharing",
        "",
        f"{TRIALS} trials of `{record.method}` on `{record.stream.name}`, {BASES} base configurations at most, random "
        f"proposals, empty stores. A reduced budget ({budget}), since every trial is trained for itself, too. The two "
        "searches, each one trial at a time, ran side by side; then each configuration was trained alone with an empty "
        "store of its own, two at a time. Costs are CPU seconds of the stages. A stopped trial is compared with the "
        "same increments of its lone twin.",
        "",
        "| scheduler | trials: full, stopped | rows equal to the lone twins' | b | k | N | alone | with sharing "
        "| saving, measured | bound of b, k, N | measured / bound |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for scheduler, folder in shared.items():
        summary = read_record(folder.summary, Summary)
        rows = {n: trial.rows() for n, trial in folder.trials().items()}
        twins = {n: alone[n][: len(of_trial)] for n, of_trial in rows.items()}
        equal = sum(
            [row.comparable() for row in rows[n]] == [row.comparable() for row in twins[n]]
            and read_record(folder.trial(n).config, RunConfig) == read_record(shared["none"].trial(n).config, RunConfig)
            for n in rows
        )
        n_trials = len(rows)
        k = len({of_trial[0].stages[-1].key for of_trial in rows.values()})
        without = sum(cost(of_trial) for of_trial in twins.values())
        b = sum(cost(of_trial[:1]) for of_trial in twins.values()) / without
        paid = sum(cost(of_trial, paid_only=True) for of_trial in rows.values())
        bound = 1 / (1 - b * (1 - k / n_trials))
        cells = [
            scheduler,
            f"{summary.trials['finished']}, {summary.trials['stopped']}",
            f"{equal} of {n_trials}",
            f"{b:.3f}",
            k,
            n_trials,
            f"{without:.0f} s",
            f"{paid:.0f} s",
            f"{without / paid:.3f}",
            f"{bound:.3f}",
            f"{without / paid / bound - 1:+.1%}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += [
        "",
        "b is measured on the lone trials, and the bound is computed from it, not from the searches' own rows.",
    ]
    return lines
