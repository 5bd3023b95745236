"""`python -m tune_cl` is `tune-cl`."""

import sys

from tune_cl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
