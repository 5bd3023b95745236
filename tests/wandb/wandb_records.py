"""W&B runs as they lie on disk, decoded from their records into what W&B's server would show."""

import json
import math
from pathlib import Path
from typing import Any

from tune_cl.wandb._offline_log import read_records


class OfflineRun:
    """All sessions of one run id, read together as `wandb sync` would send them."""

    def __init__(self, files: list[Path]) -> None:
        self.files = sorted(files)
        self._records = [record for file in self.files for record in read_records(file)]

    def rows(self) -> list[dict[str, Any]]:
        """The history: one dictionary per logged row; parts of nested values under 'a/b'."""
        return [_items(record.history.item) for record in self._of_kind("history")]

    def starts(self) -> list[Any]:
        """The run records, one or more per session: id, name, group, tags, configuration."""
        return [record.run for record in self._of_kind("run")]

    def config(self) -> dict[str, Any]:
        """The configuration as the last session left it."""
        return _items(self.starts()[-1].config.update)

    def summary(self) -> dict[str, Any]:
        """The summary as its updates left it."""
        return {
            key: value for record in self._of_kind("summary") for key, value in _items(record.summary.update).items()
        }

    def exit_codes(self) -> list[int]:
        """One per session that was closed."""
        return [record.exit.exit_code for record in self._of_kind("exit")]

    def axes(self) -> dict[str, str]:
        """Name or pattern of each declared metric -> the metric on its axis."""
        metrics = [record.metric for record in self._of_kind("metric")]
        return {metric.name or metric.glob_name: metric.step_metric for metric in metrics}

    def artifacts(self) -> dict[str, list[str]]:
        """Name of each artifact -> its files."""
        found = [record.artifact for record in self._of_kind("artifact")]
        return {artifact.name: sorted(entry.path for entry in artifact.manifest.contents) for artifact in found}

    def _of_kind(self, kind: str) -> list[Any]:
        return [record for record in self._records if record.WhichOneof("record_type") == kind]


def offline_runs(folder: Path) -> dict[str, OfflineRun]:
    """All runs below a folder, by display name."""
    files: dict[str, list[Path]] = {}
    for file in folder.rglob("run-*.wandb"):
        files.setdefault(file.stem, []).append(file)
    runs = [OfflineRun(found) for found in files.values()]
    return {run.starts()[0].display_name: run for run in runs if run.starts()}


def same_value(logged: Any, expected: float | None) -> bool:
    """Equality in which a metric that is undefined (None on disk) was logged as not-a-number."""
    return math.isnan(logged) if expected is None else math.isclose(logged, expected, rel_tol=1e-12)


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
