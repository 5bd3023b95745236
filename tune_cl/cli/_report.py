"""`tune-cl report`."""

import argparse
from collections.abc import Sequence

from tune_cl.api.named_search import named_search
from tune_cl.api.pages import save_report
from tune_cl.api.places import results_folder
from tune_cl.cli._parser import made
from tune_cl.options import ReportOptions
from tune_cl.records import given_output
from tune_cl.reports import search_view


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl report`; returns the exit code."""
    options = made(ReportOptions, args)
    if options.html is not None:
        given_output(options.html, "--html")  # refused before anything is read
    folder = named_search(options.search, results_folder(options))
    if args.json:
        print(search_view(folder).model_dump_json(indent=2))
    if options.html is not None or not args.json:
        page = save_report(folder, options.html)
        if not args.json:
            print(f"Page: {page}")
    return 0
