"""Search a method's hyperparameters: `python launch/search.py --space genifer.yaml` (the same as `tune-cl search`)."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["search", *sys.argv[1:]]))
