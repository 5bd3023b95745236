"""Why a trial failed, in a sentence."""

import errno

import torch

from tune_cl.errors import TuneCLError
from tune_cl.methods import Diverged

DISK_SECONDS = 300.0  # for which a trained stage waits for space on a full disk before its trial fails
_FREE = "free some, or let --stage-budget keep the stages small"
_REMEDIES = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EROFS: "name another folder with --stages, or mount it so that it can be written",
    errno.EACCES: "name another folder with --stages, or change its permissions",
}
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
    if isinstance(error, MemoryError):
        return "this machine ran out of memory; run fewer trials at a time (--concurrency)"
    if isinstance(error, OSError) and error.strerror:
        place = f" ({error.filename})" if error.filename else ""
        remedy = _REMEDIES.get(error.errno or 0, "")
        return f"{error.strerror}{place}{remedy and '; '}{remedy}"
    return f"{type(error).__name__}: {error}".splitlines()[0]
