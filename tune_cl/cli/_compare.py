"""`tune-cl compare`."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from tune_cl.api.compare import compare_searches, save_page
from tune_cl.api.places import results_folder
from tune_cl.cli._parser import made
from tune_cl.errors import TuneCLError
from tune_cl.options import CompareOptions
from tune_cl.records import given_output
from tune_cl.reports import console_parts, publish
from tune_cl.wandb import UnfinishedUpload, check_wandb

_WANDB_OPTIONS = ("wandb_project", "wandb_entity", "wandb_mode")


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl compare`; returns the exit code: 1 where W&B's server did not take everything in time."""
    options = made(CompareOptions, args)
    _check_outputs(options)
    comparison = compare_searches(options)
    notices = sys.stderr if args.json else sys.stdout
    if options.html is not None:
        save_page(comparison, options.html, "--html")
    if args.json:
        print(comparison.model_dump_json(indent=2))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for part in console_parts(comparison):
            console.print(part)
    if options.html is not None:
        print(f"Page: {options.html}", file=notices)
    if options.wandb:  # last, since a server may not answer
        folder = results_folder(options) / "comparisons"
        try:
            line = publish(comparison, options.wandb_mode, options.wandb_project, options.wandb_entity, folder)
            print(line, file=notices)
        except UnfinishedUpload as error:
            print(f"tune-cl: {error}", file=sys.stderr)
            return 1
    return 0


def _check_outputs(options: CompareOptions) -> None:
    """Refuse what could not be written before anything is read."""
    results_folder(options)
    if options.html is not None:
        given_output(options.html, "--html")
    if options.wandb:
        check_wandb(options.wandb_mode, options.wandb_project, options.wandb_entity)
        return
    for name in _WANDB_OPTIONS:
        if getattr(options, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise TuneCLError(f"{flag} {getattr(options, name)}: add --wandb to publish the comparison")
