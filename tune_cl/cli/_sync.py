"""`tune-cl sync`."""

from collections.abc import Sequence
from contextlib import nullcontext

from tune_cl.cli._named_search import named_search
from tune_cl.cli._places import results_folder
from tune_cl.cli._sync_parser import sync_parser
from tune_cl.errors import TuneCLError
from tune_cl.records import held, lies_there
from tune_cl.wandb import Upload, plan_upload, upload


def sync(argv: Sequence[str]) -> int:
    """Run `tune-cl sync`; returns the exit code: 1 where the server did not take everything."""
    args = sync_parser().parse_args(argv)
    folder = named_search(args.search, results_folder(args))
    if not lies_there(folder.search):
        raise TuneCLError(f"{args.search}: no search lies there (no search.json); name a folder below {args.results}")
    evaluated = folder.evaluation.path.is_dir()
    with held(folder), held(folder.evaluation) if evaluated else nullcontext():  # what runs now sends its rows itself
        plan = plan_upload(folder, args.wandb_project, args.wandb_entity, only_look=args.dry_run)
        if plan.empty:
            print(f"{folder.path}: W&B has everything already")
            return 0
        if args.dry_run:
            _show(plan)
            return 0
        everything = upload(plan, report=lambda line: print(line, flush=True))
    print(f"{folder.path}: {'W&B has everything' if everything else 'not everything is uploaded'}")
    return 0 if everything else 1


def _show(plan: Upload) -> None:
    if plan.sweep:
        print("would make a sweep, and attach the trials' runs to it")
    for run in plan.runs:
        print(f"would upload {run.shown.name}: what the server lacks of {len(run.folder.rows())} rows")
    for kept in plan.kept:
        print(f"would upload {kept.folder}")
