"""The plugins that a command names."""

import argparse
import os
import sys

from tune_cl.methods import Plugin, load_plugins


def load_named(args: argparse.Namespace) -> tuple[Plugin, ...]:
    """Import what `--plugin` names, from the current folder first, as `python -m` would.

    Raises:
        TuneCLError: a module cannot be imported, or its methods cannot be registered.
    """
    if args.plugins and sys.path[0] not in ("", os.getcwd()):
        sys.path.insert(0, os.getcwd())
    return load_plugins(args.plugins)
