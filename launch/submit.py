"""Run a search as a Ray job: `python launch/submit.py --space genifer.yaml --address URL` (`tune-cl submit`)."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["submit", *sys.argv[1:]]))
