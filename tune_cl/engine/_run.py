"""Running a search on Ray: one Tuner for the trials that are missing."""

import fcntl
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import ray
from ray import tune

from tune_cl.engine._adapters import LossOfWorkers, StudyScheduler, StudySearcher
from tune_cl.engine._cluster import Resources
from tune_cl.engine._conductor import Conductor
from tune_cl.engine._progress import start_board
from tune_cl.engine._trainable import ChainTrainable
from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder
from tune_cl.streams import Stream

_POLL = 0.5  # seconds between two looks at the progress board
_WORKER_RESTARTS = 3  # of a trial whose worker died; exceptions inside a trial are reported, not raised

Ending = Literal["done", "interrupted", "out of time"]


@dataclass
class _Stop:
    """Why the search is asked to end before its time."""

    ending: Ending = "done"
    in_flight: list[str] = field(default_factory=list)


def run_search(
    conductor: Conductor,
    stream: Stream,
    *,
    stages: Path,
    resources: Resources,
    horizon: int,
    missing: int,
    time_budget: float | None,
) -> tuple[Ending, list[str]]:
    """Run the missing trials on the Ray cluster that this process is connected to.

    Args:
        conductor: the driver's side.
        stream: training data; put once into Ray's object store, where all trials of a node share it.
        stages: folder of the stage store, the same on all nodes.
        resources: of one trial, and how many at a time.
        horizon: last increment.
        missing: trials to run: those left over and those not begun.
        time_budget: seconds after which no further phase is waited for, None for no limit.

    Returns:
        How it ended, and the phases in flight that were lost.
    """
    board = start_board()
    trainable = tune.with_resources(
        tune.with_parameters(
            ChainTrainable, stream=stream, stages=str(stages.absolute()), board=board, report_failures=True
        ),
        {"cpu": resources.cpus, "gpu": resources.gpus},
    )
    with tempfile.TemporaryDirectory(prefix="tune_cl-ray-") as scratch, _polled(board, conductor):
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=StudySearcher(conductor),
                scheduler=StudyScheduler(conductor, horizon),
                num_samples=missing,
                max_concurrent_trials=resources.concurrency,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=_WORKER_RESTARTS),
                callbacks=[LossOfWorkers(conductor)],
            ),
        )
        with _stoppable(conductor.in_flight, time_budget) as stop:
            tuner.fit()
    return stop.ending, stop.in_flight


@contextmanager
def held(folder: SearchFolder) -> Iterator[None]:
    """Hold a search's folder against a second process.

    Raises:
        TuneCLError: another process runs this search.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TuneCLError(
                f"{folder.path}: another process is running this search; wait for it, or give this one another --name"
            ) from None
        yield


@contextmanager
def _stoppable(in_flight: Callable[[], list[str]], time_budget: float | None) -> Iterator[_Stop]:
    """Turn Ctrl-C, SIGTERM and the time budget into Ray's orderly end (its SIGUSR1); a second Ctrl-C ends at once."""
    stop = _Stop()

    def end(ending: Ending) -> None:
        if stop.ending == "done":
            stop.ending, stop.in_flight = ending, in_flight()
            os.kill(os.getpid(), signal.SIGUSR1)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if stop.ending == "interrupted":
            os._exit(130)
        end("interrupted")

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    previous[signal.SIGUSR1] = signal.getsignal(signal.SIGUSR1)
    timer = threading.Timer(time_budget, end, ["out of time"]) if time_budget is not None else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield stop
    finally:
        if timer:
            timer.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _polled(board: Any, conductor: Conductor) -> Iterator[None]:
    """Carry progress from the board to the conductor, in a thread of its own; losing some is no harm."""
    over = threading.Event()

    def poll() -> None:
        while not over.wait(_POLL):
            try:
                for progress in ray.get(board.take.remote(), timeout=5):
                    conductor.on_progress(progress)
            except ray.exceptions.RayError:
                continue

    thread = threading.Thread(target=poll, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=6)
