"""Running a search on Ray: one Tuner for the trials that are missing."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray import tune

from tune_cl.engine._adapters import LossOfWorkers, StudyScheduler, StudySearcher
from tune_cl.engine._cluster import Resources
from tune_cl.engine._driver import Driver, Ending
from tune_cl.engine._leases import start_coordinator
from tune_cl.engine._trainable import ChainTrainable, Examiner
from tune_cl.errors import TuneCLError
from tune_cl.nets import Backbone
from tune_cl.options import EvaluationOptions, SearchOptions
from tune_cl.plugins import Plugin
from tune_cl.store import checkpoint_pace
from tune_cl.streams import Stream
from tune_cl.tracking import PhaseProgress

_POLL = 0.5  # seconds between two looks at progress
_INSIST = 0.5  # seconds between two requests to Ray to end
_SAVE = 6.0  # seconds that phases in flight get to save their state before the search ends
_WORKER_RESTARTS = 3  # of a trial whose worker died; exceptions inside a trial are reported, not raised


@dataclass
class _Stop:
    """Why the search is asked to end before its time."""

    ending: Ending = "done"


def run_search(
    conductor: Driver,
    stream: Stream,
    options: SearchOptions | EvaluationOptions,
    *,
    stages: Path,
    resources: Resources,
    horizon: int,
    missing: int,
    payer: str,
    backbone: Backbone | None = None,
    plugins: tuple[Plugin, ...] = (),
    fresh: bool = False,
    examiner: Examiner | None = None,
    on_examined: Callable[[int, str], None] | None = None,
    at_once: bool = True,
) -> tuple[Ending, list[str]]:
    """Run the missing trials on the Ray cluster that this process is connected to.

    Args:
        conductor: the driver's side.
        stream: training data; put once into Ray's object store, where all trials of a node share it.
        options: what was asked for: the time limit, checkpoints, loader workers.
        stages: folder of the stage store, the same on all nodes.
        resources: of one trial, and how many at a time.
        horizon: last increment.
        missing: trials to run: those left over and those not begun.
        payer: a name that this search alone has, also after it was interrupted.
        backbone: pretrained weights that configurations name; goes the same way as the stream.
        plugins: modules that the workers import, too.
        fresh: use no stage that `payer` has not trained itself.
        examiner: of an evaluation, see `ChainTrainable`.
        on_examined: called with a trial's number and what the examiner said of it.
        at_once: a second Ctrl-C ends this process; else it raises KeyboardInterrupt.

    Returns:
        How it ended, and the phases in flight that were lost.

    Raises:
        TuneCLError: the space proposes what the method refuses, or there is a time limit outside of the main thread.
    """
    limit: Any = options.time_limit
    # Workers start side by side; with fewer pending trials each would wait until the one before it is up.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(resources.concurrency)
    coordinator = start_coordinator()
    trainable = tune.with_resources(
        tune.with_parameters(
            ChainTrainable,
            stream=stream,
            stages=str(stages.absolute()),
            coordinator=coordinator,
            report_failures=True,
            search=payer,
            checkpoint_every=checkpoint_pace(options.checkpoint_every),
            loader_workers=options.loader_workers,
            backbone=backbone,
            plugins=plugins,
            fresh=fresh,
            examiner=examiner,
        ),
        {"cpu": resources.cpus, "gpu": resources.gpus},
    )
    with tempfile.TemporaryDirectory(prefix="tune_cl-ray-") as scratch, _polled(coordinator, conductor):
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=StudySearcher(conductor),
                scheduler=StudyScheduler(conductor, horizon, on_examined),
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
        with _stoppable(limit, lambda: _save_phases(coordinator, conductor), at_once) as stop:
            try:
                tuner.fit()
            except Exception:
                if conductor.trouble is None:
                    raise
                raise conductor.trouble from None
    # Asked now, not when the end was: a phase may have come through while Ray closed its trials.
    return stop.ending, conductor.in_flight.in_words() if stop.ending != "done" else []


def check_writable(path: Path, option: str) -> None:
    """Write a file to a folder and remove it.

    Raises:
        TuneCLError: that is not possible; `option` is what names the folder.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=path, prefix=".probe-") as file:
            file.write(b"tune_cl")
            file.flush()
    except OSError as error:
        raise TuneCLError(
            f"{option}: the folder {path} cannot be written ({error.strerror}); name another, or mend that"
        ) from None


@contextmanager
def _stoppable(time_limit: float | None, before_end: Callable[[], None], at_once: bool) -> Iterator[_Stop]:
    """Turn Ctrl-C, SIGTERM and the time limit into Ray's orderly end; a second Ctrl-C ends at once.

    Signals reach the main thread alone: in another one a search can be ended by nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        if time_limit is not None:
            raise TuneCLError("--time-limit: works in the main thread alone, since it ends Ray by a signal")
        yield _Stop()
        return
    stop, asked, over = _Stop(), threading.Event(), threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if stop.ending == "interrupted":
            if at_once:
                os._exit(130)
            raise KeyboardInterrupt
        stop.ending = "interrupted"
        asked.set()

    def insist() -> None:
        # Ray ends in an orderly way at SIGUSR1, but only once its own handler is there: hence more than one.
        asked.wait(None if time_limit is None else min(time_limit, threading.TIMEOUT_MAX))
        if not over.is_set() and stop.ending == "done":
            stop.ending = "out of time"
        if not over.is_set():
            before_end()
        while not over.is_set():
            os.kill(os.getpid(), signal.SIGUSR1)
            over.wait(_INSIST)

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    previous[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    thread = threading.Thread(target=insist, name="end", daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        over.set()
        asked.set()
        thread.join()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _save_phases(coordinator: Any, conductor: Driver) -> None:
    """Have the phases in flight save their state; wait a moment for those that are in the middle of one."""
    give_up = time.monotonic() + _SAVE
    try:
        ray.get(coordinator.announce_end.remote(), timeout=_SAVE)
        while time.monotonic() < give_up:
            conductor.in_flight.note_saved(ray.get(coordinator.saved.remote(), timeout=_SAVE))
            if not conductor.in_flight.unsaved():
                return
            time.sleep(0.1)
    except ray.exceptions.RayError:
        return  # the phases go on from an earlier checkpoint, or begin anew


@contextmanager
def _polled(coordinator: Any, conductor: Driver) -> Iterator[None]:
    """Carry progress from the coordinator to the conductor, in a thread of its own; losing some is no harm."""
    over = threading.Event()

    def poll() -> None:
        while not over.wait(_POLL):
            try:
                for progress in ray.get(coordinator.take_progress.remote(), timeout=5):
                    conductor.on_progress(PhaseProgress(**progress))
            except ray.exceptions.RayError:
                continue

    thread = threading.Thread(target=poll, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=6)
