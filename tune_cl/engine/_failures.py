"""Why a trial failed, in a sentence."""

import torch

from tune_cl.errors import TuneCLError
from tune_cl.methods import Diverged

_OUT_OF_MEMORY = (
    "the GPU ran out of memory; use smaller batch sizes or networks, or give each trial more of a GPU "
    "(--gpus-per-trial 1, fewer at a time with --concurrency)"
)


def describe_failure(error: BaseException) -> str:
    """The reason and, where there is one, the remedy."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return _OUT_OF_MEMORY
    if isinstance(error, Diverged):
        return f"diverged: {error}; a smaller learning rate may help"
    if isinstance(error, TuneCLError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{place}"
    return f"{type(error).__name__}: {error}".splitlines()[0]
