"""A comparison of searches as one W&B run: tables, plots and the page."""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_cl.commands import beside_python
from tune_cl.errors import TuneCLError
from tune_cl.tracking import in_one_line
from tune_cl.wandb._mode import entity_name, prepared, project_name
from tune_cl.wandb._sdk import abandon_service, quiet_wandb
from tune_cl.wandb._settings import run_settings


class UnfinishedUpload(TuneCLError):
    """W&B's server is slow: nothing is wrong with what was asked for."""


@dataclass(frozen=True)
class ComparisonRun:
    """What is published."""

    name: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]  # the numbers to sort runs by
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[str]]]]  # name -> columns, rows
    figures: Mapping[str, Any]  # name -> Plotly figure
    page: str  # HTML, in one file


def check_wandb(mode: str | None, project: str | None, entity: str | None) -> None:
    """Refuse what could not be had, before anything is done for it.

    Raises:
        TuneCLError: W&B cannot be had so: see `prepared`.
    """
    prepared(mode, project, entity)


def publish_comparison(
    run: ComparisonRun, mode: str | None, project: str | None, entity: str | None, folder: Path
) -> str:
    """Publish a comparison as a W&B run of the job type 'comparison'; published again, it is the same run.

    Args:
        run: what to publish.
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
    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    try:
        opened = wandb.init(
            mode=resolved.mode,
            project=project_name(project),
            entity=entity_name(entity),
            id=_run_id(run),
            resume="allow",
            job_type="comparison",
            name=run.name,
            config=dict(run.config),
            reinit="create_new",
            dir=str(folder),  # W&B appends 'wandb'
            settings=wandb.Settings(**run_settings(wandb)),
        )
        opened.log(_logged(wandb, run))
        opened.summary.update(dict(run.summary))
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


def _run_id(run: ComparisonRun) -> str:
    content = json.dumps([run.name, run.config, run.summary, run.tables], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _logged(wandb: Any, run: ComparisonRun) -> dict[str, Any]:
    logged: dict[str, Any] = {
        f"tables/{name}": wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        for name, (columns, rows) in run.tables.items()
    }
    logged |= {f"plots/{name}": wandb.Plotly(figure) for name, figure in run.figures.items()}
    return logged | {"page": wandb.Html(run.page, inject=False)}
