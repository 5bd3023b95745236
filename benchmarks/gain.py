"""Is the gain of a search real? Winner and default retrained with fresh seeds, for several search seeds.

    python benchmarks/gain.py                  # writes benchmarks/gain.md

For each search seed: `launch/search.py --space genifer.yaml`, then its winner and the default are trained again with
training and validation-split seeds that the search has not seen, and compared pairwise on validation data.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

from _chains import Job, run_all
from scipy.stats import t

from tune_cl.records import RunConfig, SearchFolder, SearchRecord, Summary, read_record
from tune_cl.text import setting_text

HERE = Path(__file__).parent
METRIC = "val/average_incremental_accuracy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="genifer.yaml")
    parser.add_argument("--search-seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fresh-seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--search", type=Path, help="folder of a search that is there, in place of searches of its own")
    args = parser.parse_args()
    if args.search:
        folders = {read_record(SearchFolder(args.search).search, SearchRecord).seeds.search: SearchFolder(args.search)}
    else:
        folders = {seed: run_search(args.space, seed, args.results) for seed in args.search_seeds}
    jobs = {"default": read_record(next(iter(folders.values())).trial(0).config, RunConfig)}
    jobs |= {f"winner {seed}": read_record(folder.best_config, RunConfig) for seed, folder in folders.items()}
    fresh = [Job(f"{name} / {seed}", reseeded(run, seed)) for seed in args.fresh_seeds for name, run in jobs.items()]
    rows = run_all(fresh, args.results / "stages", args.processes)
    scores = {
        name: [float(rows[f"{name} / {seed}"][-1].metrics[METRIC] or math.nan) for seed in args.fresh_seeds]
        for name in jobs
    }
    (HERE / "gain.md").write_text(report(args.space, folders, scores, args.fresh_seeds))
    print((HERE / "gain.md").read_text())


def run_search(space: str, seed: int, results: Path) -> SearchFolder:
    """Run (or continue) a search, each seed under a name of its own; the stage store is shared."""
    name = f"gain-{Path(space).stem}-{seed}"
    script = HERE.parent / "launch" / "search.py"
    command = [sys.executable, str(script), "--space", space, "--search-seed", str(seed)]
    where = ["--name", name, "--results", str(results), "--wandb-mode", "disabled"]
    subprocess.run([*command, *where], check=True)
    return SearchFolder(results / name)


def reseeded(run: RunConfig, seed: int) -> RunConfig:
    """The same configuration with a fresh training seed and a fresh validation split."""
    stream = run.stream.model_copy(update={"split_seed": seed})
    return run.model_copy(update={"train_seed": seed, "stream": stream})


def report(space: str, folders: dict[int, SearchFolder], scores: dict[str, list[float]], fresh: list[int]) -> str:
    lines = [
        f"# Is the gain real? ({space}, quick budget)",
        "",
        "Average incremental accuracy on validation data. Winner and default of each search, retrained with fresh",
        f"training and split seeds ({', '.join(map(str, fresh))}); differences are paired by seed, with their 95 %",
        "interval (Student's t). Made by `python benchmarks/gain.py`, or with `--search FOLDER` of a search that was",
        "there.",
        "",
        "| search seed | trials: finished, stopped | gain the search saw (trial 0 → winner) | default, fresh seeds "
        "| winner, fresh seeds | mean difference, 95 % interval | verdict | chosen |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for seed, folder in folders.items():
        summary = read_record(folder.summary, Summary)
        best = summary.best
        assert best is not None and best.default_value is not None
        default, winner = scores["default"], scores[f"winner {seed}"]
        mean, half = paired(default, winner)
        cells = [
            seed,
            f"{summary.trials['finished']}, {summary.trials['stopped']}",
            f"{best.default_value:.4f} → {best.value:.4f}",
            spread(default),
            spread(winner),
            f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]",
            "real" if mean - half > 0 else "worse" if mean + half < 0 else "within noise",
            ", ".join(
                f"{path.removeprefix('increment.')} {setting_text(value)}" for path, value in best.parameters.items()
            ),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    pooled = [w - d for seed in folders for w, d in zip(scores[f"winner {seed}"], scores["default"], strict=True)]
    every = json.dumps([round(value, 4) for value in pooled])
    lines += ["", f"Every difference: {every}; mean {statistics.mean(pooled):+.4f}."]
    return "\n".join(lines) + "\n"


def paired(default: list[float], winner: list[float]) -> tuple[float, float]:
    """Mean of the paired differences, and half the width of its 95 % interval."""
    differences = [w - d for w, d in zip(winner, default, strict=True)]
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return statistics.mean(differences), float(t.ppf(0.975, len(differences) - 1)) * error


def spread(scores: list[float]) -> str:
    return f"{statistics.mean(scores):.4f} ({' '.join(f'{score:.3f}' for score in scores)})"


if __name__ == "__main__":
    main()
