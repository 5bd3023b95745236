"""`tune-cl sync`."""

import argparse
from collections.abc import Sequence

from tune_cl.api.publish import planned, send
from tune_cl.cli._parser import made
from tune_cl.options import SyncOptions
from tune_cl.wandb import Upload


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl sync`; returns the exit code: 1 where the server did not take everything."""
    with planned(made(SyncOptions, args), only_look=args.dry_run) as plan:
        folder = plan.search.folder.path
        if plan.empty:
            print(f"{folder}: W&B has everything already")
            return 0
        if args.dry_run:
            _show(plan)
            return 0
        everything = send(plan, lambda line: print(line, flush=True))
    print(f"{folder}: {'W&B has everything' if everything else 'not everything is uploaded'}")
    return 0 if everything else 1


def _show(plan: Upload) -> None:
    if plan.sweep:
        print("would make a sweep, and attach the trials' runs to it")
    for run in plan.runs:
        print(f"would upload {run.shown.name}: what the server lacks of {len(run.folder.rows())} rows")
    for overview in plan.overviews:
        print(f"would upload {overview.name}: the {overview.subject} as a whole")
    for kept in plan.kept:
        print(f"would upload {kept.folder}")
