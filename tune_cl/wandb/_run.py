"""An open W&B run: the rows on disk that it lacks are logged, and no row twice."""

import math
from collections.abc import Sequence
from typing import Any

from tune_cl.metrics import VALIDATION, read_out
from tune_cl.outcome import achieved
from tune_cl.records import IncrementRow, TrialState, write_json
from tune_cl.wandb._files import FileRun, mark_path
from tune_cl.wandb._mode import WandbMode
from tune_cl.wandb._offline_log import logged_increments
from tune_cl.wandb._settings import open_run

_EXIT_CODES: dict[TrialState, int] = {"finished": 0, "stopped": 0, "failed": 1, "running": 130}


class OpenRun:
    """An open W&B run. Every call may block or raise.

    Args:
        wandb: the module, from `quiet_wandb`.
        mode: 'online' or 'offline'.
        run: what it shows.

    Attributes:
        unreadable: pictures of replayed images that cannot be read; their rows are logged without them.

    Raises:
        Exception: whatever W&B raises when its service or its server does not answer, or nothing can be written.

    Example:
        >>> run = OpenRun(quiet_wandb(), "offline", files.trial(0))
        >>> run.update()
        >>> run.end("finished", None)
    """

    def __init__(self, wandb: Any, mode: WandbMode, run: FileRun) -> None:
        self.run = run
        self.unreadable = 0
        self._wandb = wandb
        self._mode = mode
        self._rows: list[IncrementRow] = []
        self._mark = run.note()
        shown = run.shown
        self._run = open_run(
            wandb,
            mode,
            run.local,
            **shown.model_dump(include={"project", "entity", "group", "job_type", "name", "tags", "config"}),
            id=shown.run_id,
            sweep_id=shown.sweep_id,
        )
        self._run.define_metric("increment")
        self._run.define_metric("*", step_metric="increment")
        self._logged = self._logged_before()

    def update(self) -> int:
        """Log the rows on disk that the run lacks, each as one step; returns how many they were."""
        self._rows = self.run.folder.rows()
        missing = [row for row in self._rows if row.increment not in self._logged]
        for row in missing:
            matrix = [earlier.accuracy_row for earlier in self._rows[: row.increment + 1]]
            values = row_values(row, matrix)
            values["accuracy_heat_map"] = self._wandb.Plotly(heat_map(matrix))
            if (picture := self._picture(row.increment)) is not None:
                values["replay"] = picture
            self._run.log(values, step=row.increment, commit=True)
            self._logged.add(row.increment)
        return len(missing)

    def end(self, state: TrialState, reason: str | None) -> None:
        """Close the run; a state other than 'finished' becomes a tag, 'running' means interrupted.

        Raises:
            TimeoutError: the server did not take everything in time; W&B's local copy holds it.
        """
        shown = "interrupted" if state == "running" else state
        objective = self.run.shown.objective
        value = self._rows[-1].metrics.get(objective) if self._rows else None
        self._run.summary.update({"state": shown, "objective": math.nan if value is None else value})
        self._run.summary.update(_never_trained_again(self._rows, objective))
        if reason:
            self._run.summary["reason"] = reason
        tags = set(self._run.tags or ()) - {"interrupted"}
        if warnings := [warning for row in self._rows for warning in row.told_warnings()]:
            self._run.summary["warnings/all"] = "\n".join(warnings)
            tags.add("warning")
        self._run.tags = tuple(sorted(tags if state == "finished" else tags | {shown}))
        self._run.finish(exit_code=_EXIT_CODES[state])
        told = {"state": state, "increments": tuple(sorted(self._logged)), "uploaded": self._mode == "online"}
        write_json(mark_path(self.run.folder), self._mark.model_copy(update=told))

    def _picture(self, increment: int) -> Any:
        grid = self.run.folder.replay_grid(increment)
        try:
            return self._wandb.Image(str(grid)) if grid.exists() else None
        except Exception:  # W&B and Pillow raise many kinds
            self.unreadable += 1
            return None

    def _logged_before(self) -> set[int]:
        if self._mode == "online":  # the server knows; what it has not got is sent again
            return set(range(int(self._run.starting_step or 0)))
        try:
            on_disk = logged_increments(self.run.local, self.run.shown.run_id)
        except ValueError:  # written by a W&B whose format this reader does not know
            on_disk = set()
        return on_disk | set(self._mark.increments)


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


def heat_map(matrix: Sequence[Sequence[float]]) -> Any:
    """The accuracy matrix R[t, i] as a Plotly figure: increments t from top to bottom, their classes i to the right."""
    from plotly import graph_objects

    names = ["base", *map(str, range(1, len(matrix)))]
    colours = {"colorscale": "Viridis", "zmin": 0, "zmax": 1}
    rows = [[*row, *[None] * (len(matrix) - len(row))] for row in matrix]
    map_ = graph_objects.Heatmap(z=rows, x=names, y=names, texttemplate="%{z:.2f}", xgap=1, ygap=1, **colours)
    figure = graph_objects.Figure(map_)
    figure.update_layout(template="none", title="Accuracy on each increment's classes, after each increment")
    figure.update_xaxes(title="classes of increment", type="category")
    figure.update_yaxes(title="after increment", type="category", autorange="reversed")
    return figure


def _never_trained_again(rows: Sequence[IncrementRow], objective: str) -> dict[str, float]:
    """`never_training_again/val/accuracy`, …: what the run's own base task gives, up to its last increment."""
    if not rows:
        return {}
    found = achieved([row.metrics for row in rows], rows[0].accuracy_row, rows[-1].images_scored, objective)
    prefix = f"never_training_again/{read_out(objective) or VALIDATION}"
    return {f"{prefix}{name}": value for name, value in found.never_trained_again.items()}
