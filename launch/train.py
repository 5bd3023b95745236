"""Run one configuration without a search: `python launch/train.py --config best.yaml` (the same as `tune-cl train`)."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
