"""`tune-cl evaluate`."""

import argparse
from collections.abc import Sequence

from rich.console import Console

from tune_cl.api.evaluate import Evaluation, prepared, run_evaluation, warnings
from tune_cl.cli._parser import made
from tune_cl.options import EvaluationOptions
from tune_cl.text import duration_text


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl evaluate`; returns the exit code."""
    options = made(EvaluationOptions, args)
    console = Console(highlight=False, soft_wrap=True, quiet=(options.quiet or args.json) and not args.dry_run)
    with prepared(options, only_look=args.dry_run) as evaluation:
        if args.dry_run:
            _show(evaluation, console)
            return 0
        ending, summary = run_evaluation(evaluation, console)
    if args.json:
        print(summary.model_dump_json(indent=2))
    if ending == "interrupted":
        return 130
    return 1 if summary.missing and ending == "done" else 0


def _show(evaluation: Evaluation, console: Console) -> None:
    """Say what would be run and what it would cost."""
    plan, total = evaluation.plan, 0.0
    for run in plan.runs:
        rows = plan.folder.trial(run.trial).rows()
        cost = rows[-1].metrics["seconds"] or 0.0 if rows else 0.0
        total += cost
        console.print(f"{run.name}: about {duration_text(cost)} of training, as in the search")
    console.print(
        f"{len(plan.runs)} runs, {evaluation.resources.concurrency} at a time: about "
        f"{duration_text(total / evaluation.resources.concurrency)}; test data would be opened once in each. "
        "Nothing was written."
    )
    for warning in warnings(plan):
        console.print(warning)
