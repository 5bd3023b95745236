"""The exemplar methods on both embedded streams: plain, balanced and finetuned, with and without a memory.

    python benchmarks/exemplars.py             # writes benchmarks/exemplars.md

The configurations are the defaults of the shipped spaces, but for what the table says. Chains run side by side, one
thread each; stages that are in the store are not trained again. Accuracies are on validation data.
"""

import argparse
import statistics
from collections.abc import Mapping
from pathlib import Path

from _chains import Job, run_all
from _exemplars import METHODS, Comparison
from _ladder import last, mean_and_error

import tune_cl
from tune_cl.records import IncrementRow

HERE = Path(__file__).parent
SEEDS = 3
STREAMS = {"fashion-b4-t3": 20, "quickdraw-b50-t5": 5}  # -> exemplars of a class
CONTROLS = ("frozen", "finetune", "lwf", "joint")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--stages", type=Path, default=Path("results/stages"))
    parser.add_argument("--streams", nargs="+", choices=STREAMS, default=list(STREAMS))
    args = parser.parse_args()
    lines = HEADING.splitlines()
    for stream in args.streams:
        rows = run_all(control_jobs(stream), args.stages, args.processes)
        for comparison in comparisons(stream):
            rows |= run_all(comparison.tuning_jobs(), args.stages, args.processes)
            rows |= run_all(comparison.jobs(rows), args.stages, args.processes)
        lines += report(stream, rows)
        (HERE / "exemplars.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def comparisons(stream: str) -> list[Comparison]:
    return [Comparison(method, stream, STREAMS[stream], "quick", SEEDS) for method in METHODS]


def control_jobs(stream: str) -> list[Job]:
    """The controls at the defaults of their spaces."""
    return [
        Job(f"{name} {stream} seed {seed}", tune_cl.configure(name, stream=stream, budget="quick", train_seed=seed))
        for name in CONTROLS
        for seed in range(SEEDS)
    ]


def report(stream: str, rows: Mapping[str, list[IncrementRow]]) -> list[str]:
    lines = [
        "",
        f"## {stream}, {STREAMS[stream]} exemplars of a class",
        "",
        "| control | accuracy | average incremental accuracy |",
        "|---|---|---|",
    ]
    for name in CONTROLS:
        mine = [rows[f"{name} {stream} seed {seed}"] for seed in range(SEEDS)]
        values = [[last(row, f"val/{metric}") for row in mine] for metric in ("accuracy", AVERAGE)]
        lines.append(f"| {name} | {' | '.join(map(mean_and_error, values))} |")
    lines += [
        "",
        "| method | arm | grid: average incremental accuracy, one seed | best point | accuracy per seed | accuracy "
        "| average incremental accuracy | of old classes | of new classes | accuracy by nearest means |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for comparison in comparisons(stream):
        lines += comparison.report(rows)
    frozen = statistics.mean(last(rows[f"frozen {stream} seed {seed}"], "val/accuracy") for seed in range(SEEDS))
    lines += ["", "What the table says, by accuracy after the last increment:", ""]
    for comparison in comparisons(stream):
        lines += [*comparison.verdicts(rows), *comparison.below(frozen, rows)]
    return lines


AVERAGE = "average_incremental_accuracy"
HEADING = f"""# The exemplar methods: plain, balanced, finetuned, and without a memory

Made by `python benchmarks/exemplars.py`; {SEEDS} training seeds, mean ± standard error. Accuracies are over all classes
seen, on validation data, after the last increment. One class order, one validation split, one CPU thread a run, budget
`quick`. They say what holds at 28×28 pixels with a small network, not what a paper reached.

Five arms of each method: plain cross-entropy (PODNet: its NCA), *balanced* softmax cross-entropy, plain followed by a
real *balanced finetuning* (20 passes, at least 150 steps), and without a memory plain and *relaxed* (ε 1e-6, as `lwf`
has it). Every arm is tuned over the same grid, two rates times what the method's own paper or code varies, by the
average incremental accuracy of one more training seed; then it runs at its best point under three seeds. Grid and
report are judged on the same validation images, in all arms alike. All else is the default of the method's space."""


if __name__ == "__main__":
    main()
