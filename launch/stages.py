"""List, verify, prune the trained stages: `python launch/stages.py list` (the same as `tune-cl stages list`)."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["stages", *sys.argv[1:]]))
