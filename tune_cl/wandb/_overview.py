"""A search, an evaluation or a comparison as one W&B run: numbers, tables, plots, the page, and the winner's files."""

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tune_cl.commands import beside_python
from tune_cl.errors import TuneCLError
from tune_cl.records import SCHEMA_VERSION, Record, SearchFolder, search_id, sound_record, write_json
from tune_cl.tracking import in_one_line
from tune_cl.wandb._files import SearchFiles, search_config
from tune_cl.wandb._mode import WandbMode, entity_name, prepared, project_name
from tune_cl.wandb._sdk import abandon_service, quiet_wandb
from tune_cl.wandb._settings import open_run

Subject = Literal["search", "evaluation"]

_JOB_TYPES: dict[Subject, str] = {"search": "search", "evaluation": "evaluation-summary"}
_LARGEST_PAGE = 5_000_000  # bytes


class UnfinishedUpload(TuneCLError):
    """W&B's server is slow: nothing is wrong with what was asked for."""


@dataclass(frozen=True)
class Overview:
    """What a run shows of a whole.

    Attributes:
        config: what defines it.
        summary: the numbers to sort runs by.
        tables: name -> columns, rows.
        figures: name -> Plotly figure.
        page: HTML in one file; empty for none.
        bars: name -> (table, column of labels, column of values), a chart of W&B's own.
        lines: name -> (table, column of x, column of y), a chart of W&B's own.
    """

    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]
    figures: Mapping[str, Any] = field(default_factory=dict)
    page: str = ""
    bars: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    lines: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)


MakeOverview = Callable[[SearchFolder, Subject], Overview]  # `tune_cl.reports` has it, which is not known here


class OverviewMark(Record):
    """`wandb-search.json` of a search, `wandb-summary.json` of its evaluation: what W&B shows of the whole."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    project: str
    entity: str | None
    digest: str  # of the files that it was made of
    uploaded: bool  # to the server


@dataclass(frozen=True)
class FileOverview:
    """The overview of a search or of its evaluation, as the files have it."""

    subject: Subject
    files: SearchFiles

    @property
    def exists(self) -> bool:
        """Whether there is something to say: the search, or its evaluation, has ended at least once."""
        return self._sources[0].exists()

    @property
    def name(self) -> str:
        """What W&B shows it as."""
        return self.files.record.name if self.subject == "search" else f"{self.files.record.name}-evaluation"

    @property
    def mark(self) -> OverviewMark | None:
        """What W&B has of it; None where it has nothing."""
        return sound_record(self._mark_path, OverviewMark)

    def up_to_date(self, mode: WandbMode) -> bool:
        """Say whether W&B (where the mode is online: its server) has it, as the files are now."""
        mark = self.mark
        if mark is None or mark.digest != self._digest():
            return False
        here = (mark.project, mark.entity) == (self.files.project, self.files.entity)
        return mode != "online" or (mark.uploaded and here)

    def publish(self, wandb: Any, mode: WandbMode, make: MakeOverview, finish_seconds: float | None = None) -> None:
        """Show it, in the run that shows it already if there is one.

        Raises:
            Exception: whatever W&B raises, and `TimeoutError` where the server did not take everything in time.
        """
        record, folder, mark = self.files.record, self.files.folder, self.mark
        about = {
            "run_id": search_id(record, folder, _JOB_TYPES[self.subject]) if mark is None else mark.run_id,
            "project": self.files.project,
            "entity": self.files.entity,
        }
        digest = self._digest()
        overview = make(folder, self.subject)
        run = open_run(
            wandb,
            mode,
            folder.wandb if self.subject == "search" else folder.evaluation.wandb,
            project=self.files.project,
            entity=self.files.entity,
            id=about["run_id"],
            group=record.name,
            job_type=_JOB_TYPES[self.subject],
            name=self.name,
            tags=(record.method, record.stream.name, record.budget),
            config={**search_config(record), **overview.config},
            finish_seconds=finish_seconds,
        )
        _log(wandb, run, overview)
        if self.subject == "search" and folder.best_config.exists():
            artifact = wandb.Artifact(f"{record.name}-best", type="model")
            for file in (folder.best_config, folder.best_weights):
                if file.exists():
                    artifact.add_file(str(file), policy="immutable")  # W&B keeps no copy of its own
            run.log_artifact(artifact)
        write_json(self._mark_path, OverviewMark(**about, digest=digest, uploaded=False))
        run.finish()
        write_json(self._mark_path, OverviewMark(**about, digest=digest, uploaded=mode == "online"))

    @property
    def _mark_path(self) -> Path:
        folder = self.files.folder
        is_search = self.subject == "search"
        return folder.path / "wandb-search.json" if is_search else folder.evaluation.path / "wandb-summary.json"

    @property
    def _sources(self) -> list[Path]:
        """The files that it is made of; without the first there is nothing to say."""
        folder = self.files.folder
        if self.subject == "evaluation":
            return [folder.evaluation.summary]
        return [folder.summary, folder.search, folder.best_config, folder.best_weights, folder.page]

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in (path for path in self._sources if path.exists()):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def check_wandb(mode: str | None, project: str | None, entity: str | None) -> None:
    """Refuse what could not be had, before anything is done for it.

    Raises:
        TuneCLError: W&B cannot be had so: see `prepared`.
    """
    prepared(mode, project, entity)


def publish_comparison(
    name: str, overview: Overview, mode: str | None, project: str | None, entity: str | None, folder: Path
) -> str:
    """Publish a comparison as a W&B run of the job type 'comparison'; published again, it is the same run.

    Args:
        name: what W&B shows it as.
        overview: what to publish.
        mode: 'online', 'offline', 'disabled', or None: WANDB_MODE, else online where there are credentials.
        project: W&B project; None: WANDB_PROJECT, else 'tune_cl'.
        entity: W&B user or team; None: WANDB_ENTITY, else the account's default.
        folder: where local files go, below 'wandb'.

    Returns:
        One line for a person: where the run is.

    Raises:
        UnfinishedUpload: W&B did not take all of it in time.
        TuneCLError: W&B cannot be had so (see `prepared`), or did not take it.
    """
    resolved = prepared(mode, project, entity)
    if resolved.mode == "disabled":
        return f"W&B: off ({resolved.why}), nothing was published"
    wandb = quiet_wandb()
    content = json.dumps([name, overview.config, overview.summary, overview.tables], sort_keys=True, default=str)
    try:
        opened = open_run(
            wandb,
            resolved.mode,
            folder / "wandb",
            project=project_name(project),
            entity=entity_name(entity),
            id=hashlib.sha256(content.encode()).hexdigest()[:16],
            job_type="comparison",
            name=name,
            config=dict(overview.config),
        )
        _log(wandb, opened, overview)
        opened.finish()
    except TimeoutError:
        abandon_service()
        raise UnfinishedUpload(
            "--wandb: W&B did not take all of the comparison in time; the same command completes the same run"
        ) from None
    except Exception as error:  # W&B raises many kinds, of its own and of its transport
        abandon_service()
        raise TuneCLError(
            f"--wandb: W&B did not take the comparison ({in_one_line(error)}); try again, or --wandb-mode offline"
        ) from None
    if resolved.mode == "online":
        return f"W&B: published as {opened.url}"
    kept = Path(opened.dir).parent
    return f"W&B: {resolved.why}, kept in {kept}; upload with `{beside_python('wandb')} sync {shlex.quote(str(kept))}`"


def _log(wandb: Any, run: Any, overview: Overview) -> None:
    """Log everything as one step, and the numbers as the run's summary."""
    tables = {
        name: wandb.Table(columns=list(columns), data=[list(row) for row in rows], allow_mixed_types=True)
        for name, (columns, rows) in overview.tables.items()
    }
    logged: dict[str, Any] = {f"tables/{name}": table for name, table in tables.items()}
    logged |= {f"plots/{name}": wandb.Plotly(figure) for name, figure in overview.figures.items()}
    for draw, charts in ((wandb.plot.bar, overview.bars), (wandb.plot.line, overview.lines)):
        logged |= {name: draw(tables[table], x, y, title=name) for name, (table, x, y) in charts.items()}
    if overview.page and len(overview.page.encode()) <= _LARGEST_PAGE:
        logged["page"] = wandb.Html(overview.page, inject=False)
    run.log(logged)
    run.summary.update(dict(overview.summary))
