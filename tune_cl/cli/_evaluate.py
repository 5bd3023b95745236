"""`tune-cl evaluate`: the only command that can reach test data."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from tune_cl.chain import read_named_backbone
from tune_cl.cli._data import open_named, other_data
from tune_cl.cli._named_plugins import load_named
from tune_cl.cli._named_search import named_search
from tune_cl.cli._parser import evaluate_parser, seconds
from tune_cl.cli._places import data_folder, results_folder, stages_folder, weights_file
from tune_cl.engine import (
    Ending,
    Resources,
    check_seen,
    check_shared,
    check_writable,
    cluster,
    local_resources,
    run_search,
    share_out,
)
from tune_cl.errors import TuneCLError, near_matches
from tune_cl.evaluation import (
    LOST,
    EvaluationConductor,
    EvaluationPlan,
    EvaluationView,
    Order,
    TestExaminer,
    check_test_images,
    class_orders,
    plan_evaluation,
    readings_of,
    report,
)
from tune_cl.methods import Plugin, get_method, method_source
from tune_cl.nets import Backbone
from tune_cl.records import (
    EvaluationSummary,
    SearchFolder,
    SearchRecord,
    held,
    lies_there,
    make_folder,
    nothing_left,
    read_record,
    search_id,
)
from tune_cl.store import CHECKPOINT_SECONDS
from tune_cl.streams import Stream, class_order, default_workers, shape_of
from tune_cl.text import duration_text
from tune_cl.wandb import WandbEvaluation

_PUBLISHED_ORDERS = ("numpy-1993", "podnet")


@dataclass(frozen=True)
class _Evaluation:
    """An evaluation that was asked for and found sound; nothing has been written yet."""

    plan: EvaluationPlan
    stream: Stream
    resources: Resources
    stages: Path
    backbone: Backbone | None
    plugins: tuple[Plugin, ...]
    checkpoint_every: float  # seconds
    loader_workers: int | None


def evaluate(argv: Sequence[str]) -> int:
    """Run `tune-cl evaluate`; returns the exit code."""
    args = evaluate_parser().parse_args(argv)
    plugins = load_named(args)
    folder = named_search(args.search, results_folder(args))
    time_budget = seconds(args.time_budget)
    console = Console(highlight=False, soft_wrap=True)
    if args.address is None:  # Ray is started when all is found sound and something is left to run
        evaluation = _prepared(args, folder, plugins, local_resources(), "this machine")
        if args.dry_run:
            return _show(evaluation, console)
        return _run(evaluation, args, time_budget, console, cluster(None))
    with cluster(args.address) as nodes:
        evaluation = _prepared(args, folder, plugins, nodes, "the cluster")
        if args.dry_run:
            return _show(evaluation, console)
        return _run(evaluation, args, time_budget, console, nullcontext())


def _prepared(
    args: argparse.Namespace,
    folder: SearchFolder,
    plugins: tuple[Plugin, ...],
    nodes: Sequence[dict[str, float]],
    where: str,
) -> _Evaluation:
    resources = share_out(nodes, args.cpus_per_trial, args.gpus_per_trial, args.concurrency, where)
    if not lies_there(folder.search):
        raise TuneCLError(f"{folder.path}: not the folder of a search (it has no {folder.search.name})")
    with held(folder):  # not while the search may still choose another
        record = read_record(folder.search, SearchRecord)
        method = get_method(record.method)  # a plugin's is known only where its module is named
        if method_source(method) != record.method_source:
            raise TuneCLError(
                f"{folder.path}: what it chose was chosen for another version of the source of {record.method}; put "
                "that source back, or search again under another --name"
            )
        plan = plan_evaluation(
            folder,
            record,
            orders=_orders(args, record),
            seeds=args.seeds,
            with_default=args.with_default,
            threads=resources.cpus,
            device=resources.device,
        )
    stream = open_named(record.stream, args, only_look=args.dry_run)
    if stream.fingerprint != record.data_fingerprint:
        raise TuneCLError(f"{folder.path} is a search on other images: {other_data(record, stream.fingerprint)}")
    check_test_images(stream.shape.dataset)
    weights = weights_file(args)
    backbone = read_named_backbone(plan.runs[0].config, weights) if weights else None
    stages = folder.evaluation.stages if args.stages is None else stages_folder(args)
    checkpoint_every = seconds(args.checkpoint_every, "--checkpoint-every") or CHECKPOINT_SECONDS
    return _Evaluation(plan, stream, resources, stages, backbone, plugins, checkpoint_every, args.loader_workers)


def _orders(args: argparse.Namespace, record: SearchRecord) -> tuple[Order, ...]:
    """Published class orders where they are named, and as many held-out ones as are asked for."""
    named: list[Order] = []
    for order in args.named_orders:
        if order not in _PUBLISHED_ORDERS:
            near = near_matches(order, _PUBLISHED_ORDERS)
            raise TuneCLError(f"--class-order {order}: not one of {', '.join(_PUBLISHED_ORDERS)}{near}")
        class_order(order, shape_of(record.stream).dataset.n_classes, seed=0)  # not every data set has each
        named.append(order)
    n = args.orders if args.orders is not None else 0 if named else 3
    return (*named, *class_orders(n, record))


def _run(
    evaluation: _Evaluation,
    args: argparse.Namespace,
    time_budget: float | None,
    console: Console,
    ray_up: AbstractContextManager[Any],
) -> int:
    plan = evaluation.plan
    wandb = WandbEvaluation(
        args.wandb_mode, args.wandb_project, args.wandb_entity, plan.record, plan.folder, report=console.print
    )
    with nothing_left(evaluation.stages):
        make_folder(evaluation.stages, "--stages")
        check_writable(evaluation.stages, "--stages")
        check_shared({"--stages": evaluation.stages})
        images = evaluation.stream.shape.dataset.folder
        if images is not None:  # each run reads the test images on its own node
            check_seen(Path(images.folder), "--data-set")
    ending: Ending = "interrupted"  # what an exception, a second Ctrl-C say, amounts to
    try:
        with held(plan.folder.evaluation), EvaluationView(console) as view:
            conductor = EvaluationConductor(plan, view, lambda run: wandb.show(run.name, run.trial, run.config))
            console.print(_heading(evaluation, conductor.missing))
            for warning in _warnings(plan):
                console.print(warning)
            lost: list[str] = []
            if conductor.missing:
                with ray_up:
                    ending, lost = _train(conductor, evaluation, args, time_budget)
            else:
                ending = "done"
            summary = conductor.conclude()
        _conclude(evaluation, summary, console, lost)
        console.print(wandb.describe())
    finally:
        wandb.close(timeout=5 if ending == "interrupted" else 30)
    if ending == "interrupted":
        return 130
    return 1 if summary.missing and ending == "done" else 0


def _train(
    conductor: EvaluationConductor, evaluation: _Evaluation, args: argparse.Namespace, time_budget: float | None
) -> tuple[Ending, list[str]]:
    plan = evaluation.plan
    return run_search(
        conductor,
        evaluation.stream,
        stages=evaluation.stages,
        resources=evaluation.resources,
        horizon=evaluation.stream.horizon,
        missing=conductor.missing,
        time_budget=time_budget,
        payer=f"{search_id(plan.record, plan.folder)}/evaluation",
        checkpoint_every=evaluation.checkpoint_every,
        loader_workers=evaluation.loader_workers,
        backbone=evaluation.backbone,
        plugins=evaluation.plugins,
        examiner=_examiner(evaluation, args),
        on_examined=conductor.on_examined,
    )


def _examiner(evaluation: _Evaluation, args: argparse.Namespace) -> TestExaminer:
    workers, root = evaluation.loader_workers, data_folder(args)
    return TestExaminer(
        root.absolute() if root is not None else None,
        args.accept_modified_data,
        default_workers() if workers is None else workers,
    )


def _heading(evaluation: _Evaluation, missing: int) -> str:
    plan = evaluation.plan
    done = len(plan.runs) - missing
    before = f", {done} of them done before" if done else ""
    return (
        f"evaluation of {plan.record.name}: {len(plan.runs)} runs{before}, "
        f"{evaluation.resources.concurrency} at a time; results in {plan.folder.evaluation.path}"
    )


def _warnings(plan: EvaluationPlan) -> Iterator[str]:
    """What a person should know before test data are read."""
    if not readings_of(plan.folder.evaluation).complete:
        lost = LOST.format(plan.folder.evaluation.readings)
        yield f"{lost}. How often test data were opened is known from below only."
    if plan.earlier:
        yield f"{len(plan.earlier)} more runs of these configurations have results from earlier commands, and count."
    if len(plan.devices()) > 1:
        yield "Some of the runs that count were trained on the CPU, others on a GPU: means are over both."
    if plan.left:
        yield (
            f"{plan.left} of the search's {plan.record.trials} trials have not ended: if it goes on and chooses "
            "another, test data will have been read for two choices."
        )


def _conclude(evaluation: _Evaluation, summary: EvaluationSummary, console: Console, lost: list[str]) -> None:
    if lost:
        console.print("In the middle of:", *lost, sep="\n  ")
    if summary.configurations:
        for part in report(evaluation.plan, summary):
            console.print(part)
    if summary.missing:
        console.print(f"{len(summary.missing)} runs have no result; the same command runs them.")
    console.print(f"Summary: {evaluation.plan.folder.evaluation.summary}; stages: {evaluation.stages}")


def _show(evaluation: _Evaluation, console: Console) -> int:
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
    for warning in _warnings(plan):
        console.print(warning)
    return 0
