"""TensorBoard: a folder of event files per trial."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tune_cl.records import IncrementRow, RunConfig, SearchFolder, SearchRecord, TrialFolder, TrialState, flatten
from tune_cl.tracking._runs import row_numbers

_REPLAY = "replay"  # tag of the pictures
_BEGUN, _ENDED = "_hparams_/session_start_info", "_hparams_/session_end_info"  # tags of the HParams dashboard


class TensorBoardRuns:
    """`tensorboard/<trial>` in the folder of a search; `tensorboard --logdir results` shows all searches."""

    def __init__(self, record: SearchRecord, folder: SearchFolder) -> None:
        self._record, self._folder = record, folder

    def open(self, trial: int, config: RunConfig) -> "TensorBoardRun":
        """The run of a trial, new or continued."""
        parameters = flatten(config.parameters)
        searched = {path: parameters[path] for path in self._record.ranges if path in parameters}
        place = self._folder.path / "tensorboard" / f"{trial:04d}"
        return TensorBoardRun(place, self._folder.trial(trial), searched, parameters, self._record.objective)


class TensorBoardRun:
    """One trial.

    Args:
        place: folder of its event files.
        folder: of the trial: its pictures.
        searched: path -> value of what was searched, for the HParams dashboard.
        parameters: path -> value of the whole configuration, shown as text.
        objective: the metric that the HParams dashboard shows.
    """

    def __init__(
        self,
        place: Path,
        folder: TrialFolder,
        searched: dict[str, Any],
        parameters: dict[str, Any],
        objective: str,
    ) -> None:
        self._place, self._folder = place, folder
        self._there = _steps(place)
        if (_BEGUN, 0) not in self._there:
            self._begin(searched, parameters, objective)

    def add(self, row: IncrementRow) -> None:
        """Log what is not there already."""
        step, grid = row.increment, self._folder.replay_grid(row.increment)
        new = {name: value for name, value in row_numbers(row).items() if (name, step) not in self._there}
        for name, value in new.items():
            self._writer.add_scalar(name, value, step)
            self._there.add((name, step))
        try:
            if (_REPLAY, step) not in self._there and grid.exists():
                with Image.open(grid) as picture:
                    self._writer.add_image(_REPLAY, np.asarray(picture.convert("RGB")), step, dataformats="HWC")
                self._there.add((_REPLAY, step))
        finally:
            self._flush()

    def end(self, state: TrialState, reason: str | None) -> None:
        """Close the files; a trial that finished or was stopped has succeeded in the HParams dashboard."""
        if state in ("finished", "stopped") and (_ENDED, 0) not in self._there:
            self._writer.file_writer.add_summary(_hyperparameters({}, "")[2])
        if "_writer" in self.__dict__:
            self._writer.close()

    def _begin(self, searched: dict[str, Any], parameters: dict[str, Any], objective: str) -> None:
        for summary in _hyperparameters(searched, objective)[:2]:
            self._writer.file_writer.add_summary(summary)
        self._writer.add_text("configuration", "\n".join(f"    {path}: {value}" for path, value in parameters.items()))
        self._flush()

    def _flush(self) -> None:
        if "_writer" in self.__dict__:
            self._writer.flush()

    @cached_property
    def _writer(self) -> Any:
        """Opened by the first thing to write: each writer leaves a file."""
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self._place))


def _hyperparameters(values: dict[str, Any], objective: str) -> tuple[Any, Any, Any]:
    """The summaries of the HParams dashboard: what there is, how a run begins, how it ends."""
    from torch.utils.tensorboard.summary import hparams

    plain = {path: value if isinstance(value, int | float | str) else str(value) for path, value in values.items()}
    experiment, begun, ended = hparams(plain, {objective: 0.0})
    return experiment, begun, ended


def _steps(place: Path) -> set[tuple[str, int]]:
    """The tags and steps that event files hold already; a torn last record is passed over."""
    if not place.is_dir():
        return set()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(place), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    found = {(tag, event.step) for tag in tags["scalars"] for event in events.Scalars(tag)}
    found |= {(tag, event.step) for tag in tags["images"] for event in events.Images(tag)}
    return found | {(tag, 0) for tag in (_BEGUN, _ENDED) if tag in events.summary_metadata}
