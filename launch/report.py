"""Write a search as a page for a browser: `python launch/report.py results/A --html page.html` (`tune-cl report`)."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
