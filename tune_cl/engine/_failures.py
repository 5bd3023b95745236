"""Why a trial failed, in a sentence."""

import errno

import torch

from tune_cl.errors import TuneCLError
from tune_cl.methods import Diverged

DISK_SECONDS = 300.0  # for which a trained stage waits for space on a full disk before its trial fails
_FREE = "free some, or let --max-store-size keep the stages small"
_REMEDIES = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EROFS: "name another folder with --stages, or mount it so that it can be written",
    errno.EACCES: "name another folder with --stages, or change its permissions",
}
_SMALLER = "use smaller batch sizes or networks"


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a GPU or this machine has no memory left."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)  # torch's, which has no class


def describe_failure(error: BaseException, alone: bool = False) -> str:
    """The reason and, where there is one, the remedy.

    Args:
        error: what a chain ended with.
        alone: it ran by itself, in no search, so that fewer trials at a time are no remedy.
    """
    if isinstance(error, torch.cuda.OutOfMemoryError):
        more = ", or give each trial more of a GPU (--gpus-per-trial 1, fewer at a time with --concurrency)"
        return f"the GPU ran out of memory; {_SMALLER}{'' if alone else more}"
    if isinstance(error, Diverged):
        return f"diverged: {error}; a smaller learning rate may help"
    if isinstance(error, TuneCLError):
        return str(error)
    if ran_out_of_memory(error):
        fewer = ", or run fewer trials at a time (--concurrency)"
        return f"this machine ran out of memory; {_SMALLER}{'' if alone else fewer}"
    if isinstance(error, OSError) and error.strerror:
        place = f" ({error.filename})" if error.filename else ""
        remedy = _REMEDIES.get(error.errno or 0, "")
        return f"{error.strerror}{place}{remedy and '; '}{remedy}"
    return f"{type(error).__name__}: {error}".splitlines()[0]
