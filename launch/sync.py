"""Upload to W&B what a search has kept offline: `python launch/sync.py results/NAME` (the same as `tune-cl sync`)."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["sync", *sys.argv[1:]]))
