"""`tune-cl compare`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tune_cl.cli._compare_parser import compare_parser
from tune_cl.cli._named_search import named_search
from tune_cl.cli._places import results_folder
from tune_cl.errors import TuneCLError
from tune_cl.records import given_output, write_atomically
from tune_cl.reports import Comparison, SearchData, compare, console_parts, page, publish, read_remote, read_search
from tune_cl.wandb import WANDB_SCHEME, UnfinishedUpload, check_wandb

_WANDB_OPTIONS = ("wandb_project", "wandb_entity", "wandb_mode")
# What a path may be that cannot be written to; a full disk is another matter.
_NO_SUCH_PLACE = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


def compare_searches(argv: Sequence[str]) -> int:
    """Run `tune-cl compare`; returns the exit code: 1 where W&B's server did not take everything in time."""
    args = compare_parser().parse_args(argv)
    _check_outputs(args)
    comparison = compare(_read(args))
    if args.html is not None:
        _write_page(comparison, given_output(args.html, "--html"))
    if args.json:
        print(comparison.model_dump_json(indent=2))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for part in console_parts(comparison):
            console.print(part)
    notices = sys.stderr if args.json else sys.stdout
    if args.html is not None:
        print(f"Page: {args.html}", file=notices)
    if args.wandb:  # last, since a server may not answer
        folder = results_folder(args) / "comparisons"
        try:
            print(publish(comparison, args.wandb_mode, args.wandb_project, args.wandb_entity, folder), file=notices)
        except UnfinishedUpload as error:
            print(f"tune-cl: {error}", file=sys.stderr)
            return 1
    return 0


def _check_outputs(args: argparse.Namespace) -> None:
    """Refuse what could not be written before anything is read."""
    results_folder(args)
    if args.html is not None:
        given_output(args.html, "--html")
    if args.wandb:
        check_wandb(args.wandb_mode, args.wandb_project, args.wandb_entity)
        return
    for name in _WANDB_OPTIONS:
        if getattr(args, name) is not None:
            raise TuneCLError(
                f"--{name.replace('_', '-')} {getattr(args, name)}: add --wandb to publish the comparison"
            )


def _read(args: argparse.Namespace) -> list[SearchData]:
    sources = [
        name if name.startswith(WANDB_SCHEME) else named_search(name, results_folder(args)) for name in args.searches
    ]
    seen: set[str | Path] = set()
    for named, source in zip(args.searches, sources, strict=True):
        place = source if isinstance(source, str) else source.path.resolve()
        if place in seen:
            raise TuneCLError(f"{named}: given twice; name each search once")
        seen.add(place)
    return [read_remote(source) if isinstance(source, str) else read_search(source) for source in sources]


def _write_page(comparison: Comparison, path: Path) -> None:
    try:
        write_atomically(path, page(comparison))
    except _NO_SUCH_PLACE as error:  # what could not be seen before
        raise TuneCLError(f"--html {path}: cannot be written ({error.strerror}); name another file") from None
