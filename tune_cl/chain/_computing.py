"""The process as the numerics of a run want it: threads, deterministic kernels, the device."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tune_cl.errors import TuneCLError
from tune_cl.options import Numerics


@contextmanager
def computing(numerics: Numerics) -> Iterator[None]:
    """Compute with the threads and the kernels that the stage key names, whatever this process was set to.

    Args:
        numerics: as resolved. Where they are not deterministic, cuDNN looks for its fastest kernels for each shape.
    """
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.set_num_threads(numerics.threads or 1)
    if numerics.device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA's first matrix product is made
        torch.use_deterministic_algorithms(numerics.deterministic)
        torch.backends.cudnn.benchmark = not numerics.deterministic
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.benchmark = benchmark


def device_of(kind: str) -> torch.device:
    """The torch device of a run.

    Raises:
        TuneCLError: CUDA is asked for and there is none.
    """
    if kind == "cuda" and not torch.cuda.is_available():
        raise TuneCLError(
            "device cuda: this machine has no CUDA GPU that torch can use; leave GPUs out to run on the CPU"
        )
    return torch.device(kind)
