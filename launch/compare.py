"""Compare searches: `python launch/compare.py results/A results/B --html compare.html` (`tune-cl compare`)."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
