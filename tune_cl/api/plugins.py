"""The plugins that a command or a script names."""

import os
import sys
from collections.abc import Sequence

from tune_cl.plugins import Plugin, load_plugins


def load_named(modules: Sequence[str]) -> tuple[Plugin, ...]:
    """Import modules, from the current folder first, as `python -m` would.

    Raises:
        TuneCLError: a module cannot be imported, or its methods cannot be registered.
    """
    if modules and sys.path[0] not in ("", os.getcwd()):
        sys.path.insert(0, os.getcwd())
    return load_plugins(modules)
