"""`tune-cl train`: one chain, without Ray and without a search."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tune_cl.chain import CHECKPOINT_SECONDS, Chain, Pins, StageStore, read_named_backbone, read_run, settings_of
from tune_cl.chain import Progress as PhaseProgress
from tune_cl.cli._data import open_named
from tune_cl.cli._named_plugins import load_named
from tune_cl.cli._parser import check_seeds, loader_workers, seconds, train_parser
from tune_cl.engine import DISK_SECONDS, describe_failure, override, save_weights, write_grid
from tune_cl.errors import TuneCLError
from tune_cl.methods import Diverged
from tune_cl.records import IncrementRow, RunConfig, TrialFolder, make_folder, read_record, write_run
from tune_cl.search import parse_override, with_options


def train(argv: Sequence[str]) -> int:
    """Run `tune-cl train`; returns the exit code."""
    args = train_parser().parse_args(argv)
    plugins = load_named(args)
    check_seeds(args)
    run = _configuration(args)
    weights = Path(args.backbone_weights) if args.backbone_weights is not None else None
    backbone = read_named_backbone(run, weights)
    stream = open_named(run.stream, args)
    checkpoint_every = seconds(args.checkpoint_every, "--checkpoint-every") or CHECKPOINT_SECONDS
    workers = loader_workers(args)
    stages = Path(args.stages) if args.stages else Path(args.results) / "stages"
    output = TrialFolder(Path(args.output)) if args.output else None
    console = Console(highlight=False, soft_wrap=True)
    bar = _bar(console)
    store = StageStore(stages, checkpoint_every=checkpoint_every, patience=DISK_SECONDS)
    chain = Chain(run, stream, store, on_progress=_shown_in(bar), loader_workers=workers, backbone=backbone)
    make_folder(stages, "--stages")
    if output:
        _begin_output(output, run, [plugin.module for plugin in plugins], chain.planned_keys())
    console.print(
        f"{run.method} on {run.stream.name}, budget {run.budget}, train seed {run.train_seed}; stages in {stages}"
    )
    with bar, Pins(stages).hold(key for _, _, key in chain.planned_keys()):
        try:
            _run_to_the_end(chain, console, output)
        except Diverged as error:
            print(f"tune-cl: {describe_failure(error)}", file=sys.stderr)
            return 1
    if output:
        save_weights(output.path / "classifier.pt", chain.classifier(), stream)
        console.print(f"rows, configuration and weights: {output.path}")
    return 0


def _configuration(args: argparse.Namespace) -> RunConfig:
    """The configuration in the file that is named, with the changes that the options make.

    Raises:
        TuneCLError: the file, or what the options make of it, is not in order.
    """
    path = Path(args.config)
    overrides = dict(parse_override(text) for text in args.overrides)
    run = override(read_run(path), overrides, where="--set ")
    if overrides:
        settings_of(run, f"{with_options(path, overrides)}: ")
    return run if args.train_seed is None else run.model_copy(update={"train_seed": args.train_seed})


def _shown_in(bar: Progress) -> Callable[[PhaseProgress], None]:
    """What shows a chain's signs of life in a bar."""
    task = bar.add_task("", total=1)

    def show(progress: PhaseProgress) -> None:
        what = f"increment {progress.increment}, {progress.phase}"
        if progress.waiting:
            what += ": another process trains it"
        elif progress.disk_full:
            what += ": the disk is full, waiting for space"
        bar.update(task, description=what, completed=progress.step, total=progress.steps)

    return show


def _run_to_the_end(chain: Chain, console: Console, output: TrialFolder | None) -> None:
    while not chain.done:
        increment = chain.advance()
        console.print(_line(increment.row))
        if output:
            output.add_row(increment.row)
            if increment.preview is not None:
                write_grid(output.replay_grid(increment.row.increment), increment.preview.numpy())


def _begin_output(
    output: TrialFolder, run: RunConfig, plugins: Sequence[str], planned: Sequence[tuple[int, str, str]]
) -> None:
    """Write the configuration that the rows will belong to; an interrupted run of the same one goes on.

    Raises:
        TuneCLError: the folder holds another run, or cannot be written.
    """
    if output.config.exists() or output.increments.exists():
        if not output.config.exists() or read_record(output.config, RunConfig) != run:
            raise TuneCLError(f"--output {output.path}: holds the rows of another run; name a new folder")
        keys = {key for _, _, key in planned}
        if any(use.key not in keys for row in output.rows() for use in row.stages):
            raise TuneCLError(
                f"--output {output.path}: holds rows of this configuration from other data, another version of PyTorch "
                "or another source of its method; name a new folder"
            )
        return
    make_folder(output.path, "--output")
    write_run(output.config, run, plugins)


def _line(row: IncrementRow) -> str:
    accuracies = " ".join(f"{value:.3f}" for value in row.accuracy_row)
    stages = ", ".join(f"{use.phase} {use.origin} ({use.seconds:.1f} s)" for use in row.stages) or "nothing to train"
    return (
        f"increment {row.increment}: val/accuracy {row.metrics['val/accuracy']:.4f}, "
        f"average {row.metrics['val/average_incremental_accuracy']:.4f}; per increment {accuracies}; {stages}"
    )


def _bar(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
