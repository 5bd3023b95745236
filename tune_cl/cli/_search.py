"""`tune-cl search`."""

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tune_cl.chain import extent
from tune_cl.cli._asked import check_numbers, what_is_asked
from tune_cl.cli._continued import continued
from tune_cl.cli._data import listed_folders, open_named
from tune_cl.cli._named_plugins import load_named
from tune_cl.cli._parser import command_line, search_parser, seconds
from tune_cl.cli._places import results_folder, stages_folder, weights_file
from tune_cl.cli._provenance import git_commit, versions
from tune_cl.cli._show import show_catalogue, show_plan
from tune_cl.cli._sizes import size
from tune_cl.console import ConsoleTracker
from tune_cl.engine import (
    Conductor,
    Ending,
    Resources,
    StageBudget,
    check_seen,
    check_shared,
    check_writable,
    cluster,
    local_resources,
    run_search,
    save_winner,
    share_out,
)
from tune_cl.errors import TuneCLError
from tune_cl.methods import Plugin, method_source
from tune_cl.nets import Backbone, check_backbone, read_backbone
from tune_cl.records import (
    SearchFolder,
    SearchRecord,
    SearchSeeds,
    Summary,
    held,
    lies_there,
    make_folder,
    nothing_left,
    search_id,
    write_json,
)
from tune_cl.search import (
    SearchSpace,
    Study,
    StudySettings,
    Unreachable,
    default_direction,
    unreachable_values,
)
from tune_cl.store import CHECKPOINT_SECONDS
from tune_cl.streams import Stream
from tune_cl.tracking import Trackers
from tune_cl.wandb import WandbTracker


@dataclass(frozen=True)
class Plan:
    """A search that was asked for and found sound; nothing has been written yet."""

    space: SearchSpace
    stream: Stream
    record: SearchRecord
    resources: Resources
    folder: SearchFolder
    stages: Path
    storage: str | Path  # of the study: a journal file or a database URL
    checkpoint_every: float = CHECKPOINT_SECONDS
    stage_budget: int | None = None  # bytes
    loader_workers: int | None = None  # of each trial
    backbone: Backbone | None = None  # pretrained weights that configurations name
    plugins: tuple[Plugin, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()  # values of ranges that no trial can have
    retry_failed: bool = False
    why_scale: str = ""  # where the machine decided on the networks


def search(argv: Sequence[str]) -> int:
    """Run `tune-cl search`; returns the exit code."""
    args = search_parser().parse_args(argv)
    plugins = load_named(args)
    if args.list:
        show_catalogue(listed_folders(args))
        return 0
    if args.space is None:
        raise TuneCLError("--space FILE is missing: a path, or a name from --list, such as genifer.yaml")
    check_numbers(args)
    results_folder(args)
    stages_folder(args)
    time_budget = seconds(args.time_budget)
    if args.dry_run:
        if args.address is None:
            show_plan(_plan(args, argv, plugins, local_resources(), "this machine"))
        else:
            with cluster(args.address) as nodes:
                show_plan(_plan(args, argv, plugins, nodes, "the cluster"))
        return 0
    wandb = WandbTracker(
        args.wandb_mode,
        args.wandb_project,
        args.wandb_entity,
        report=lambda line: console.notice(line),
        sweep=args.wandb_sweep,
    )
    console = ConsoleTracker(wandb_line=wandb.describe)
    trackers = Trackers([console, wandb], report=console.notice)
    if args.address is None:  # Ray is started when all is found sound and something is left to run
        return _finished(
            _plan(args, argv, plugins, local_resources(), "this machine"), trackers, time_budget, cluster(None)
        )
    with cluster(args.address) as nodes:
        return _finished(_plan(args, argv, plugins, nodes, "the cluster"), trackers, time_budget, nullcontext())


def _finished(plan: Plan, trackers: Trackers, time_budget: float | None, ray_up: AbstractContextManager[Any]) -> int:
    """Run the search and close the trackers, however it ends; returns the exit code."""
    if plan.why_scale:
        trackers.notice(plan.why_scale)
    ending: Ending = "interrupted"  # what an exception, a second Ctrl-C say, amounts to
    try:
        ending, summary = _run(plan, trackers, time_budget, ray_up)
    finally:
        trackers.close(timeout=5 if ending == "interrupted" else 30)
    if ending == "interrupted":
        return 130
    nothing_but_failures = summary.trials["failed"] > 0 and not summary.trials["finished"]
    return 1 if nothing_but_failures and ending == "done" else 0


def _run(
    plan: Plan, trackers: Trackers, time_budget: float | None, ray_up: AbstractContextManager[Any]
) -> tuple[Ending, Summary]:
    folder, record = plan.folder, plan.record
    new = not lies_there(folder.path)
    with _places(plan):
        try:
            check_shared({"--results": folder.path, "--stages": plan.stages})
            images = record.stream.folder
            if images is not None and not images.in_memory:
                check_seen(Path(images.folder), "--data-set")
            study = Study.open(plan.storage, record.name, plan.space, StudySettings.of(record), folder)
        except TuneCLError:
            if new:
                shutil.rmtree(folder.path, ignore_errors=True)
            raise
        write_json(folder.search, record)
        study.bind(folder, record.study or "")
        if plan.retry_failed:
            again = ", ".join(f"{number:04d}" for number in study.retry_failed())
            trackers.notice(f"failed trials that begin anew: {again or 'none'}")
        for unreachable in plan.unreachable:
            trackers.notice(str(unreachable))
        with StageBudget(plan.stages, plan.stage_budget, folder, plan.stream, report=trackers.notice) as keeper:
            slots = plan.resources.concurrency
            conductor = Conductor(study, plan.space, record, folder, trackers, slots=slots, keeper=keeper)
            conductor.begin()
            ending: Ending = "done"
            lost: list[str] = []
            missing = max(0, record.trials - study.n_started()) + sum(t.state == "running" for t in study.trials())
            if missing:
                try:
                    with ray_up:
                        ending, lost = _train(plan, conductor, missing, time_budget)
                except Exception:
                    with suppress(Exception):  # what has finished is told all the same
                        _conclude(plan, conductor)
                    raise
            summary = _conclude(plan, conductor)
            conductor.look_after_stages(at_once=True)
            conductor.announce_end(summary, ending, lost)
    return ending, summary


@contextmanager
def _places(plan: Plan) -> Iterator[None]:
    """Make the folders that the search writes to, and hold its own; where they are refused, none is left behind."""
    with nothing_left(plan.folder.path, plan.stages):
        make_folder(plan.stages, "--stages")
        check_writable(plan.stages, "--stages")
        with held(plan.folder, ", or give this one another --name"):
            yield


def _train(plan: Plan, conductor: Conductor, missing: int, time_budget: float | None) -> tuple[Ending, list[str]]:
    return run_search(
        conductor,
        plan.stream,
        stages=plan.stages,
        resources=plan.resources,
        horizon=plan.record.horizon,
        missing=missing,
        time_budget=time_budget,
        payer=search_id(plan.record, plan.folder),
        checkpoint_every=plan.checkpoint_every,
        loader_workers=plan.loader_workers,
        backbone=plan.backbone,
        plugins=plan.plugins,
        fresh=plan.record.fresh,
    )


def _conclude(plan: Plan, conductor: Conductor) -> Summary:
    """Write summary, best configuration and its weights."""
    summary = conductor.conclude()
    if summary.best is not None:
        save_winner(plan.folder, summary.best.trial, plan.stream, plan.stages)
    return summary


def _plan(
    args: argparse.Namespace,
    argv: Sequence[str],
    plugins: tuple[Plugin, ...],
    nodes: Sequence[Mapping[str, float]],
    where: str,
) -> Plan:
    """Check everything that was asked for against everything that is there.

    Raises:
        TuneCLError: something is wrong.
    """
    weights = weights_file(args)
    backbone = read_backbone(weights) if weights is not None else None
    asked = what_is_asked(args, backbone, cluster=args.address is not None)
    method, option, space, folder = asked.method, asked.option, asked.space, asked.folder
    resources = share_out(nodes, args.cpus_per_trial, args.gpus_per_trial, args.concurrency, where)
    stream = open_named(asked.stream, args, only_look=args.dry_run)
    method.check_fit(method.config.model_validate(space.configuration({})), extent(stream, asked.horizon))
    if backbone is not None:
        check_backbone(backbone, stream.image_shape[0])
    direction = default_direction(option["objective"]) if args.objective else asked.file.direction
    search_record = SearchRecord(
        name=asked.name,
        method=method.name,
        stream=asked.stream,
        scale=asked.scale,
        budget=option["budget"],
        protocol=option["protocol"],
        horizon=asked.horizon,
        objective=option["objective"],
        direction=direction,
        seeds=SearchSeeds(search=args.search_seed, order=args.order_seed, split=args.split_seed, train=args.train_seed),
        sampler=option["sampler"],
        scheduler=option["scheduler"],
        base_configurations=option["base_configurations"],
        threads=resources.cpus,
        device=resources.device,
        fixed=dict(space.fixed),
        ranges=space.written_ranges(),
        default=dict(space.default),
        data_fingerprint=stream.fingerprint,
        method_source=method_source(method),
        fresh=args.fresh,
        trials=option["trials"] if space.ranges else 1,  # with nothing to search there is the default alone
        versions=versions(),
        git_commit=git_commit(),
        plugins=[plugin.module for plugin in plugins],
        command=command_line(argv),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Plan(
        space,
        stream,
        continued(folder, search_record),
        resources,
        folder,
        asked.stages,
        args.storage or folder.study,
        seconds(args.checkpoint_every, "--checkpoint-every") or CHECKPOINT_SECONDS,
        None if args.stage_budget is None else size(args.stage_budget, "--stage-budget"),
        args.loader_workers,
        backbone,
        plugins,
        tuple(unreachable_values(space)),
        args.retry_failed,
        asked.why_scale,
    )
