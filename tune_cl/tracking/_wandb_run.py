"""One trial as one W&B run: what is sent, and what was sent before."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.records import (
    SCHEMA_VERSION,
    IncrementRow,
    Record,
    RunConfig,
    SearchFolder,
    SearchRecord,
    TrialFolder,
    TrialState,
    read_record,
    write_json,
)
from tune_cl.tracking._offline_log import logged_increments
from tune_cl.tracking._wandb_mode import WandbMode

_EXIT_CODES: dict[TrialState, int] = {"finished": 0, "stopped": 0, "failed": 1, "running": 130}
_INIT_SECONDS = 30.0  # for the server to answer when a run starts
_FINISH_SECONDS = 30.0  # for the upload of what is left when a run ends
_FLUSH_SECONDS = 1.0  # W&B keeps rows in memory for so long before it writes them to disk (its default: 15)


class RunMark(Record):
    """`wandb.json` of a trial: which run shows it, and what the sessions that ended in order have logged."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    state: TrialState = "running"
    increments: tuple[int, ...] = ()


@dataclass(frozen=True)
class SearchOfRuns:
    """The search that the runs belong to, and where W&B shows them."""

    record: SearchRecord
    folder: SearchFolder
    project: str
    entity: str | None

    def run_id(self, trial: int) -> str:
        """A run id that is the same whenever this search is continued, and no other search's."""
        identity = [self.record.name, str(self.folder.path.resolve()), self.record.created, f"{trial:04d}"]
        return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]


class TrialRun:
    """An open W&B run of one trial. Every call may block or raise; only the tracker's own thread makes them."""

    def __init__(self, wandb: Any, mode: WandbMode, search: SearchOfRuns, trial: int, config: RunConfig) -> None:
        """Open the run, or take it up again.

        Raises:
            Exception: whatever W&B raises when its service or its server does not answer, or nothing can be written.
        """
        self._wandb = wandb
        self._folder = search.folder.trial(trial)
        self._objective = search.record.objective
        self._matrix: dict[int, list[float]] = {}
        self._value: float | None = None
        self._mark = read_mark(self._folder) or RunMark(run_id=search.run_id(trial))
        write_json(mark_path(self._folder), self._mark)
        search.folder.wandb.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            mode=mode,
            project=search.project,
            entity=search.entity,
            id=self._mark.run_id,
            resume="allow",
            reinit="create_new",
            group=search.record.name,
            job_type="trial",
            name=f"{search.record.name}-{trial:04d}",
            tags=[search.record.method, search.record.stream.name, search.record.budget],
            config=run_config(search.record, trial, config),
            dir=str(search.folder.wandb.parent),  # W&B appends 'wandb'
            settings=wandb.Settings(**_settings(wandb)),
        )
        self._run.define_metric("increment")
        self._run.define_metric("*", step_metric="increment")
        self._logged = self._logged_before(mode, search.folder)

    def add(self, row: IncrementRow) -> None:
        """Log a row as one step, unless it is there already.

        Raises:
            Exception: the picture of replayed images cannot be read (the row is logged without it), or W&B's own.
        """
        self._matrix[row.increment] = row.accuracy_row
        self._value = row.metrics.get(self._objective)
        if row.increment in self._logged:
            return
        values = row_values(row, [self._matrix[t] for t in sorted(self._matrix)])
        grid = self._folder.replay_grid(row.increment)
        try:
            if grid.exists():
                values["replay"] = self._wandb.Image(str(grid))
        finally:
            self._run.log(values, step=row.increment, commit=True)
            self._logged.add(row.increment)

    def end(self, state: TrialState, reason: str | None) -> None:
        """Close the run; a state other than 'finished' becomes a tag, 'running' means interrupted.

        Raises:
            TimeoutError: the server did not take everything in time; W&B's local copy holds it.
        """
        shown = "interrupted" if state == "running" else state
        self._run.summary.update({"state": shown, "objective": math.nan if self._value is None else self._value})
        if reason:
            self._run.summary["reason"] = reason
        tags = set(self._run.tags or ()) - {"interrupted"}
        self._run.tags = tuple(sorted(tags if state == "finished" else tags | {shown}))
        self._run.finish(exit_code=_EXIT_CODES[state])
        mark = {"state": state, "increments": tuple(sorted(self._logged))}
        write_json(mark_path(self._folder), self._mark.model_copy(update=mark))

    def _logged_before(self, mode: WandbMode, folder: SearchFolder) -> set[int]:
        if mode == "online":  # the server knows; what it has not got is sent again
            return set(range(int(self._run.starting_step or 0)))
        try:
            on_disk = logged_increments(folder.wandb, self._mark.run_id)
        except ValueError:  # written by a W&B whose format this reader does not know
            on_disk = set()
        return on_disk | set(self._mark.increments)


def mark_path(folder: TrialFolder) -> Path:
    """Where a trial's mark lies."""
    return folder.path / "wandb.json"


def read_mark(folder: TrialFolder) -> RunMark | None:
    """A trial's mark, or None where W&B has not seen the trial (or the mark is damaged: the id can be had again)."""
    try:
        return read_record(mark_path(folder), RunMark)
    except TuneCLError:
        return None


def up_to_date(folder: TrialFolder, state: TrialState) -> bool:
    """Say whether W&B was told everything about a trial that has ended."""
    mark = read_mark(folder)
    return mark is not None and mark.state == state and {r.increment for r in folder.rows()} <= set(mark.increments)


def row_values(row: IncrementRow, matrix: list[list[float]]) -> dict[str, Any]:
    """A row as W&B sees it; a metric that is undefined at this increment is not-a-number, so that no row lacks a key.

    `matrix` holds the rows R[0], ..., R[t] (ragged: row t has t + 1 entries); `R/<i>` is the last of them, spread over
    keys, so that W&B draws each increment's accuracy as a curve.
    """
    values: dict[str, Any] = {"increment": row.increment, "accuracy_matrix": matrix}
    values |= {name: math.nan if value is None else value for name, value in row.metrics.items()}
    values |= {f"losses/{name}": value for name, value in row.losses.items()}
    values |= {f"R/{i}": accuracy for i, accuracy in enumerate(row.accuracy_row)}
    for stage in row.stages:
        values[f"stages/{stage.phase}/origin"] = stage.origin
        values[f"stages/{stage.phase}/seconds"] = stage.seconds
    return values


def run_config(record: SearchRecord, trial: int, config: RunConfig) -> dict[str, Any]:
    """The run's configuration: the method's parameters under their paths, and what defines the run beside them."""
    return {
        **dict(_leaves(config.parameters)),
        "trial": trial,
        "method": config.method,
        "stream": config.stream.name,
        "class_order": config.stream.class_order,
        "budget": config.budget,
        "horizon": config.horizon,
        "protocol": record.protocol,
        "objective": record.objective,
        "device": config.device,
        "threads": config.threads,
        "seeds": {**record.seeds.model_dump(), "train": config.train_seed},
    }


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _settings(wandb: Any) -> dict[str, Any]:
    """W&B's settings: silent, nothing about the machine or the code, and never a wait without an end."""
    wanted = {
        "silent": True,
        "console": "off",
        "host": "",
        "symlink": False,
        "use_dot_wandb": False,
        "save_code": False,
        "disable_code": True,
        "disable_git": True,
        "disable_job_creation": True,
        "x_disable_meta": True,
        "x_disable_machine_info": True,
        "x_disable_stats": True,
        "x_disable_viewer": True,
        "x_save_requirements": False,
        "x_transaction_log_flush_interval": _FLUSH_SECONDS,
        "init_timeout": _INIT_SECONDS,
        "finish_timeout": _FINISH_SECONDS,
        "finish_timeout_raises": True,
        "stop_fn": _ignore_stop,
    }
    return {name: value for name, value in wanted.items() if name in wandb.Settings.model_fields}


def _ignore_stop() -> None:
    """W&B's stop button: its default would interrupt the driver, and with it all other trials."""
