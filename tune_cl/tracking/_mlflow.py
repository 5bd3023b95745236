"""MLflow: a run per trial, in a database in the search's folder or on the server of MLFLOW_TRACKING_URI."""

import logging
import os
import time
from collections.abc import Sequence
from typing import Any

from tune_cl.records import (
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    TrialFolder,
    TrialState,
    flatten,
    search_id,
)
from tune_cl.tracking._runs import row_numbers

_MOST_METRICS, _MOST_PARAMS = 1000, 100  # in one request; MLflow's own limits
_LAST = "increment"  # a metric that is logged after all others of a row: with it, the row is there
_TAG = "tune_cl.run"
_STATUS: dict[TrialState, str] = {
    "finished": "FINISHED",
    "stopped": "FINISHED",
    "failed": "FAILED",
    "running": "KILLED",  # interrupted
}


class MlflowRuns:
    """An experiment with the search's name; without a server, `mlflow.db` and `mlflow-artifacts` in its folder."""

    def __init__(self, record: SearchRecord, folder: SearchFolder) -> None:
        self._record, self._folder = record, folder
        self._client = _client(folder)
        local = None if _server() else (folder.path.resolve() / "mlflow-artifacts").as_uri()
        known = self._client.get_experiment_by_name(record.name)
        self._experiment: str = (
            known.experiment_id if known else self._client.create_experiment(record.name, artifact_location=local)
        )

    def open(self, trial: int, config: RunConfig) -> "MlflowRun":
        """The run of a trial, new or continued."""
        record, client = self._record, self._client
        identity = f"{search_id(record, self._folder)}-{trial:04d}"
        found = client.search_runs([self._experiment], f"tags.`{_TAG}` = '{identity}'", max_results=1)
        tags = {
            _TAG: identity,
            "search": record.name,
            "method": config.method,
            "stream": config.stream.name,
            "budget": config.budget,
        }
        name = f"{record.name}-{trial:04d}"
        run = found[0] if found else client.create_run(self._experiment, tags=tags, run_name=name)
        values = {"trial": trial, "method": config.method, "train_seed": config.train_seed} | flatten(config.parameters)
        return MlflowRun(client, run, {name: str(value) for name, value in values.items()}, self._folder.trial(trial))


class MlflowRun:
    """One trial.

    Args:
        client: MLflow's.
        run: MLflow's.
        parameters: what it was run with.
        folder: of the trial: its pictures.
    """

    def __init__(self, client: Any, run: Any, parameters: dict[str, str], folder: TrialFolder) -> None:
        self._client, self._folder, self._id = client, folder, run.info.run_id
        self._there = {metric.step for metric in client.get_metric_history(self._id, _LAST)}
        if run.info.status != "RUNNING":
            client.update_run(self._id, status="RUNNING")
        from mlflow.entities import Param

        new = [Param(name, value) for name, value in parameters.items() if name not in run.data.params]
        for some in _parts(new, _MOST_PARAMS):
            client.log_batch(self._id, params=some)

    def add(self, row: IncrementRow) -> None:
        """Log a row, unless it is there already."""
        if row.increment in self._there:
            return
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        numbers = row_numbers(row) | {_LAST: float(row.increment)}
        metrics = [Metric(name, value, now, row.increment) for name, value in numbers.items()]
        grid = self._folder.replay_grid(row.increment)
        try:
            if grid.exists():
                self._client.log_artifact(self._id, str(grid), artifact_path="replay")
        finally:
            for some in _parts(metrics, _MOST_METRICS):
                self._client.log_batch(self._id, metrics=some)
            self._there.add(row.increment)

    def end(self, state: TrialState, reason: str | None) -> None:
        """Close the run; its tag `state` has the search's own word."""
        self._client.set_tag(self._id, "state", "interrupted" if state == "running" else state)
        if reason:
            self._client.set_tag(self._id, "reason", reason)
        self._client.set_terminated(self._id, _STATUS[state])


def _server() -> str | None:
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def _client(folder: SearchFolder) -> Any:
    """MLflow's client, without its chatter and its usage statistics."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return MlflowClient(_server() or f"sqlite:///{folder.path.resolve() / 'mlflow.db'}")


def _parts(items: Sequence[Any], most: int) -> list[Sequence[Any]]:
    return [items[i : i + most] for i in range(0, len(items), most)]
