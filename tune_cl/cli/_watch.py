"""`tune-cl watch`."""

import argparse
import threading
from collections.abc import Sequence

from tune_cl.api.named_search import named_search
from tune_cl.api.places import results_folder
from tune_cl.cli._parser import made
from tune_cl.options import WatchOptions
from tune_cl.reports import Watch


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl watch` until Ctrl-C; returns the exit code."""
    options = made(WatchOptions, args)
    folder = named_search(options.search, results_folder(options))
    with Watch(folder, options.port or 0) as watch:
        print(f"Watching {folder.path.name}: {watch.address}", flush=True)
        print("Ctrl-C ends watching; the search goes on.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0
