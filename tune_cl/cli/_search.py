"""`tune-cl search`."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from tune_cl.api.plugins import load_named
from tune_cl.api.provenance import command_line
from tune_cl.api.search import planned, run_search_of
from tune_cl.cli._parser import made
from tune_cl.cli._show import show_plan
from tune_cl.options import SearchOptions


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl search`; returns the exit code."""
    options, command = made(SearchOptions, args), command_line(argv)
    if args.dry_run:
        with planned(options, command, load_named(options.plugins), only_look=True) as plan:
            show_plan(plan)
        return 0
    ending, summary, _ = run_search_of(replace(options, quiet=options.quiet or args.json), command)
    if args.json:
        print(summary.model_dump_json(indent=2))
    if ending == "interrupted":
        return 130
    nothing_but_failures = summary.trials["failed"] > 0 and not summary.trials["finished"]
    return 1 if nothing_but_failures and ending == "done" else 0
