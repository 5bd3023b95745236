"""An evaluation: the one door to test data."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from tune_cl.api.call import takes
from tune_cl.api.data import open_named, other_data
from tune_cl.api.driver import Machines, machines, make_stages
from tune_cl.api.named_search import named_search
from tune_cl.api.places import data_folder, results_folder, stages_folder, weights_file
from tune_cl.api.plugins import load_named
from tune_cl.api.results import EvaluationResult, open_evaluation
from tune_cl.chain import read_named_backbone
from tune_cl.engine import Ending, Resources, check_seen, check_shared, run_search
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
from tune_cl.methods import get_method, method_source
from tune_cl.nets import Backbone
from tune_cl.options import EvaluationOptions
from tune_cl.plugins import Plugin
from tune_cl.records import (
    EvaluationSummary,
    SearchFolder,
    SearchRecord,
    exclusive_lock,
    lies_there,
    nothing_left,
    read_record,
    search_id,
)
from tune_cl.reports import overview
from tune_cl.streams import Stream, class_order, default_workers, shape_of
from tune_cl.wandb import WandbEvaluation

_PUBLISHED_ORDERS = ("numpy-1993", "podnet")


@dataclass(frozen=True)
class Evaluation:
    """An evaluation that was asked for and found sound; nothing has been written yet.

    Attributes:
        ray: see `Machines`.
    """

    options: EvaluationOptions
    plan: EvaluationPlan
    stream: Stream
    resources: Resources
    stages: Path
    backbone: Backbone | None
    plugins: tuple[Plugin, ...]
    ray: AbstractContextManager[Any]


@takes(EvaluationOptions)
def evaluate(options: EvaluationOptions) -> EvaluationResult:
    """Retrain what a search has chosen on held-out class orders and seeds, then read the test data once per run.

    The same call again resumes; results of earlier calls count. The first argument is a `SearchResult`, the folder of a
    search, or its name below `results`; every other option is a keyword, see `EvaluationOptions`.

    Returns:
        The numbers on test data.

    Raises:
        TuneCLError: an option, the search, the data or the machines are not in order; test data have not been read.
        KeyboardInterrupt: the evaluation was interrupted.

    Example:
        >>> held_out = tune_cl.evaluate(result, orders=3, seeds=2, with_default=True)
        >>> held_out.chosen.metrics["test/accuracy"].mean, held_out.difference["test/accuracy"].low
    """
    console = Console(highlight=False, soft_wrap=True, force_jupyter=False, quiet=options.quiet)
    with prepared(options) as evaluation:
        ending, _ = run_evaluation(evaluation, console, at_once=False)
        folder = evaluation.plan.folder
    if ending == "interrupted":
        raise KeyboardInterrupt
    return open_evaluation(folder)


@contextmanager
def prepared(options: EvaluationOptions, *, only_look: bool = False) -> Iterator[Evaluation]:
    """Check everything that was asked for against everything that is there.

    Raises:
        TuneCLError: something is wrong.
    """
    plugins = load_named(options.plugins)
    folder = named_search(options.search, results_folder(options))
    with machines(options.address) as there:
        yield _prepared(options, folder, plugins, there, only_look)


def _prepared(
    options: EvaluationOptions,
    folder: SearchFolder,
    plugins: tuple[Plugin, ...],
    there: Machines,
    only_look: bool,
) -> Evaluation:
    resources = there.share_out(options)
    if not lies_there(folder.search):
        raise TuneCLError(f"{folder.path}: not the folder of a search (it has no {folder.search.name})")
    with exclusive_lock(folder):  # not while the search may still choose another
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
            orders=_orders(options, record),
            seeds=options.seeds,
            with_default=options.with_default,
            threads=resources.cpus,
            device=resources.device,
        )
    stream = open_named(record.stream, options, only_look=only_look)
    if stream.fingerprint != record.data_fingerprint:
        raise TuneCLError(f"{folder.path} is a search on other images: {other_data(record, stream.fingerprint)}")
    check_test_images(stream.shape.dataset)
    weights = weights_file(options)
    backbone = read_named_backbone(plan.runs[0].config, weights) if weights else None
    stages = folder.evaluation.stages if options.stages is None else stages_folder(options)
    return Evaluation(options, plan, stream, resources, stages, backbone, plugins, there.ray)


def _orders(options: EvaluationOptions, record: SearchRecord) -> tuple[Order, ...]:
    """Published class orders where they are named, and as many held-out ones as are asked for."""
    named: list[Any] = []
    order: Any
    for order in options.named_orders:
        if order not in _PUBLISHED_ORDERS:
            near = near_matches(order, _PUBLISHED_ORDERS)
            raise TuneCLError(f"--class-order {order}: not one of {', '.join(_PUBLISHED_ORDERS)}{near}")
        class_order(order, shape_of(record.stream).dataset.n_classes, seed=0)  # not every data set has each
        named.append(order)
    n = options.orders if options.orders is not None else 0 if named else 3
    return (*named, *class_orders(n, record))


def run_evaluation(
    evaluation: Evaluation, console: Console, *, at_once: bool = True
) -> tuple[Ending, EvaluationSummary]:
    """Run an evaluation.

    Args:
        evaluation: from `prepared`.
        console: where progress and the report go.
        at_once: a second Ctrl-C ends this process; else it raises KeyboardInterrupt.
    """
    plan, options = evaluation.plan, evaluation.options
    wandb = WandbEvaluation(
        options.wandb_mode,
        options.wandb_project,
        options.wandb_entity,
        plan.record,
        plan.folder,
        report=console.print,
        overview=overview,
    )
    with nothing_left(evaluation.stages):
        make_stages(evaluation.stages)
        check_shared({"--stages": evaluation.stages})
        images = evaluation.stream.shape.dataset.folder
        if images is not None:  # each run reads the test images on its own node
            check_seen(Path(images.folder), "--data-set")
    ending: Ending = "interrupted"  # what an exception, a second Ctrl-C say, amounts to
    try:
        with exclusive_lock(plan.folder.evaluation), EvaluationView(console) as view:
            conductor = EvaluationConductor(plan, view, lambda run: wandb.show(run.name))
            console.print(_heading(evaluation, conductor.missing))
            for warning in warnings(plan):
                console.print(warning)
            lost: list[str] = []
            if conductor.missing:
                with evaluation.ray:
                    ending, lost = _train(conductor, evaluation, at_once)
            else:
                ending = "done"
            summary = conductor.conclude()
            wandb.ended()
        _conclude(evaluation, summary, console, lost)
        console.print(wandb.describe())
    finally:
        wandb.close(timeout=5 if ending == "interrupted" else 30)
    return ending, summary


def _train(conductor: EvaluationConductor, evaluation: Evaluation, at_once: bool) -> tuple[Ending, list[str]]:
    plan = evaluation.plan
    return run_search(
        conductor,
        evaluation.stream,
        evaluation.options,
        stages=evaluation.stages,
        resources=evaluation.resources,
        horizon=evaluation.stream.horizon,
        missing=conductor.missing,
        payer=f"{search_id(plan.record, plan.folder)}/evaluation",
        backbone=evaluation.backbone,
        plugins=evaluation.plugins,
        examiner=_examiner(evaluation.options),
        on_examined=conductor.on_examined,
        at_once=at_once,
    )


def _examiner(options: EvaluationOptions) -> TestExaminer:
    workers, root = options.loader_workers, data_folder(options)
    return TestExaminer(
        root.absolute() if root is not None else None,
        options.accept_modified_data,
        default_workers() if workers is None else workers,
    )


def _heading(evaluation: Evaluation, missing: int) -> str:
    plan = evaluation.plan
    done = len(plan.runs) - missing
    before = f", {done} of them done before" if done else ""
    return (
        f"evaluation of {plan.record.name}: {len(plan.runs)} runs{before}, "
        f"{evaluation.resources.concurrency} at a time; results in {plan.folder.evaluation.path}"
    )


def warnings(plan: EvaluationPlan) -> Iterator[str]:
    """What a person should know before test data are read."""
    if not readings_of(plan.folder.evaluation).complete:
        lost = LOST.format(plan.folder.evaluation.readings)
        yield f"{lost}. How often test data were opened is known from below only."
    if plan.earlier:
        yield f"{len(plan.earlier)} more runs of these configurations have results from earlier commands, and count."
    if len(plan.devices()) > 1:
        yield "Some of the runs that count were trained on the CPU, others on a GPU: means are over both."
    race = plan.summary.finalists
    undecided = race is None or (race.winner is None and race.missing > 0)
    if plan.record.race is not None and plan.summary.trials["finished"] > 1 and undecided:
        yield (
            "The search's finalists have not all run under their train seeds: if it goes on and chooses another, test "
            "data will have been read for two choices."
        )
    if plan.left:
        yield (
            f"{plan.left} of the search's {plan.record.trials} trials have not ended: if it goes on and chooses "
            "another, test data will have been read for two choices."
        )


def _conclude(evaluation: Evaluation, summary: EvaluationSummary, console: Console, lost: list[str]) -> None:
    if lost:
        console.print("In the middle of:", *lost, sep="\n  ")
    if summary.configurations:
        for part in report(evaluation.plan, summary):
            console.print(part)
    if summary.missing:
        console.print(f"{len(summary.missing)} runs have no result; the same command runs them.")
    console.print(f"Summary: {evaluation.plan.folder.evaluation.summary}; stages: {evaluation.stages}")
