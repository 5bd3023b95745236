"""`tune-cl report`."""

import argparse
from collections.abc import Sequence

from tune_cl.api.named_search import named_search
from tune_cl.api.pages import write_page
from tune_cl.api.places import results_folder
from tune_cl.api.results import open_result
from tune_cl.cli._parser import made
from tune_cl.options import ReportOptions
from tune_cl.records import given_folder, given_output
from tune_cl.reports import search_page, search_view


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl report`; returns the exit code."""
    options = made(ReportOptions, args)
    if options.html is not None:
        given_output(options.html, "--html")  # refused before anything is read
    if options.csv is not None:
        given_folder(options.csv, "--csv")
    folder = named_search(options.search, results_folder(options))
    view = search_view(folder)
    if args.json:
        print(view.model_dump_json(indent=2))
    if options.csv is not None:
        for table in open_result(folder.path).save_csv(options.csv):
            if not args.json:
                print(f"Table: {table}")
    if options.html is not None or not (args.json or options.csv is not None):
        page = write_page(search_page(view), folder.page if options.html is None else options.html, "--html")
        if not args.json:
            print(f"Page: {page}")
    return 0
