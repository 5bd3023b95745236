"""`tune-cl sync`."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tune_cl.cli._sync_parser import sync_parser
from tune_cl.errors import TuneCLError, near_matches
from tune_cl.records import SearchFolder
from tune_cl.tracking import Upload, plan_upload, upload


def sync(argv: Sequence[str]) -> int:
    """Run `tune-cl sync`; returns the exit code: 1 where the server did not take everything."""
    args = sync_parser().parse_args(argv)
    folder = _search_folder(args.search, Path(args.results))
    with _alone(folder.lock, "runs"), _alone(folder.evaluation.lock, "evaluates"):
        plan = plan_upload(folder, args.wandb_project, args.wandb_entity)
        if plan.empty:
            print(f"{folder.path}: W&B has everything already")
            return 0
        if args.dry_run:
            _show(plan)
            return 0
        everything = upload(plan, report=lambda line: print(line, flush=True))
    print(f"{folder.path}: {'W&B has everything' if everything else 'not everything is uploaded'}")
    return 0 if everything else 1


def _search_folder(search: str, results: Path) -> SearchFolder:
    """The folder of a search, by its path or its name.

    Raises:
        TuneCLError: there is none.
    """
    for path in (Path(search), results / search):
        if (path / "search.json").exists():
            return SearchFolder(path)
    if Path(search).is_dir():
        raise TuneCLError(f"{search}: no search lies there (no search.json); name a folder below {results}")
    known = [path.parent.name for path in results.glob("*/search.json")]
    raise TuneCLError(f"{search}: no such folder, and no search of that name in {results}{near_matches(search, known)}")


@contextmanager
def _alone(lock: Path, does: str) -> Iterator[None]:
    """Hold a lock that the search, or its evaluation, would hold: what runs now sends its rows itself.

    (`engine.held` does the same, but brings Ray along, which takes longer to import than most uploads.)

    Raises:
        TuneCLError: another process holds it.
    """
    if not lock.parent.is_dir():
        yield
        return
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TuneCLError(f"{lock.parent}: another process {does} this search now; wait for it") from None
        yield


def _show(plan: Upload) -> None:
    if plan.sweep:
        print("would make a sweep, and attach the trials' runs to it")
    for run in plan.runs:
        print(f"would upload {run.shown.name}: what the server lacks of {len(run.folder.rows())} rows")
    for kept in plan.kept:
        print(f"would upload {kept.folder}")
