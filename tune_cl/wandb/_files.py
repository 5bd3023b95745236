"""What is on disk of a search, as the runs that W&B shows: one of each trial and of each run of its evaluation."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tune_cl.metrics import on_test_data
from tune_cl.records import (
    SCHEMA_VERSION,
    Record,
    RunConfig,
    SearchFolder,
    SearchRecord,
    Summary,
    TrialFolder,
    TrialState,
    flatten,
    read_record,
    search_id,
    sound_record,
    write_json,
)
from tune_cl.wandb._mode import WandbMode


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
class FileRun:
    """A run, as the files have it.

    Attributes:
        folder: its rows, its pictures, and the mark of what W&B has of it.
        shown: what W&B shows it as.
        local: W&B's folder for local files, named 'wandb'.
        state: how it ended; 'running' if it has not.
        reason: why it was stopped or failed.
    """

    folder: TrialFolder
    shown: ShownRun
    local: Path
    state: TrialState = "running"
    reason: str | None = None

    def note(self) -> RunMark:
        """Mark the run as about to be shown: what earlier sessions logged stays, that all is uploaded does not."""
        mark = read_mark(self.folder) or RunMark(shown=self.shown)
        mark = mark.model_copy(update={"shown": self.shown, "uploaded": False})
        write_json(mark_path(self.folder), mark)
        return mark

    def up_to_date(self, mode: WandbMode) -> bool:
        """Say whether W&B (where the mode is online: its server) has everything of a run that has ended."""
        mark = read_mark(self.folder)
        increments = {row.increment for row in self.folder.rows()}
        if mark is None or mark.state != self.state or not increments <= set(mark.increments):
            return False
        place = {"project", "entity", "sweep_id"}
        same_place = mark.shown.model_dump(include=place) == self.shown.model_dump(include=place)
        return mode != "online" or (mark.uploaded and same_place)


@dataclass(frozen=True)
class SearchFiles:
    """A search on disk, and where W&B shows its runs."""

    record: SearchRecord
    folder: SearchFolder
    project: str
    entity: str | None
    sweep_id: str | None = None

    def trial(self, number: int, state: TrialState = "running", reason: str | None = None) -> FileRun:
        """A trial that has begun.

        Raises:
            TuneCLError: its configuration cannot be read.
        """
        folder = self.folder.trial(number)
        config = read_record(folder.config, RunConfig)
        settings = run_config(self.record, number, config)
        shown = self._shown(folder, f"{number:04d}", "trial", settings).model_copy(update={"sweep_id": self.sweep_id})
        return FileRun(folder, shown, self.folder.wandb, state, reason)

    def evaluation(self, name: str) -> FileRun:
        """A run of the evaluation that has its rows, by its folder below `evaluation/runs`.

        Raises:
            TuneCLError: its configuration or its rows cannot be read.
        """
        folder = self.folder.evaluation.run(name)
        config = read_record(folder.config, RunConfig)
        settings = {
            **run_config(self.record, folder.rows()[0].trial, config),
            "objective": on_test_data(self.record.objective),
            "protocol": "evaluation",
            "seeds": {"order": config.stream.order_seed, "train": config.train_seed},
        }
        shown = self._shown(folder, name, "evaluation", settings)
        return FileRun(folder, shown, self.folder.evaluation.wandb, "finished")

    def trials(self) -> Iterator[FileRun]:
        """The trials that have begun, as they ended."""
        ends = {}
        if self.folder.summary.exists():
            ends = {trial.trial: trial for trial in read_record(self.folder.summary, Summary).table}
        for number, folder in self.folder.trials().items():
            mark, end = read_mark(folder), ends.get(number)
            if not folder.config.exists() or (mark is None and not folder.rows()):
                continue
            state = end.state if end is not None else "running"
            if mark is not None and mark.state != "running":  # newer than the summary of a search that was killed
                state = mark.state
            yield self.trial(number, state, end.reason if end is not None else None)

    def evaluations(self) -> Iterator[FileRun]:
        """The evaluation's runs that have their rows."""
        for path in sorted((self.folder.evaluation.path / "runs").glob("*/increments.jsonl")):
            yield self.evaluation(path.parent.name)

    def _shown(self, folder: TrialFolder, name: str, job_type: str, config: dict[str, Any]) -> ShownRun:
        """What W&B shows the run in a folder as; one that its mark knows keeps its id."""
        record, mark = self.record, read_mark(folder)
        return ShownRun(
            run_id=search_id(record, self.folder, name) if mark is None else mark.shown.run_id,
            project=self.project,
            entity=self.entity,
            group=record.name,
            job_type=job_type,
            name=f"{record.name}-{name}",
            tags=(record.method, record.stream.name, record.budget),
            config=config,
            objective=config["objective"],
        )


def mark_path(folder: TrialFolder) -> Path:
    """Where a run's mark lies."""
    return folder.path / "wandb.json"


def read_mark(folder: TrialFolder) -> RunMark | None:
    """A run's mark, or None where W&B has not seen the run (or the mark is damaged: the id can be had again)."""
    return sound_record(mark_path(folder), RunMark)


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
        "device": config.device,
        "threads": config.threads,
        "precision": config.precision,
        "memory_format": config.memory_format,
        **search_config(record),
        "seeds": {**record.seeds.model_dump(), "train": config.train_seed},
    }


def search_config(record: SearchRecord) -> dict[str, Any]:
    """What the runs of a search have in common: how they are judged and proposed, on which data, by which software."""
    names = ("protocol", "objective", "direction", "scale", "sampler", "scheduler", "data_fingerprint", "deterministic")
    known = {name: getattr(record, name) for name in (*names, "versions", "git_commit", "plugins", "method_source")}
    return {name: value for name, value in known.items() if value not in (None, [], {})}
