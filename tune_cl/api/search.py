"""A search: everything that was asked for is checked, then it runs, and its folder is the result."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tune_cl.api.asked import what_is_asked
from tune_cl.api.call import takes
from tune_cl.api.classes import describe_classes
from tune_cl.api.continued import continued
from tune_cl.api.data import open_named
from tune_cl.api.driver import Machines, machines, make_stages
from tune_cl.api.knowledge import knowledge_of
from tune_cl.api.pages import save_report
from tune_cl.api.places import results_folder, stages_folder, weights_file
from tune_cl.api.plugins import load_named
from tune_cl.api.provenance import provenance
from tune_cl.api.results import SearchResult, open_result
from tune_cl.chain import extent, forecast
from tune_cl.console import ConsoleTracker
from tune_cl.engine import (
    Conductor,
    Driver,
    Ending,
    FinalistsConductor,
    Resources,
    StageBudget,
    check_seen,
    check_shared,
    finals_of,
    run_config,
    run_search,
    save_winner,
)
from tune_cl.errors import TuneCLError
from tune_cl.metrics import default_direction
from tune_cl.nets import Backbone, check_backbone, read_backbone
from tune_cl.options import Numerics, Race, SearchOptions, written
from tune_cl.plugins import Plugin
from tune_cl.records import (
    SearchFolder,
    SearchRecord,
    SearchSeeds,
    Summary,
    exclusive_lock,
    lies_there,
    nothing_left,
    search_id,
    write_json,
)
from tune_cl.reports import overview
from tune_cl.streams import Stream
from tune_cl.study import Knowledge, SearchSpace, Study, StudySettings, Unreachable, unreachable_values
from tune_cl.tracking import Trackers, chosen_trackers, own_trackers
from tune_cl.wandb import WandbTracker


@dataclass(frozen=True)
class Plan:
    """A search that was asked for and found sound; nothing has been written yet.

    Attributes:
        storage: of the study: a journal file or a database URL.
        unreachable: values of ranges that no trial can have.
        why_scale: a sentence, where the machine decided on the networks.
        ray: see `Machines`.
    """

    options: SearchOptions
    space: SearchSpace
    stream: Stream
    record: SearchRecord
    resources: Resources
    folder: SearchFolder
    stages: Path
    storage: str | Path
    backbone: Backbone | None
    plugins: tuple[Plugin, ...]
    unreachable: tuple[Unreachable, ...]
    knowledge: Knowledge
    why_scale: str
    ray: AbstractContextManager[Any]


@takes(SearchOptions)
def search(options: SearchOptions) -> SearchResult:
    """Search the hyperparameters of a class-incremental learner; the same call again resumes the same search.

    The first argument is a space file, or the name of a shipped one. Every other option is a keyword, see
    `SearchOptions`; what is left out is as the space file has it.

    Returns:
        What was found. A search that ran out of `time_limit` is unfinished: `result.summary.trials` counts.

    Raises:
        TuneCLError: an option, the space, the data or the machines are not in order; nothing has been written.
        KeyboardInterrupt: the search was interrupted, after what was in training has been saved.

    Example:
        >>> result = tune_cl.search("genifer.yaml", trials=16, sampler="tpe")
        >>> result.best.parameters, result.best.value
        >>> result.to_dataframe().sort_values("value")
    """
    ending, _, folder = run_search_of(options, ["tune-cl", "search", *written(options)], at_once=False)
    if ending == "interrupted":
        raise KeyboardInterrupt
    return open_result(folder.path)


def run_search_of(
    options: SearchOptions, command: Sequence[str], *, at_once: bool = True
) -> tuple[Ending, Summary, SearchFolder]:
    """Run a search.

    Args:
        options: of the search.
        command: the command line that resumes it.
        at_once: a second Ctrl-C ends this process; else it raises KeyboardInterrupt.

    Raises:
        TuneCLError: something is not in order.
    """
    plugins = load_named(options.plugins)
    wandb = WandbTracker(
        options.wandb_mode,
        options.wandb_project,
        options.wandb_entity,
        report=lambda line: trackers.notice(line),
        sweep=options.wandb_sweep,
        overview=overview,
    )
    others = [*own_trackers(), *chosen_trackers(options.trackers, lambda line: trackers.notice(line))]
    console = None
    if options.quiet:
        trackers = Trackers([wandb, *others])
    else:
        console = ConsoleTracker(None if at_once else plain_console(), wandb_line=wandb.describe)
        trackers = Trackers([console, wandb, *others], report=console.notice)
    with ExitStack() as stack:
        with nullcontext() if console is None else console.waiting("reading the data, looking for machines"):
            plan = stack.enter_context(planned(options, command, plugins))
        if plan.why_scale:
            trackers.notice(plan.why_scale)
        ending: Ending = "interrupted"  # what an exception, a second Ctrl-C say, amounts to
        try:
            ending, summary = _run(plan, trackers, at_once)
        finally:
            trackers.close(timeout=5 if ending == "interrupted" else 30)
        return ending, summary, plan.folder


def plain_console(*, quiet: bool = False) -> Console:
    """Where a script or a notebook is shown progress: standard output, as text in a notebook, too."""
    return Console(highlight=False, force_jupyter=False, quiet=quiet)


def _run(plan: Plan, trackers: Trackers, at_once: bool) -> tuple[Ending, Summary]:
    folder, record, options = plan.folder, plan.record, plan.options
    new = not lies_there(folder.path)
    with _places(plan):
        try:
            check_shared({"--results": folder.path, "--stages": plan.stages})
            images = record.stream.folder
            if images is not None and not images.in_memory:
                check_seen(Path(images.folder), "--data-set")
            settings = replace(StudySettings.of(record), flat=options.stop_when_flat)
            study = Study.open(plan.storage, record.name, plan.space, settings, folder, plan.knowledge)
        except TuneCLError:
            if new:
                shutil.rmtree(folder.path, ignore_errors=True)
            raise
        write_json(folder.search, record)
        describe_classes(folder, plan.stream)
        study.bind(folder, record.study or "")
        if options.retry_failed:
            again = ", ".join(f"{number:04d}" for number in study.retry_failed())
            trackers.notice(f"failed trials that run again: {again or 'none'}")
        for unreachable in plan.unreachable:
            trackers.notice(str(unreachable))
        most: Any = options.max_store_size
        with StageBudget(plan.stages, most, folder, plan.stream, report=trackers.notice) as keeper:
            slots = plan.resources.concurrency
            conductor = Conductor(study, plan.space, record, folder, trackers, slots=slots, keeper=keeper)
            default = run_config(record, plan.space.configuration({}))
            conductor.begin(forecast(default, plan.stream, {}).costs)
            try:
                ending, lost = _train(plan, study, conductor, keeper, trackers, at_once)
            except Exception:
                with suppress(Exception):  # what has finished is reported all the same
                    _conclude(plan, conductor)
                raise
            summary = _conclude(plan, conductor)
            try:
                save_report(folder)
            except TuneCLError as error:
                trackers.notice(f"no page of the search was written: {error}")
            if (flat := study.flat()) is not None and study.n_started() < record.trials and ending == "done":
                trackers.notice(
                    f"Ended by --stop-when-flat: the last {flat[0]} trials raised the best value by {flat[1]:.4f}. "
                    "The same command without it goes on."
                )
            conductor.look_after_stages(at_once=True)
            conductor.announce_end(summary, ending, lost)
    return ending, summary


@contextmanager
def _places(plan: Plan) -> Iterator[None]:
    """Make the folders that the search writes to, and lock its own; where they are refused, none is left behind."""
    with nothing_left(plan.folder.path, plan.stages):
        make_stages(plan.stages)
        with exclusive_lock(plan.folder, ", or give this one another --name"):
            yield


def _train(
    plan: Plan, study: Study, conductor: Conductor, keeper: StageBudget, trackers: Trackers, at_once: bool
) -> tuple[Ending, list[str]]:
    """Run the trials that are missing, then the finalists under further train seeds, whatever time that takes."""
    record, options = plan.record, plan.options
    ending: Ending = "done"
    lost: list[str] = []
    left = 0 if study.flat() else max(0, record.trials - study.n_started())
    missing = left + sum(t.state == "running" for t in study.trials())
    with ExitStack() as ray:
        if missing:
            ray.enter_context(plan.ray)
            ending, lost = _run_on_ray(plan, conductor, options, missing, "", at_once)
        retry, report = options.retry_failed, trackers.notice
        finals, again = finals_of(study, record), None
        if finals is not None:
            again = FinalistsConductor(
                finals, study, plan.space, record, plan.folder, report, keeper, retry_failed=retry
            )
        if ending != "interrupted" and again is not None and again.missing:
            if not missing:
                ray.enter_context(plan.ray)
            report(
                f"finalists: at most {again.missing} runs under further train seeds, over the base tasks as they are"
            )
            untimed = replace(options, time_limit=None)
            race_ending, race_lost = _run_on_ray(plan, again, untimed, again.missing, "/finalists", at_once)
            if race_ending == "interrupted":
                return race_ending, race_lost
    return ending, lost


def _run_on_ray(
    plan: Plan, conductor: Driver, options: SearchOptions, missing: int, part: str, at_once: bool
) -> tuple[Ending, list[str]]:
    return run_search(
        conductor,
        plan.stream,
        options,
        stages=plan.stages,
        resources=plan.resources,
        horizon=plan.record.horizon,
        missing=missing,
        payer=search_id(plan.record, plan.folder) + part,
        backbone=plan.backbone,
        plugins=plan.plugins,
        fresh=plan.record.fresh,
        at_once=at_once,
    )


def _conclude(plan: Plan, conductor: Conductor) -> Summary:
    """Write summary, best configuration and its weights."""
    summary = conductor.conclude()
    if summary.best is not None:
        save_winner(plan.folder, summary.best.trial, plan.stream, plan.stages)
    return summary


@contextmanager
def planned(
    options: SearchOptions, command: Sequence[str], plugins: tuple[Plugin, ...], *, only_look: bool = False
) -> Iterator[Plan]:
    """Check everything that was asked for against everything that is there.

    Args:
        options: of the search.
        command: the command line that resumes it.
        plugins: that were imported.
        only_look: download nothing.

    Raises:
        TuneCLError: something is wrong.
    """
    results_folder(options)
    stages_folder(options)
    with machines(options.address) as there:
        yield _plan(options, command, plugins, there, only_look)


def _plan(
    options: SearchOptions, command: Sequence[str], plugins: tuple[Plugin, ...], there: Machines, only_look: bool
) -> Plan:
    weights = weights_file(options)
    backbone = read_backbone(weights) if weights is not None else None
    asked = what_is_asked(options, backbone, cluster=options.address is not None, only_look=only_look)
    method, option, space, folder = asked.method, asked.option, asked.space, asked.folder
    resources = there.share_out(options)
    stream = open_named(asked.stream, options, only_look=only_look)
    method.check_fit(method.config.model_validate(space.configuration({})), extent(stream, asked.horizon))
    if backbone is not None:
        check_backbone(backbone, stream.image_shape[0])
    direction = default_direction(option["objective"]) if options.objective else asked.file.direction
    search_record = SearchRecord(
        name=asked.name,
        stream=asked.stream,
        scale=asked.scale,
        budget=option["budget"],
        protocol=option["protocol"],
        horizon=asked.horizon,
        objective=option["objective"],
        direction=direction,
        seeds=SearchSeeds(
            search=options.search_seed,
            order=options.order_seed,
            split=options.split_seed,
            train=options.train_seed,
        ),
        sampler=option["sampler"],
        scheduler=option["scheduler"],
        base_configurations=option["base_configurations"],
        **asdict(Numerics.of(options, resources.cpus, resources.device)),
        fresh=options.fresh,
        race=None if option["seeds"] == str(Race()) else option["seeds"],
        trials=option["trials"] if space.ranges else 1,  # with nothing to search there is the default alone
        command=list(command),
        **provenance(method, space, stream, plugins),
    )
    return Plan(
        options,
        space,
        stream,
        continued(folder, search_record),
        resources,
        folder,
        asked.stages,
        options.storage or folder.study,
        backbone,
        plugins,
        tuple(unreachable_values(space)),
        knowledge_of(options, method, space),
        asked.why_scale,
        there.ray,
    )
