"""Space files and W&B sweep files: `python launch/sweep.py export genifer` (the same as `tune-cl sweep`)."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["sweep", *sys.argv[1:]]))
