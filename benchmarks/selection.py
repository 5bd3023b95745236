"""What a search hands back, beside Optuna used plainly, at equal cost, on smooth surrogates of recorded trials.

python benchmarks/selection.py                        # writes benchmarks/selection.md, about 20 minutes of CPU
python benchmarks/selection.py --search-seeds 4       # a quick look
"""

import argparse
import functools
import json
import math
import re
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import optuna
import torch
from _arms import Arm, Problem, best_mean, best_seen, ours, plain
from _race import RACES, Outcome, outcome, race_row, tuned_default
from _surrogate import Surrogate
from optuna.samplers import CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from simulator import Recording, recorded_space

from tune_cl.records import read_record

HERE = Path(__file__).parent
RECORDING = HERE / "recordings" / "genifer-fashion-b4-t3-quick.json"
# Standard deviation of the final value over train seeds: benchmarks/gain.md and the searches before it.
NOISE = 0.0096
BUDGETS = {  # in full trials, by table
    "average incremental accuracy, base fixed": (8, 16, 32),
    "average incremental accuracy, base searched": (16, 32),
    "accuracy after the last increment, base fixed": (16, 32),
}
BASE = ("base.classifier.learning_rate", "base.generator.r1_gamma")
REFERENCE = "Optuna TPE"

ARMS: dict[str, Arm] = {
    "auto, halving": ours("auto"),
    "auto, no stopping": ours("auto", "none"),
    "tpe, halving": ours("tpe"),
    "random, halving": ours("random"),
    "tpe, halving, warm start": ours("tpe", earlier="helpful"),
    "tpe, halving, misleading warm start": ours("tpe", earlier="misleading"),
    "tpe, halving, default as a belief": ours("tpe", believe_default=True),
    "auto(gp=8), halving": ours("auto(gp=8)"),
    "auto, halving, warm start": ours("auto", earlier="helpful"),
    REFERENCE: plain(lambda seed: TPESampler(seed=seed)),
    "Optuna GP": plain(lambda seed: GPSampler(seed=seed)),
    "Optuna CMA-ES": plain(lambda seed: CmaEsSampler(seed=seed)),
    "Optuna QMC": plain(lambda seed: QMCSampler(seed=seed, warn_asynchronous_seeding=False)),
    "Optuna random": plain(lambda seed: RandomSampler(seed=seed)),
}
RACE = "races of the best trials over train seeds"
RACE_BUDGETS = (16, 32)
RACE_DEFAULTS = {  # in words -> rank among the recorded configurations; 0 for the default as it is
    "The space's own default": 0,
    "A good default, the sixth best recorded configuration": 6,
    "A default that is hard to beat, the best recorded configuration": 1,
}
RACE_HEAD = (
    "| `--seeds` | budget | default wrongly beaten | true gain | gain told − true gain | interval holds it "
    "| said clear |",
    "|---|---|---|---|---|---|---|",
)
BY_MEAN = ("auto, halving",)  # arms of which the posterior mean picks the winner, too
Values = dict[str, dict[str, list[float]]]  # arm -> budget -> value of what it hands back, by search seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--search-seeds", type=int, default=30, metavar="N", help="search seeds 0 .. N-1")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--budgets", nargs="+", type=int, help="in full trials (default: 8, 16, 32, 64, or 16, 32)")
    parser.add_argument("--tables", nargs="+", choices=[*PROBLEMS, RACE], default=[*PROBLEMS, RACE])
    parser.add_argument("--output", type=Path, default=HERE / "selection.md")
    parser.add_argument("--values", type=Path, help="JSON file of every value, added to if it is there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    kept: dict[str, Any] = json.loads(args.values.read_text()) if args.values and args.values.exists() else {}
    sections = {"": HEAD, **{name: text for name, text in kept_sections(args.output).items() if name}}
    for name in args.tables:
        table = kept.setdefault(name, {})
        if name == RACE:
            sections[RACE] = "\n".join(race_section(args.search_seeds, table))
        else:
            problem, budgets = PROBLEMS[name](), args.budgets or BUDGETS[name]
            for arm in args.arms:
                run_arm(problem, arm, budgets, args.search_seeds, table)
                if args.values:
                    args.values.write_text(json.dumps(kept))
            sections[name] = "\n".join(section(problem, table, budgets))
        if args.values:
            args.values.write_text(json.dumps(kept))
        write_sections(args.output, sections)
    print(args.output.read_text())


@functools.cache
def recording() -> Recording:
    return read_record(RECORDING, Recording)


def fixed_base() -> Problem:
    """The five parameters of the increments; the base is the default's."""
    found = recording()
    return Problem(recorded_space(found, {path: found.default[path] for path in BASE}), Surrogate(found, NOISE))


def searched_base() -> Problem:
    """All seven parameters, two of them choices of the base."""
    return Problem(recorded_space(recording()), Surrogate(recording(), NOISE))


def last_accuracy() -> Problem:
    """Accuracy after the last increment in place of its average over increments."""
    found = recording()
    space = recorded_space(found, {path: found.default[path] for path in BASE})
    return Problem(space, Surrogate(found, NOISE, "val/accuracy"))


PROBLEMS = {
    "average incremental accuracy, base fixed": fixed_base,
    "average incremental accuracy, base searched": searched_base,
    "accuracy after the last increment, base fixed": last_accuracy,
}


def run_arm(problem: Problem, arm: str, budgets: Sequence[int], seeds: int, table: Values) -> None:
    """Run an arm at each budget, as a search that was begun with that many trials."""
    left = [b for b in budgets if any(len(table.get(name, {}).get(str(b), ())) < seeds for name in names_of(arm))]
    if not left:
        return
    if arm.startswith("Optuna"):  # knows of no budget: a shorter search is the beginning of a longer one
        whole = [ARMS[arm](problem, max(left), seed) for seed in range(seeds)]
        found = {budget: [[t for t in trials if t.paid <= budget] for trials in whole] for budget in left}
    else:
        found = {budget: [ARMS[arm](problem, budget, seed) for seed in range(seeds)] for budget in left}
    for name in names_of(arm):
        pick = best_seen if name == arm else best_mean
        for budget, searches in found.items():
            table.setdefault(name, {})[str(budget)] = [problem.value(pick(problem, trials)) for trials in searches]


def kept_sections(output: Path) -> dict[str, str]:
    """The sections of the page as it is, by heading: what is not made anew stays, what was written by hand among it."""
    if not output.exists():
        return {}
    parts = re.split(r"^## (.*)\n+", output.read_text(), flags=re.MULTILINE)
    names = ["", *(heading[0].lower() + heading[1:] for heading in parts[1::2])]
    return {name: text.rstrip() for name, text in zip(names, parts[::2], strict=True)}


def write_sections(output: Path, sections: Mapping[str, str]) -> None:
    """The head, then the sections, those written by hand last."""
    made = [name for name in sections if name in (*PROBLEMS, RACE)]
    names = [*made, *(name for name in sections if name and name not in made)]
    parts = [sections[""], *(f"## {name[0].upper()}{name[1:]}\n\n{sections[name]}" for name in names)]
    output.write_text("\n\n".join(parts) + "\n")


def race_section(seeds: int, table: dict[str, list[Any]]) -> list[str]:
    """How often the default is wrongly beaten, with and without a race of the best trials over train seeds."""
    lines = [RACE_TEXT]
    for words, rank in RACE_DEFAULTS.items():
        problem = tuned_default(fixed_base(), rank) if rank else fixed_base()
        lines += [f"\n{words} ({problem.value({}):.4f}):\n", *RACE_HEAD]
        for budget in RACE_BUDGETS:
            for name, race in RACES.items():
                found = table.setdefault(f"{words}, {name}, {budget}", [])
                for seed in range(len(found), seeds):
                    found.append(astuple(outcome(problem, ours("tpe"), race, budget, seed)))
                lines.append(race_row(name, budget, [Outcome(*numbers) for numbers in found[:seeds]]))
    return lines


def names_of(arm: str) -> list[str]:
    return [arm, f"{arm}, winner by posterior mean"] if arm in BY_MEAN else [arm]


def section(problem: Problem, table: Values, budgets: Sequence[int]) -> list[str]:
    surrogate = problem.surrogate
    fit, error = surrogate.cross_validated()
    ranks = ", ".join(f"{value:.2f}" for value in surrogate.rank_correlations())
    default = problem.value({})
    lines = [
        f"{len(surrogate)} recorded configurations, {len(problem.space.ranges)} parameters searched; tenfold "
        f"cross-validation of the final value: R² {fit:.2f}, root mean squared error {error:.3f}. Rank correlation of "
        f"increments 1 and 2 with the final value: {ranks}. The default has {default:.4f}.\n",
        "| arm | " + " | ".join(map(str, budgets)) + " |",
        "|---|" + "---|" * len(budgets),
    ]
    shown = [arm for arm in table if any(str(budget) in table[arm] for budget in budgets)]
    for arm in shown:
        cells = [cell(table[arm].get(str(budget))) for budget in budgets]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    lines += [
        f"\nDifferences from {REFERENCE}, paired by search seed:\n",
        "| arm | " + " | ".join(map(str, budgets)) + " |",
        "|---|" + "---|" * len(budgets),
    ]
    for arm in shown:
        if arm != REFERENCE:
            pairs = [(table[arm].get(str(b)), table.get(REFERENCE, {}).get(str(b))) for b in budgets]
            cells = [signed([x - y for x, y in zip(a, b, strict=True)]) if a and b else "–" for a, b in pairs]
            lines.append(f"| {arm} | {' | '.join(cells)} |")
    return lines


def cell(values: Sequence[float] | None) -> str:
    if not values:
        return "–"
    return f"{statistics.mean(values):.4f} ± {standard_error(values):.4f} ({min(values):.3f})"


def signed(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):+.4f} ± {standard_error(values):.4f}"


def standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


RACE_TEXT = """\
Surfaces, noise and costs as above: average incremental accuracy, base fixed, the search by `tpe`, halving. All arms
of a budget cost the same in full trials: a run of a finalist costs one, since the base task is shared, so that a
search with a race has fewer trials (as many as leave room for it). Wrongly beaten: the configuration handed back is
worse than the default without noise. The gain told is the difference of the best value and the default's, one run
each, without a race, and the one under fresh seeds with it, whose 95 % interval should hold the true gain in 19 of
20 searches where another than the default won. Said clear: that interval lies above 0."""

HEAD = f"""# What a search hands back

Made by `python benchmarks/selection.py`. One worker. Each number is the value *without noise* of the configuration
that a search hands back, mean ± standard error over search seeds (the worst seed in brackets). Budgets are in full
trials, the base task excluded; a trial stopped at increment t of T costs t/T. Our arms try the default first, as every
search here does, and are begun with as many trials as the budget; Optuna's have their default settings, no pruner, and
do not know the default.

The surfaces are Gaussian processes fitted to one recording of `genifer` on `fashion-b4-t3` (`{RECORDING.name}`):
some sixty random configurations, seven parameters, one train seed. So they are smoother than the truth, they rest on
few points (see each table's cross-validation), and the tables share those points: they are not independent. What a
trial reports has noise of standard deviation {NOISE}, as measured over train seeds. Optuna's QMC is not scrambled by
default: its seeds differ in the noise alone.

Warm start: an earlier search of 16 random trials that ended after the first increment, under another train seed; its
cost is not counted. It is of the same surfaces, on which the first increment ranks much as the last does, so it is a
friendly one. The misleading one takes its worst trials for its best. Default as a belief: `confidence: medium` at every
parameter."""


if __name__ == "__main__":
    main()
