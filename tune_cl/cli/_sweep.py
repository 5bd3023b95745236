"""`tune-cl sweep`: space files as W&B sweep files, and the other way round."""

import argparse
import sys
from collections.abc import Sequence

from tune_cl.api.sweeps import exported, imported
from tune_cl.cli._parser import made
from tune_cl.options import SweepOptions
from tune_cl.records import given_output, write_atomically


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl sweep`; returns the exit code."""
    options = made(SweepOptions, args)
    target = None if options.output is None else given_output(options.output, "--output")
    text, lost = exported(options) if options.verb == "export" else imported(options)
    for sentence in lost:
        print(f"not expressed: {sentence}", file=sys.stderr)
    if target is None:
        print(text, end="")
    else:
        write_atomically(target, text)
        print(f"{'Sweep' if options.verb == 'export' else 'Space'}: {target}")
    return 0
