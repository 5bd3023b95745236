"""Uploads what W&B's server has not got of a search: its runs in order, each from the rows on disk."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.records import (
    RunConfig,
    SearchFolder,
    SearchRecord,
    Summary,
    TrialFolder,
    TrialState,
    TrialSummary,
    read_record,
)
from tune_cl.tracking import in_one_line
from tune_cl.wandb._mode import credentials_found, entity_name, project_name
from tune_cl.wandb._offline_sessions import OfflineSession, mark_uploaded, offline_sessions, upload_session
from tune_cl.wandb._run import SearchOfRuns, ShownRun, TrialRun, read_mark, up_to_date
from tune_cl.wandb._sdk import abandon_service, check_place, quiet_wandb
from tune_cl.wandb._sweep import make_sweep, read_sweep, sweep_at

_FAILURES = 2  # so many in a row, and the server is not asked for the rest: each may take half a minute


@dataclass(frozen=True)
class Unsent:
    """A run that the server has not got, or not all of."""

    folder: TrialFolder
    shown: ShownRun
    state: TrialState
    reason: str | None

    @property
    def run_id(self) -> str:
        """W&B's id of the run."""
        return self.shown.run_id

    @property
    def name(self) -> str:
        """What W&B shows it as."""
        return self.shown.name


@dataclass(frozen=True)
class Upload:
    """What is to be uploaded of a search."""

    search: SearchOfRuns
    runs: tuple[Unsent, ...]  # of trials, then of evaluations: sent from the rows on disk
    kept: tuple[OfflineSession, ...]  # others that W&B keeps offline, a comparison: sent by W&B's own means
    sweep: bool  # one was asked for and is to be made

    @property
    def empty(self) -> bool:
        """Whether the server has everything already."""
        return not (self.runs or self.kept or self.sweep)


def plan_upload(
    folder: SearchFolder, project: str | None = None, entity: str | None = None, *, only_look: bool = False
) -> Upload:
    """Find what W&B's server has not got of a search, as the files say; nothing is sent.

    Args:
        folder: the search.
        project: where the runs shall be; None: where they were kept for.
        entity: the same.
        only_look: nothing will be sent, so no credentials are asked for.

    Raises:
        TuneCLError: no W&B runs are kept, W&B has no such names, or there are no credentials.
    """
    check_place(project_name(project), entity_name(entity))
    if not only_look and not credentials_found():
        raise TuneCLError("no W&B credentials found; run `wandb login`, or set WANDB_API_KEY")
    search = _search(folder, project, entity)
    shown = [*_trials(search), *_evaluation_runs(folder, project, entity)]
    kept = offline_sessions(folder.path)
    if not kept and all(read_mark(run.folder) is None for run in shown):
        raise TuneCLError(f"{folder.path}: no W&B runs are kept there; the search ran with W&B off")
    ours = {run.shown.run_id for run in shown}
    runs = tuple(run for run in shown if not up_to_date(run.folder, run.state, "online", run.shown))
    others = tuple(run for run in kept if run.run_id not in ours and not run.uploaded)
    to_make = read_sweep(folder) is not None and search.sweep_id is None
    return Upload(search, runs, others, to_make)


def upload(plan: Upload, report: Callable[[str], None]) -> bool:
    """Upload what was planned, in order; may be interrupted and repeated at any time.

    Args:
        plan: from `plan_upload`.
        report: where lines for a person go.

    Returns:
        Whether the server has everything now.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="tune_cl-sync-") as temporary:
            return _upload(plan, report, Path(temporary))
    finally:
        abandon_service()


def _upload(plan: Upload, report: Callable[[str], None], temporary: Path) -> bool:
    sweep_id = _sweep_made(plan.search, report) if plan.sweep else plan.search.sweep_id
    if plan.sweep and sweep_id is None:
        return False
    refused: set[str] = set()
    in_a_row = 0
    items: list[Unsent | OfflineSession] = [*(_in_sweep(run, sweep_id) for run in plan.runs), *plan.kept]
    for number, item in enumerate(items, start=1):
        if item.run_id in refused:  # a later session's rows would shut out those of the one that failed
            continue
        place = f"{number} of {len(items)}: {item.name}"
        try:
            report(f"{place}: {_send(item, plan.search.folder, temporary)}")
            in_a_row = 0
        except Exception as error:  # W&B raises many kinds, of its own and of its transport
            report(f"{place}: W&B did not take it ({in_one_line(error)}); the same command tries again")
            refused.add(item.run_id)
            in_a_row += 1
        if in_a_row == _FAILURES:
            break
    return not refused


def _send(item: Unsent | OfflineSession, folder: SearchFolder, temporary: Path) -> str:
    """Upload a run; returns what to say of it."""
    if isinstance(item, OfflineSession):
        upload_session(item, temporary)
        return "uploaded as it was kept"
    rows, unreadable = _send_rows(item, temporary / "wandb")
    mark_uploaded(folder.path, item.run_id)
    without = f"; {unreadable} without a picture, which cannot be read" if unreadable else ""
    return f"{rows} of {len(item.folder.rows())} rows were missing and are uploaded{without}"


def _send_rows(run: Unsent, local: Path) -> tuple[int, int]:
    """Open a run on the server, add the rows that it lacks, and close it.

    Returns:
        How many rows were missing, and for how many the picture cannot be read.
    """
    opened = TrialRun(quiet_wandb(), "online", run.shown, run.folder, local)
    rows = unreadable = 0
    for row in run.folder.rows():
        try:
            rows += opened.add(row)
        except Exception:
            rows, unreadable = rows + 1, unreadable + 1
    opened.end(run.state, run.reason)
    return rows, unreadable


def _in_sweep(run: Unsent, sweep_id: str | None) -> Unsent:
    """A trial's run, attached to the sweep; no other run belongs to it."""
    if run.shown.job_type != "trial":
        return run
    return replace(run, shown=run.shown.model_copy(update={"sweep_id": sweep_id}))


def _sweep_made(search: SearchOfRuns, report: Callable[[str], None]) -> str | None:
    """Have the sweep made that the search was to have; None where the server does not."""
    asked = sweep_at(search.folder, search.project, search.entity)
    try:
        made = make_sweep(quiet_wandb(), search.record, search.folder, asked)
    except ConnectionError as error:
        report(f"W&B's server does not answer ({error}); the same command tries again")
        return None
    except Exception as error:
        report(f"W&B made no sweep ({in_one_line(error)}); the same command tries again")
        return None
    report(f"sweep {made.sweep_id}: made")
    return made.sweep_id


def _search(folder: SearchFolder, project: str | None, entity: str | None) -> SearchOfRuns:
    """The search, and where its runs are, or shall be."""
    marks = [mark for mark in map(read_mark, folder.trials().values()) if mark is not None]
    kept_for = marks[0].shown.project if marks else project_name(None)
    project = project or kept_for
    entity = entity or (marks[0].shown.entity if marks else None)
    sweep_id = sweep_at(folder, project, entity).sweep_id
    return SearchOfRuns(read_record(folder.search, SearchRecord), folder, project, entity, sweep_id)


def _trials(search: SearchOfRuns) -> Iterator[Unsent]:
    """The trials that have begun, as W&B shall show them."""
    ends = _ends(search.folder)
    for number, trial in search.folder.trials().items():
        mark = read_mark(trial)
        if not trial.config.exists() or (mark is None and not trial.rows()):
            continue
        shown = search.shown(number, read_record(trial.config, RunConfig))
        if mark is not None:
            shown = shown.model_copy(update={"run_id": mark.shown.run_id})
        state = ends[number].state if number in ends else "running"
        if (
            mark is not None and mark.state != "running"
        ):  # newer than the summary of a search that went on and was killed
            state = mark.state
        yield Unsent(trial, shown, state, ends[number].reason if number in ends else None)


def _evaluation_runs(folder: SearchFolder, project: str | None, entity: str | None) -> Iterator[Unsent]:
    """The evaluation's runs that W&B was to be told of, as their marks say; all have ended, whatever W&B heard."""
    for path in sorted((folder.evaluation.path / "runs").glob("*/wandb.json")):
        trial = TrialFolder(path.parent)
        mark = read_mark(trial)
        if mark is not None:
            place = {"project": project or mark.shown.project, "entity": entity or mark.shown.entity}
            yield Unsent(trial, mark.shown.model_copy(update=place), "finished", None)


def _ends(folder: SearchFolder) -> dict[int, TrialSummary]:
    """How the trials have ended, where the search has written so."""
    if not folder.summary.exists():
        return {}
    return {trial.trial: trial for trial in read_record(folder.summary, Summary).table}
