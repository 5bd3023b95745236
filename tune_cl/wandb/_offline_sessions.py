"""Runs that W&B keeps offline and nobody else does: uploaded by W&B's own `wandb sync`, no row twice.

`wandb sync` (0.31) sends all rows of a file behind those that the server has: of a file that it was interrupted in, it
would double the rows. It is given a copy without them.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_cl.wandb._offline_log import read_records, write_records
from tune_cl.wandb._sdk import quiet_wandb

_SYNC_SECONDS = 600


@dataclass(frozen=True, order=True)
class OfflineSession:
    """One session of a run, in a folder of W&B's; sessions of one run are uploaded in order of time."""

    name: str  # offline-run-<date>_<time>-<run id>, and a number where that is not unique
    log: Path  # what the session has logged

    @property
    def folder(self) -> Path:
        """The session's folder."""
        return self.log.parent

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.log.stem.removeprefix("run-")

    @property
    def uploaded(self) -> bool:
        """Whether W&B's note says that the server has it."""
        return self._note.exists()

    @property
    def _note(self) -> Path:
        return self.log.with_suffix(".wandb.synced")

    def mark_uploaded(self) -> None:
        """Leave W&B's own note, so that `wandb sync` passes the session over."""
        self._note.touch()


def offline_sessions(folder: Path) -> list[OfflineSession]:
    """The offline sessions in every `wandb` folder below a folder, in order of time."""
    return sorted(OfflineSession(log.parent.name, log) for log in folder.rglob("wandb/offline-run-*/run-*.wandb"))


def mark_uploaded(folder: Path, run_id: str) -> None:
    """Note that the server has all of a run, whatever W&B keeps of it below a folder."""
    for run in offline_sessions(folder):
        if run.run_id == run_id:
            run.mark_uploaded()


def upload_session(run: OfflineSession, temporary: Path) -> None:
    """Upload one session.

    Args:
        run: the session.
        temporary: an empty folder, for a copy.

    Raises:
        Exception: whatever W&B raises, or that it did not upload everything.
    """
    last_step = _last_step_on_server(run)
    source = run if last_step < 0 else _copy_after(run, last_step, temporary)
    command = [sys.executable, "-m", "wandb", "sync", str(source.folder.resolve())]
    here = {name: value for name, value in os.environ.items() if name not in ("WANDB_SERVICE", "WANDB_MODE")}
    here["WANDB_DIR"] = str(temporary)  # it would leave its own log in the current folder
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SYNC_SECONDS, env=here)
    if not source.uploaded:
        said = [line.removeprefix("wandb: ") for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise RuntimeError(f"wandb sync did not finish: {said[-1] if said else f'exit code {done.returncode}'}")
    run.mark_uploaded()


def _last_step_on_server(run: OfflineSession) -> int:
    """The last step that the server has of a run; -1 where it has none."""
    start = next((record.run for record in read_records(run.log) if record.WhichOneof("record_type") == "run"), None)
    if start is None:  # killed before W&B had written anything
        raise RuntimeError(f"{run.log} holds no run; its folder may be deleted")
    api = quiet_wandb().Api(timeout=30)
    path = f"{start.entity or api.default_entity}/{start.project}"
    try:
        found = list(api.runs(path, filters={"name": run.run_id}))
    except ValueError:  # there is no such project yet
        return -1
    return int(found[0].lastHistoryStep) if found else -1


def _copy_after(run: OfflineSession, step: int, temporary: Path) -> OfflineSession:
    """A session without its rows up to a step; its files are the same."""
    copy = OfflineSession(run.name, temporary / run.name / run.log.name)
    copy.folder.mkdir()
    (copy.folder / "files").symlink_to((run.folder / "files").resolve())
    write_records(copy.log, (record for record in read_records(run.log) if _step(record) > step))
    return copy


def _step(record: Any) -> float:
    """The step of a row; what is none comes after every row."""
    if record.WhichOneof("record_type") != "history":
        return float("inf")
    steps = [json.loads(i.value_json) for i in record.history.item if (i.key or "/".join(i.nested_key)) == "_step"]
    return float(steps[0]) if steps else float(record.history.step.num)
