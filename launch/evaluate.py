"""Retrain what a search has chosen, and read test data: `python launch/evaluate.py NAME` (`tune-cl evaluate`)."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
