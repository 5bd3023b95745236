"""Watch a search in a browser while it runs: `python launch/watch.py results/A` (`tune-cl watch`)."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["watch", *sys.argv[1:]]))
