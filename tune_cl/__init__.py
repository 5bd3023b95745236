"""Honest hyperparameter search for class-incremental learning.

The command line is the front door (`tune-cl search --help`); for scripts of one's own there are `configure`,
`run_chain`, `trainable` and `load`.
"""

from importlib.metadata import version

from tune_cl._api import configure, load, run_chain, trainable
from tune_cl.errors import TuneCLError

__all__ = ["TuneCLError", "__version__", "configure", "load", "run_chain", "trainable"]
__version__ = version("tune_cl")
