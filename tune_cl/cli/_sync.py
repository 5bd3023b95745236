"""`tune-cl sync`."""

import argparse
from collections.abc import Sequence
from contextlib import nullcontext

from tune_cl.api.named_search import named_search
from tune_cl.api.places import results_folder
from tune_cl.cli._parser import made
from tune_cl.errors import TuneCLError
from tune_cl.options import SyncOptions
from tune_cl.records import exclusive_lock, lies_there
from tune_cl.wandb import Upload, plan_upload, upload


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl sync`; returns the exit code: 1 where the server did not take everything."""
    options = made(SyncOptions, args)
    folder = named_search(options.search, results_folder(options))
    if not lies_there(folder.search):
        raise TuneCLError(
            f"{options.search}: no search lies there (no search.json); name a folder below {options.results}"
        )
    evaluated = folder.evaluation.path.is_dir()
    with (
        exclusive_lock(folder),
        exclusive_lock(folder.evaluation) if evaluated else nullcontext(),
    ):  # what runs now sends its rows itself
        plan = plan_upload(folder, options.wandb_project, options.wandb_entity, only_look=args.dry_run)
        if plan.empty:
            print(f"{folder.path}: W&B has everything already")
            return 0
        if args.dry_run:
            _show(plan)
            return 0
        everything = upload(plan, report=lambda line: print(line, flush=True))
    print(f"{folder.path}: {'W&B has everything' if everything else 'not everything is uploaded'}")
    return 0 if everything else 1


def _show(plan: Upload) -> None:
    if plan.sweep:
        print("would make a sweep, and attach the trials' runs to it")
    for run in plan.runs:
        print(f"would upload {run.shown.name}: what the server lacks of {len(run.folder.rows())} rows")
    for kept in plan.kept:
        print(f"would upload {kept.folder}")
