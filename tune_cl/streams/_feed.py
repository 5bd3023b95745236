"""Batches of images on the device: from memory, or from files that worker processes decode ahead of time."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tune_cl.errors import TuneCLError
from tune_cl.streams._batches import InTurn, StepIndices
from tune_cl.streams._images import ImageSource, LabelledImages

_AHEAD = 2  # batches that each worker prepares ahead
_MOST_WORKERS = 4
_START = "fork" if "fork" in multiprocessing.get_all_start_methods() else None  # a spawned worker imports torch anew


def default_workers() -> int:
    """Loader workers of a chain on images in files, where nobody says how many."""
    return min(_MOST_WORKERS, usable_cpus())


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Feed:
    """Batches of a source on a device, by step.

    What a step gets is independent of the workers and of the step that was asked for first. Images in memory go to the
    device once. Files are decoded in this process at the first step that is asked for; from the second on, if it is the
    next one, workers decode the known sequence ahead. A source is only read, so that several feeds may share it.

    Args:
        images: the source.
        batches: which of its images are in the batch of a step.
        device: where batches shall lie.
        workers: processes that decode files; 0: this one does. Not used where the images are in memory.
    """

    def __init__(self, images: ImageSource, batches: StepIndices, device: torch.device, workers: int = 0) -> None:
        self._batches, self._device = batches, device
        self._images: ImageSource = images.to(device) if isinstance(images, LabelledImages) else images
        self._labels = images.labels.to(device)
        self._workers = workers
        self._next: int | None = None
        self._ahead: _Ahead | None = None

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Images uint8 (B, C, S, S) and labels int64 (B,) of a step, on the device.

        Raises:
            TuneCLError: an image file is missing or damaged.
        """
        if isinstance(self._images, LabelledImages):
            index = self._batches.indices(step).to(self._device)
            return self._images.gather(index), self._labels[index]
        expected, self._next = self._next, step + 1
        if not self._workers or step != expected:
            self.close()
            index = self._batches.indices(step)
            images = self._images.gather(index)
        else:
            if self._ahead is None:
                self._ahead = _Ahead(self._images, self._batches, step, self._workers, pin=self._device.type == "cuda")
            images, index = self._ahead.take()
        # One memory layout however a batch came here: it decides which kernels run.
        on_device = images.to(self._device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        return on_device, self._labels[index.to(self._device)]

    def close(self) -> None:
        """End the workers; the next step that is asked for begins anew."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def __del__(self) -> None:
        if getattr(self, "_ahead", None) is not None:
            self.close()


def in_turn(
    images: ImageSource, batch_size: int, device: torch.device, workers: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """All images of a source once, in their order: batches uint8 (B, C, S, S) and labels (B,) on the device.

    Unlike a `Feed`, images in memory go to the device a batch at a time.

    Raises:
        TuneCLError: an image file is missing or damaged.
    """
    if isinstance(images, LabelledImages):
        for part, labels in zip(images.images.split(batch_size), images.labels.split(batch_size), strict=True):
            yield part.to(device), labels.to(device)
        return
    order = InTurn(len(images), batch_size)
    feed = Feed(images, order, device, workers)
    try:
        for step in range(order.steps):
            yield feed.at(step)
    finally:
        feed.close()


class _Ahead:
    """Workers that decode the batches of the steps from `start` on, in order."""

    def __init__(self, images: ImageSource, batches: StepIndices, start: int, workers: int, pin: bool) -> None:
        self._indices: deque[Tensor] = deque()
        loader: DataLoader[Any] = DataLoader(
            _Decoding(images),
            batch_size=None,
            sampler=self._sequence(batches, start),
            num_workers=workers,
            prefetch_factor=_AHEAD,
            pin_memory=pin,
            multiprocessing_context=_START,
            worker_init_fn=_begin_worker,
            generator=torch.Generator(),  # else the global one is asked for a seed
        )
        self._batches: Iterator[Any] = iter(loader)

    def take(self) -> tuple[Tensor, Tensor]:
        """The next batch: images, and their places in the source.

        Raises:
            TuneCLError: as a worker found it.
        """
        images = next(self._batches)
        if isinstance(images, str):
            raise TuneCLError(images)
        return images, self._indices.popleft()

    def close(self) -> None:
        """End the workers at once, even where the traceback of an exception still refers to them."""
        shut_down = getattr(self._batches, "_shutdown_workers", None)
        if shut_down is not None:
            shut_down()
        self._batches = iter(())

    def _sequence(self, batches: StepIndices, step: int) -> Iterator[Tensor]:
        while len(index := batches.indices(step).cpu()):
            self._indices.append(index)
            yield index
            step += 1


class _Decoding(Dataset[Tensor | str]):
    """Index tensor -> decoded batch, or the sentence that says why there is none.

    An exception would reach the main process as the text of a traceback.
    """

    def __init__(self, images: ImageSource) -> None:
        self._images = images

    def __getitem__(self, index: Tensor) -> Tensor | str:
        try:
            return self._images.gather(index)
        except TuneCLError as error:
            return str(error)


def _begin_worker(worker: int) -> None:
    """Leave interrupts to the main process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
