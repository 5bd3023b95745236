"""Running chains side by side in processes of their own, one thread each; stages are shared and kept."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import tune_cl
from tune_cl.records import IncrementRow, RunConfig


@dataclass(frozen=True)
class Job:
    """A named configuration to run."""

    name: str
    run: RunConfig
    data: Mapping[str, Any] = field(default_factory=dict)  # where its images lie, as `run_chain` takes it


def run_all(jobs: Sequence[Job], stages: Path, processes: int) -> dict[str, list[IncrementRow]]:
    """Run chains, at most `processes` at a time; returns the rows by job name, in the order of the jobs."""
    rows: dict[str, list[IncrementRow]] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(tune_cl.run_chain, job.run, stages=stages, **job.data): job for job in jobs}
        for future in as_completed(futures):
            job = futures[future]
            rows[job.name] = future.result()
            print(f"{job.name}: val/accuracy {rows[job.name][-1].metrics['val/accuracy']:.4f}", flush=True)
    return {job.name: rows[job.name] for job in jobs}
