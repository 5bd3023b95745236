"""One trial as one W&B run: what is sent, and what was sent before."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tune_cl.errors import TuneCLError
from tune_cl.metrics import VALIDATION, read_out
from tune_cl.outcome import achieved
from tune_cl.records import (
    SCHEMA_VERSION,
    IncrementRow,
    Record,
    RunConfig,
    SearchFolder,
    SearchRecord,
    TrialFolder,
    TrialState,
    flatten,
    read_record,
    write_json,
)
from tune_cl.wandb._mode import WandbMode
from tune_cl.wandb._offline_log import logged_increments
from tune_cl.wandb._settings import run_settings

_EXIT_CODES: dict[TrialState, int] = {"finished": 0, "stopped": 0, "failed": 1, "running": 130}


class ShownRun(Record):
    """What W&B shows a run as: the same whenever the run is taken up again."""

    later: ClassVar[frozenset[str]] = frozenset({"sweep_id"})
    run_id: str
    project: str
    entity: str | None
    group: str  # the search's name
    job_type: str  # 'trial', 'evaluation'
    name: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    objective: str  # the metric whose last value is the run's
    sweep_id: str | None = None


class RunMark(Record):
    """`wandb.json` of a trial: which run shows it, and what the sessions that ended in order have logged."""

    later: ClassVar[frozenset[str]] = frozenset({"uploaded"})
    schema_version: int = SCHEMA_VERSION
    shown: ShownRun
    state: TrialState = "running"
    increments: tuple[int, ...] = ()
    uploaded: bool = False  # the server has taken all of that; what is kept offline is to be uploaded


@dataclass(frozen=True)
class SearchOfRuns:
    """The search that the runs belong to, and where W&B shows them."""

    record: SearchRecord
    folder: SearchFolder
    project: str
    entity: str | None
    sweep_id: str | None = None

    def run_id(self, trial: int) -> str:
        """A trial's run id, the same whenever this search is continued, and no other search's."""
        return self.run_id_of(f"{trial:04d}")

    def run_id_of(self, name: str) -> str:
        """The run id of whatever has this name in the search."""
        identity = [self.record.name, str(self.folder.path.resolve()), self.record.created, name]
        return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]

    def shown(self, trial: int, config: RunConfig) -> ShownRun:
        """What W&B shows a trial as."""
        record = self.record
        return ShownRun(
            run_id=self.run_id(trial),
            project=self.project,
            entity=self.entity,
            group=record.name,
            job_type="trial",
            name=f"{record.name}-{trial:04d}",
            tags=(record.method, record.stream.name, record.budget),
            config=run_config(record, trial, config),
            objective=record.objective,
            sweep_id=self.sweep_id,
        )


class TrialRun:
    """An open W&B run of one trial. Every call may block or raise; only the tracker's own thread makes them.

    Args:
        wandb: the module, from `quiet_wandb`.
        mode: 'online' or 'offline'.
        shown: what W&B shows it as; a run that the folder's mark knows keeps its id.
        folder: the trial's folder: its mark, its pictures.
        local: W&B's folder for local files, named 'wandb'.

    Raises:
        Exception: whatever W&B raises when its service or its server does not answer, or nothing can be written.

    Example:
        >>> run = TrialRun(quiet_wandb(), "offline", shown, folder.trial(0), folder.wandb)
        >>> for row in folder.trial(0).rows():
        ...     run.add(row)
        >>> run.end("finished", None)
    """

    def __init__(self, wandb: Any, mode: WandbMode, shown: ShownRun, folder: TrialFolder, local: Path) -> None:
        self._wandb = wandb
        self._mode = mode
        self._folder = folder
        self._objective = shown.objective
        self._rows: dict[int, IncrementRow] = {}
        self._value: float | None = None
        self._warnings: dict[int, list[str]] = {}
        self._mark = note_run(folder, shown)
        local.mkdir(parents=True, exist_ok=True)
        self._run = _open(wandb, mode, self._mark.shown, local)
        self._run.define_metric("increment")
        self._run.define_metric("*", step_metric="increment")
        self._logged = self._logged_before(local)

    @property
    def run_id(self) -> str:
        """W&B's id of the run."""
        return self._mark.shown.run_id

    def add(self, row: IncrementRow) -> bool:
        """Log a row as one step, unless it is there already; say whether it was new.

        Raises:
            Exception: the picture of replayed images cannot be read (the row is logged without it), or W&B's own.
        """
        self._rows[row.increment] = row
        self._value = row.metrics.get(self._objective)
        self._warnings[row.increment] = row.told_warnings()
        if row.increment in self._logged:
            return False
        values = row_values(row, [self._rows[t].accuracy_row for t in sorted(self._rows)])
        grid = self._folder.replay_grid(row.increment)
        try:
            if grid.exists():
                values["replay"] = self._wandb.Image(str(grid))
        finally:
            self._run.log(values, step=row.increment, commit=True)
            self._logged.add(row.increment)
        return True

    def end(self, state: TrialState, reason: str | None) -> None:
        """Close the run; a state other than 'finished' becomes a tag, 'running' means interrupted.

        Raises:
            TimeoutError: the server did not take everything in time; W&B's local copy holds it.
        """
        shown = "interrupted" if state == "running" else state
        self._run.summary.update({"state": shown, "objective": math.nan if self._value is None else self._value})
        self._run.summary.update(_never_trained_again(self._rows, self._objective))
        if reason:
            self._run.summary["reason"] = reason
        tags = set(self._run.tags or ()) - {"interrupted"}
        warnings = [warning for _, of_row in sorted(self._warnings.items()) for warning in of_row]
        if warnings:
            self._run.summary["warnings/all"] = "\n".join(warnings)
            tags.add("warning")
        self._run.tags = tuple(sorted(tags if state == "finished" else tags | {shown}))
        self._run.finish(exit_code=_EXIT_CODES[state])
        told = {"state": state, "increments": tuple(sorted(self._logged)), "uploaded": self._mode == "online"}
        write_json(mark_path(self._folder), self._mark.model_copy(update=told))

    def _logged_before(self, local: Path) -> set[int]:
        if self._mode == "online":  # the server knows; what it has not got is sent again
            return set(range(int(self._run.starting_step or 0)))
        try:
            on_disk = logged_increments(local, self.run_id)
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


def note_run(folder: TrialFolder, shown: ShownRun) -> RunMark:
    """Mark a run that is about to be shown: what earlier sessions have logged stays, that all is uploaded does not."""
    mark, known = RunMark(shown=shown), read_mark(folder)
    if known is not None:
        same_run = shown.model_copy(update={"run_id": known.shown.run_id})
        mark = known.model_copy(update={"shown": same_run, "uploaded": False})
    write_json(mark_path(folder), mark)
    return mark


def up_to_date(folder: TrialFolder, state: TrialState, mode: WandbMode, shown: ShownRun) -> bool:
    """Say whether W&B (where the mode is online: its server) was told everything about a trial that has ended."""
    mark = read_mark(folder)
    if mark is None or mark.state != state or not {r.increment for r in folder.rows()} <= set(mark.increments):
        return False
    place = {"project", "entity", "sweep_id"}
    same_place = mark.shown.model_dump(include=place) == shown.model_dump(include=place)
    return mode != "online" or (mark.uploaded and same_place)


def row_values(row: IncrementRow, matrix: list[list[float]]) -> dict[str, Any]:
    """A row as W&B sees it; a metric that is undefined at this increment is not-a-number, so that no row lacks a key.

    `matrix` holds the rows R[0], ..., R[t] (ragged: row t has t + 1 entries); `R/<i>` is the last of them, spread over
    keys, so that W&B draws each increment's accuracy as a curve.
    """
    values: dict[str, Any] = {"increment": row.increment, "accuracy_matrix": matrix}
    values["images_scored"] = row.images_scored
    values |= {name: math.nan if value is None else value for name, value in row.metrics.items()}
    values |= {f"losses/{name}": value for name, value in row.losses.items()}
    values |= {f"R/{i}": accuracy for i, accuracy in enumerate(row.accuracy_row)}
    values |= {"warnings/count": len(row.warnings), "warnings/text": "\n".join(row.warnings)}
    for stage in row.stages:
        values[f"stages/{stage.phase}/origin"] = stage.origin
        values[f"stages/{stage.phase}/seconds"] = stage.seconds
    return values


def _never_trained_again(rows: dict[int, IncrementRow], objective: str) -> dict[str, float]:
    """`never_training_again/val/accuracy`, …: what the run's own base task gives, up to its last increment."""
    in_order = [rows[t] for t in sorted(rows)]
    if not in_order or in_order[0].increment:
        return {}
    metrics, images = [row.metrics for row in in_order], in_order[-1].images_scored
    found = achieved(metrics, in_order[0].accuracy_row, images, objective).never_trained_again
    return {f"never_training_again/{read_out(objective) or VALIDATION}{name}": value for name, value in found.items()}


def run_config(record: SearchRecord, trial: int, config: RunConfig) -> dict[str, Any]:
    """The run's configuration: the method's parameters under their paths, and what defines the run beside them."""
    return {
        **flatten(config.parameters),
        "trial": trial,
        "method": config.method,
        "stream": config.stream.name,
        "class_order": config.stream.class_order,
        "budget": config.budget,
        "horizon": config.horizon,
        "protocol": record.protocol,
        "objective": record.objective,
        "direction": record.direction,
        "device": config.device,
        "threads": config.threads,
        "precision": config.precision,
        "memory_format": config.memory_format,
        "seeds": {**record.seeds.model_dump(), "train": config.train_seed},
    }


def _open(wandb: Any, mode: WandbMode, shown: ShownRun, local: Path) -> Any:
    return wandb.init(
        mode=mode,
        project=shown.project,
        entity=shown.entity,
        id=shown.run_id,
        resume="allow",
        reinit="create_new",
        group=shown.group,
        job_type=shown.job_type,
        name=shown.name,
        tags=list(shown.tags),
        config=shown.config,
        dir=str(local.parent),  # W&B appends 'wandb'
        settings=wandb.Settings(**run_settings(wandb), sweep_id=shown.sweep_id),
    )
