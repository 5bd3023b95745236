"""The ladder: fine-tune < LwF, fine-tune < Genifer < oracle, on validation data after the last increment.

    python benchmarks/ladder.py                # writes benchmarks/ladder.md and docs/replay.png

Same network, same classifier steps and real images per increment on every rung; the configurations are the defaults
of the shipped spaces. Chains run side by side, one thread each; stages that are in the store are not trained again.
"""

import argparse
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from _chains import Job, run_all
from PIL import Image, ImageDraw

import tune_cl
from tune_cl.chain import Chain, StageStore
from tune_cl.methods import flatten
from tune_cl.records import IncrementRow, RunConfig
from tune_cl.streams import LabelledImages, open_stream

RUNGS = (
    ("frozen", "full"),
    ("finetune", "full"),
    ("lwf", "full"),
    ("genifer", "quick"),
    ("genifer", "full"),
    ("oracle", "full"),
    ("joint", "full"),
)
HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stream", default="fashion-b4-t3")
    parser.add_argument("--seeds", type=int, default=3, help="train seeds 0 .. N-1")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--stages", type=Path, default=Path("results/stages"))
    args = parser.parse_args()
    jobs = [
        Job(f"{method} {budget} {seed}", tune_cl.configure(method, stream=args.stream, budget=budget, train_seed=seed))
        for seed in range(args.seeds)
        for method, budget in RUNGS
    ]
    rows = run_all(jobs, args.stages, args.processes)
    runs = {job.name: job.run for job in jobs}
    (HERE / "ladder.md").write_text(report(args.stream, rows, runs, args.seeds))
    draw_replay(runs["genifer full 0"], args.stages, HERE.parent / "docs" / "replay.png")
    print((HERE / "ladder.md").read_text())


def report(stream: str, rows: dict[str, list[IncrementRow]], runs: dict[str, RunConfig], seeds: int) -> str:
    lines = [
        f"# The ladder on {stream}",
        "",
        f"Validation accuracy over all classes after the last increment; {seeds} training seeds, mean ± standard",
        "error. Made by `python benchmarks/ladder.py`: the defaults of the shipped spaces, one CPU thread a run.",
        "",
        "| rung | budget | classifier steps per increment | real new images per step "
        "| generator steps (base / increment) | accuracy per seed | accuracy | average incremental accuracy "
        "| core-minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    scores = {}
    for method, budget in RUNGS:
        mine = [rows[f"{method} {budget} {seed}"] for seed in range(seeds)]
        scores[method, budget] = [last(row, "val/accuracy") for row in mine]
        run = runs[f"{method} {budget} 0"]
        cells = [
            method,
            budget,
            *(("–", "–") if method == "frozen" else classifier_budget(run)),
            generator_steps(run),
            " ".join(f"{score:.4f}" for score in scores[method, budget]),
            mean_and_error(scores[method, budget]),
            f"{statistics.mean(last(row, 'val/average_incremental_accuracy') for row in mine):.4f}",
            core_minutes(mine),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    fine, oracle, genifer = (scores[method, "full"] for method in ("finetune", "oracle", "genifer"))
    frozen = scores["frozen", "full"]
    lines += [
        "",
        "## What must hold",
        "",
        verdict("fine-tune < LwF", fine, scores["lwf", "full"]),
        verdict("fine-tune < Genifer", fine, genifer),
        verdict("Genifer < oracle", genifer, oracle),
        verdict("oracle < joint (expected, not binding)", oracle, scores["joint", "full"]),
        verdict("never training again < LwF", frozen, scores["lwf", "full"]),
        verdict("never training again < Genifer", frozen, genifer),
    ]
    for budget, bar in (("full", "at least halfway is binding"), ("quick", "for comparison")):
        shares = [f"{100 * way(low, scores['genifer', budget], oracle):.0f} %" for low in (fine, frozen)]
        lines.append(
            f"- Genifer ({budget}) is {shares[0]} of the way from fine-tune to oracle ({bar}), and {shares[1]} of the "
            "way from never training again."
        )
    return "\n".join(lines) + "\n"


def last(rows: Sequence[IncrementRow], metric: str) -> float:
    value = rows[-1].metrics[metric]
    assert value is not None
    return value


def core_minutes(runs: Sequence[Sequence[IncrementRow]]) -> str:
    """CPU time of the costliest chain as if trained alone, over the seeds for which it was measured."""
    chains = [[use.cpu_seconds for row in rows for use in row.stages] for rows in runs]
    measured = [sum(filter(None, chain)) / 60 for chain in chains if None not in chain]
    return f"{max(measured):.1f}" if measured else "–"


def classifier_budget(run: RunConfig) -> tuple[int, int]:
    """Steps of the classifier at the first increment, and images of the increment in each."""
    values = flatten(run.parameters)
    images = len(open_stream(run.stream).training(1).labels)
    batch = values["increment.classifier.batch_size"]
    return values["increment.classifier.epochs"] * math.ceil(images / batch), batch


def generator_steps(run: RunConfig) -> str:
    values = flatten(run.parameters)
    if "base.generator.steps" not in values:
        return "–"
    return f"{values['base.generator.steps']} / {values['increment.generator.steps']}"


def standard_error(scores: Sequence[float]) -> float:
    return statistics.stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else math.nan


def mean_and_error(scores: Sequence[float]) -> str:
    return f"{statistics.mean(scores):.4f} ± {standard_error(scores):.4f}"


def verdict(claim: str, low: Sequence[float], high: Sequence[float]) -> str:
    gap = statistics.mean(high) - statistics.mean(low)
    error = math.hypot(standard_error(low), standard_error(high))
    holds = "holds" if gap > 2 * error else "does NOT hold"
    return f"- {claim}: {holds}, difference {gap:+.4f}, two standard errors of it {2 * error:.4f}."


def way(low: Sequence[float], score: Sequence[float], high: Sequence[float]) -> float:
    bottom = statistics.mean(low)
    return (statistics.mean(score) - bottom) / (statistics.mean(high) - bottom)


def draw_replay(run: RunConfig, stages: Path, path: Path, columns: int = 8, scale: int = 2) -> None:
    """Real images on the left, replayed ones on the right, a row per class that the last replay knew."""
    stream = open_stream(run.stream)
    chain = Chain(run, stream, StageStore(stages))
    preview = None
    while chain.next_increment < run.horizon:
        preview = chain.advance().preview
    assert preview is not None
    height, label, gap, top = stream.image_shape[1] * scale, 110, 24, 22
    width = label + 2 * columns * height + gap
    canvas = Image.new("L", (width, top + height * len(preview)), 255)
    draw = ImageDraw.Draw(canvas)
    draw.text((label, 5), "real", fill=0)
    draw.text((label + columns * height + gap, 5), f"replayed after increment {run.horizon - 1}", fill=0)
    for index, replayed in enumerate(preview):
        t = next(t for t in range(run.horizon) if index in stream.classes(t))
        data = stream.training(t)
        assert isinstance(data, LabelledImages)
        real = data.images[data.labels == index][:columns]
        y = top + index * height
        draw.text((4, y + height // 2 - 6), stream.class_names[index], fill=0)
        paste(canvas, real, label, y, height)
        paste(canvas, replayed[:columns], label + columns * height + gap, y, height)
    path.parent.mkdir(exist_ok=True)
    canvas.save(path)


def paste(canvas: Image.Image, images: torch.Tensor, x: int, y: int, size: int) -> None:
    for j, image in enumerate(images):
        pixels = np.asarray(image[0])
        canvas.paste(Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST), (x + j * size, y))


if __name__ == "__main__":
    main()
