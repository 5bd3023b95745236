"""`tune-cl train`: one chain, without Ray and without a search."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tune_cl.api.asked import changes_of
from tune_cl.api.configured import configured
from tune_cl.api.data import open_named
from tune_cl.api.places import outside_searches, stages_folder, weights_file
from tune_cl.api.plugins import load_named
from tune_cl.chain import Chain, read_named_backbone, read_run, settings_of
from tune_cl.chain import Progress as PhaseProgress
from tune_cl.cli._parser import made
from tune_cl.commands import data_options
from tune_cl.engine import (
    DISK_SECONDS,
    describe_failure,
    override,
    ran_out_of_memory,
    save_weights,
    write_grid,
)
from tune_cl.errors import TuneCLError
from tune_cl.methods import Diverged
from tune_cl.options import Numerics, TrainOptions
from tune_cl.records import (
    IncrementRow,
    RunConfig,
    TrialFolder,
    check_files,
    given_file,
    given_folder,
    make_folder,
    nothing_left,
    write_run,
)
from tune_cl.store import Pins, StageStore, checkpoint_pace
from tune_cl.study import with_options
from tune_cl.text import replay_text

WEIGHTS = "classifier.pt"  # in --output


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl train`; returns the exit code."""
    options = made(TrainOptions, args)
    load_named(options.plugins)
    run = _configuration(options)
    backbone = read_named_backbone(run, weights_file(options))
    stream = open_named(run.stream, options)
    stages = stages_folder(options)
    output = _output(options, stages)
    console = Console(highlight=False, soft_wrap=True)
    bar = _bar(console)
    store = StageStore(stages, checkpoint_every=checkpoint_pace(options.checkpoint_every), patience=DISK_SECONDS)
    shown, workers = _shown_in(bar), options.loader_workers
    chain = Chain(run, stream, store, shown, loader_workers=workers, backbone=backbone, fresh=options.fresh)
    with nothing_left(stages, *([output.path] if output else [])):
        make_folder(stages, "--stages")
        if output:
            _begin_output(output, run, data_options(argv, stages=True), chain.planned_keys())
    console.print(
        f"{run.method} on {run.stream.name}, budget {run.budget}, train seed {run.train_seed}; stages in {stages}"
    )
    with bar, Pins(stages).hold(key for _, _, key in chain.planned_keys()):
        try:
            _run_to_the_end(chain, console, output)
        except (Diverged, MemoryError, RuntimeError) as error:
            if not isinstance(error, Diverged) and not ran_out_of_memory(error):
                raise
            print(f"tune-cl: {describe_failure(error, alone=True)}", file=sys.stderr)
            return 1
    if output:
        save_weights(output.path / WEIGHTS, chain.classifier(), stream)
        console.print(f"rows, configuration and weights: {output.path}")
    return 0


def _configuration(options: TrainOptions) -> RunConfig:
    """The configuration in the file that is named, or the default of the space, with the changes of the options.

    Raises:
        TuneCLError: the file, or what the options make of it, is not in order.
    """
    overrides = changes_of(options.overrides)
    if options.config is not None:
        path = given_file(options.config, "--config")
        run = override(read_run(path), overrides, where="--set ")
        if overrides:
            settings_of(run, f"{with_options(path, overrides)}: ")
        changed: dict[str, Any] = asdict(numerics_of(options).over(run.numerics))
        if options.train_seed is not None:
            changed["train_seed"] = options.train_seed
        return run.model_copy(update=changed)
    return configured(options.space, options, numerics_of(options))


def numerics_of(options: TrainOptions) -> Numerics:
    """The part of the options that says how to compute, where nothing is said as recorded or as the default is."""
    return Numerics(**{field.name: getattr(options, field.name) for field in fields(Numerics)})


def _output(options: TrainOptions, stages: Path) -> TrialFolder | None:
    """Where rows and weights go, if they are to be written.

    Raises:
        TuneCLError: it can be no folder, or what lies there would be mixed with what is written.
    """
    if options.output is None:
        return None
    path = outside_searches(given_folder(options.output, "--output"), "--output")
    if path.absolute().is_relative_to(stages.absolute()):
        raise TuneCLError(f"--output {path}: lies in the folder of stages, {stages}; name another")
    return TrialFolder(path)


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
        console.print(_line(increment.row) + replay_text(increment.row))
        for warning in increment.row.told_warnings():
            console.print(f"warning: {warning}", style="yellow")
        if output:
            output.add_row(increment.row)
            if increment.preview is not None:
                write_grid(output.replay_grid(increment.row.increment), increment.preview.numpy())


def _begin_output(
    output: TrialFolder, run: RunConfig, options: Sequence[str], planned: Sequence[tuple[int, str, str]]
) -> None:
    """Write the configuration that the rows will belong to; an interrupted run of the same one goes on.

    Raises:
        TuneCLError: the folder holds another run, or cannot be written.
    """
    check_files(*output.files(), output.path / WEIGHTS)
    if output.config.exists() or output.increments.exists():
        if not output.config.exists() or read_run(output.config) != run:
            raise TuneCLError(f"--output {output.path}: holds the rows of another run; name a new folder")
        keys = {key for _, _, key in planned}
        if any(use.key not in keys for row in output.rows() for use in row.stages):
            raise TuneCLError(
                f"--output {output.path}: holds rows of this configuration from other data, another version of PyTorch "
                "or another source of its method; name a new folder"
            )
        return
    make_folder(output.path, "--output")
    write_run(output.config, run, options)


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
