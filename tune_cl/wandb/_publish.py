"""Brings what is on disk of a search and its evaluation to W&B's server, whatever of it is there already."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder, SearchRecord, TrialFolder, read_record
from tune_cl.tracking import in_one_line
from tune_cl.wandb._files import FileRun, SearchFiles, ShownRun, read_mark
from tune_cl.wandb._mode import credentials_found, entity_name, project_name
from tune_cl.wandb._offline_sessions import OfflineSession, mark_uploaded, offline_sessions, upload_session
from tune_cl.wandb._overview import FileOverview, MakeOverview
from tune_cl.wandb._run import OpenRun
from tune_cl.wandb._sdk import abandon_service, check_place, quiet_wandb
from tune_cl.wandb._sweep import make_sweep, read_sweep, sweep_at

_FAILURES = 2  # so many in a row, and the server is not asked for the rest: each may take half a minute
_OVERVIEW_SECONDS = 600.0  # for the winner's weights, over a slow line


@dataclass(frozen=True)
class Upload:
    """What is to be uploaded of a search."""

    search: SearchFiles
    runs: tuple[FileRun, ...]  # of trials, then of evaluations: sent from the rows on disk
    overviews: tuple[FileOverview, ...]  # of the search, and of its evaluation
    kept: tuple[OfflineSession, ...]  # others that W&B keeps offline, a comparison: sent by W&B's own means
    sweep: bool  # one was asked for and is to be made

    @property
    def empty(self) -> bool:
        """Whether the server has everything already."""
        return not (self.runs or self.overviews or self.kept or self.sweep)


def plan_upload(
    folder: SearchFolder,
    project: str | None = None,
    entity: str | None = None,
    *,
    everything: bool = False,
    only_look: bool = False,
) -> Upload:
    """Find what W&B's server has not got of a search, as the files say; nothing is sent.

    Args:
        folder: the search.
        project: where the runs shall be; None: where they were kept for.
        entity: the same.
        everything: also what ran with W&B off.
        only_look: nothing will be sent, so no credentials are asked for.

    Raises:
        TuneCLError: no W&B runs are kept, W&B has no such names, or there are no credentials.
    """
    check_place(project_name(project), entity_name(entity))
    if not only_look and not credentials_found():
        raise TuneCLError("no W&B credentials found; run `wandb login`, or set WANDB_API_KEY")
    search = _files(folder, folder.trials().values(), project, entity)
    search = replace(search, sweep_id=sweep_at(folder, search.project, search.entity).sweep_id)
    marked = [TrialFolder(path.parent) for path in sorted(folder.evaluation.path.glob("runs/*/wandb.json"))]
    evaluation = _files(folder, marked, project, entity)
    trials = list(search.trials())
    evaluated = [run for run in evaluation.evaluations() if everything or read_mark(run.folder) is not None]
    kept = offline_sessions(folder.path)
    if not everything and not kept and all(read_mark(run.folder) is None for run in (*trials, *evaluated)):
        raise TuneCLError(
            f"{folder.path}: no W&B runs are kept there; the search ran with W&B off (--everything uploads it)"
        )
    overviews = [FileOverview("search", search)] if trials else []
    overviews += [FileOverview("evaluation", evaluation)] if evaluated else []
    ours = {run.shown.run_id for run in (*trials, *evaluated)} | {o.mark.run_id for o in overviews if o.mark}
    return Upload(
        search,
        tuple(run for run in (*trials, *evaluated) if not run.up_to_date("online")),
        tuple(overview for overview in overviews if overview.exists and not overview.up_to_date("online")),
        tuple(run for run in kept if run.run_id not in ours and not run.uploaded),
        read_sweep(folder) is not None and search.sweep_id is None,
    )


def upload(plan: Upload, report: Callable[[str], None], overview: MakeOverview | None = None) -> bool:
    """Upload what was planned, in order; may be interrupted and repeated at any time.

    Args:
        plan: from `plan_upload`.
        report: where lines for a person go.
        overview: makes what the runs of the search and of its evaluation show; None for no such runs.

    Returns:
        Whether the server has everything now.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="tune_cl-sync-") as temporary:
            return _upload(plan, report, overview, Path(temporary))
    finally:
        abandon_service()


def _upload(plan: Upload, report: Callable[[str], None], make: MakeOverview | None, temporary: Path) -> bool:
    sweep_id = _sweep_made(plan.search, report) if plan.sweep else plan.search.sweep_id
    if plan.sweep and sweep_id is None:
        return False
    items: list[tuple[str, str, Callable[[], str]]] = []  # run id, name, what uploads it
    for run in plan.runs:
        here = replace(run, shown=_in_sweep(run, sweep_id), local=temporary / "wandb")
        items.append((run.shown.run_id, run.shown.name, partial(_send_rows, here, plan.search.folder)))
    if make is not None:
        items += [(each.name, each.name, partial(_send_overview, each, make)) for each in plan.overviews]
    for session in plan.kept:
        items.append((session.run_id, session.name, partial(_send_session, session, temporary)))
    return _all_sent(items, report)


def _all_sent(items: Sequence[tuple[str, str, Callable[[], str]]], report: Callable[[str], None]) -> bool:
    refused: set[str] = set()
    in_a_row = 0
    for number, (run_id, name, send) in enumerate(items, start=1):
        if run_id in refused:  # a later session's rows would shut out those of the one that failed
            continue
        place = f"{number} of {len(items)}: {name}"
        try:
            report(f"{place}: {send()}")
            in_a_row = 0
        except Exception as error:  # W&B raises many kinds, of its own and of its transport
            report(f"{place}: W&B did not take it ({in_one_line(error)}); the same command tries again")
            refused.add(run_id)
            in_a_row += 1
        if in_a_row == _FAILURES:
            break
    return not refused


def _send_rows(run: FileRun, folder: SearchFolder) -> str:
    """Open a run on the server, add the rows that it lacks, and close it; returns what to say of it."""
    opened = OpenRun(quiet_wandb(), "online", run)
    missing = opened.update()
    opened.end(run.state, run.reason)
    mark_uploaded(folder.path, run.shown.run_id)
    without = f"; {opened.unreadable} without a picture, which cannot be read" if opened.unreadable else ""
    return f"{missing} of {len(run.folder.rows())} rows were missing and are uploaded{without}"


def _send_overview(overview: FileOverview, make: MakeOverview) -> str:
    overview.publish(quiet_wandb(), "online", make, _OVERVIEW_SECONDS)
    if overview.mark is not None:
        mark_uploaded(overview.files.folder.path, overview.mark.run_id)
    return "uploaded"


def _send_session(session: OfflineSession, temporary: Path) -> str:
    upload_session(session, temporary)
    return "uploaded as it was kept"


def _in_sweep(run: FileRun, sweep_id: str | None) -> ShownRun:
    """What a trial's run is shown as, attached to the sweep; no other run belongs to it."""
    attached = sweep_id if run.shown.job_type == "trial" else None
    return run.shown.model_copy(update={"sweep_id": attached})


def _sweep_made(search: SearchFiles, report: Callable[[str], None]) -> str | None:
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


def _files(folder: SearchFolder, runs: Iterable[TrialFolder], project: str | None, entity: str | None) -> SearchFiles:
    """The search's files, and where its runs are (as the marks of some say), or shall be."""
    shown = next((mark.shown for mark in map(read_mark, runs) if mark is not None), None)
    place = (project_name(None), None) if shown is None else (shown.project, shown.entity)
    return SearchFiles(read_record(folder.search, SearchRecord), folder, project or place[0], entity or place[1])
