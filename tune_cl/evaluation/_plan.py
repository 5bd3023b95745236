"""What is evaluated: configurations of a search x class orders x seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from tune_cl.chain import read_run, settings_of
from tune_cl.engine import run_config
from tune_cl.errors import TuneCLError
from tune_cl.methods import flatten, unflatten
from tune_cl.options import Race
from tune_cl.records import (
    BestSummary,
    EvaluationPlace,
    RunConfig,
    SearchFolder,
    SearchRecord,
    StreamRecord,
    Summary,
    order_name,
    parse_run,
    read_record,
)
from tune_cl.streams import class_order, shape_of

_FIRST_SEED = 1001  # held-out seeds count from here: nobody starts a search with them by accident

Role = Literal["chosen", "default"]
Order = Literal["numpy-1993", "podnet"] | int


@dataclass(frozen=True)
class EvaluationRun:
    """One configuration under one class order and one training seed.

    Attributes:
        trial: number of the configuration's trial in the search.
        place: class order and training seed.
        config: everything that the run does.
    """

    trial: int
    place: EvaluationPlace
    config: RunConfig

    @property
    def name(self) -> str:
        """Its folder below `evaluation/runs`."""
        return self.place.run_of(self.trial)


@dataclass(frozen=True)
class EvaluationPlan:
    """Everything that an evaluation will have run.

    Attributes:
        orders: names of the class orders of all its runs.
        seeds: training seeds of all its runs.
        held_out: whether the search saw none of these class orders.
        roles: by trial.
        runs: those that were asked for.
        earlier: further runs of the same configurations that have their results from earlier commands.
        left: trials of the search that have not come to their end.
    """

    folder: SearchFolder
    record: SearchRecord
    summary: Summary
    orders: tuple[str, ...]
    seeds: tuple[int, ...]
    held_out: bool
    roles: dict[int, Role]
    runs: tuple[EvaluationRun, ...]
    earlier: tuple[EvaluationRun, ...]
    left: int

    @property
    def counted(self) -> tuple[EvaluationRun, ...]:
        """All runs whose results count, those of earlier commands last."""
        return (*self.runs, *self.earlier)

    def devices(self) -> set[str]:
        """Where the runs that count are trained, or were by earlier commands."""
        folders = ((run, self.folder.evaluation.run(run.name)) for run in self.counted)
        return {
            read_record(folder.config, RunConfig).device if folder.increments.exists() else run.config.device
            for run, folder in folders
        }

    def parameters(self, trial: int) -> dict[str, Any]:
        """The searched paths and their values in a trial."""
        values = flatten(read_record(self.folder.trial(trial).config, RunConfig).parameters)
        return {path: values.get(path) for path in self.record.ranges}


def plan_evaluation(
    folder: SearchFolder,
    record: SearchRecord,
    *,
    orders: tuple[Order, ...],
    seeds: int,
    with_default: bool,
    threads: int,
    device: Literal["cpu", "cuda"],
) -> EvaluationPlan:
    """Plan the evaluation of a search's winner.

    Runs of earlier commands count beside those that are asked for now: who could leave results out by asking for fewer
    could choose among them. Only published class orders and held-out ones are never taken together unless asked for.

    Args:
        folder: the search's.
        record: its definition.
        orders: order seeds, or names of published class orders; see `class_orders`.
        seeds: how many training seeds, none of them the search's own or one of its finalists'.
        with_default: evaluate the default, trial 0, as well.
        threads: CPU threads of a run.
        device: where it trains.

    Raises:
        TuneCLError: the search has chosen nothing, or was killed before it could choose; a configuration is not the
            one that the search had.
    """
    summary = read_record(folder.summary, Summary) if folder.summary.exists() else None
    if summary is None or summary.best is None:
        raise TuneCLError(
            f"{folder.path}: the search has chosen nothing yet, since no trial has come to its end; run its command on"
        )
    _check_up_to_date(folder, summary)
    _check_best(folder, record, summary.best)
    roles: dict[int, Role] = {summary.best.trial: "chosen"}
    if with_default:
        roles.setdefault(0, "default")
    train_seeds = tuple(_held_out_seeds(seeds, record))
    streams = {order_name(s.class_order, s.order_seed): s for s in (_stream(record, order) for order in orders)}
    runs = []
    for trial in roles:  # one configuration after the other: runs that share a base do not wait for each other
        searched = _as_chosen(folder, record, trial, summary.best)
        for name, stream in streams.items():
            for seed in train_seeds:
                changes = {
                    "stream": stream,
                    "train_seed": seed,
                    "horizon": shape_of(stream).increments,
                    "threads": threads,
                    "device": device,
                }
                config = searched.model_copy(update=changes)
                runs.append(EvaluationRun(trial, EvaluationPlace(name, seed), config))
    wanted = {number: _as_searched(record, number, summary.best) for number in (summary.best.trial, 0)}
    earlier = _earlier(folder, wanted, {run.name for run in runs}, set(map(_is_published, streams)))
    if any(run.trial == 0 for run in earlier):
        roles.setdefault(0, "default")
    counted = [*runs, *earlier]
    streams = {run.place.order: run.config.stream for run in counted}
    ended = sum(trial.state != "running" for trial in summary.table)
    return EvaluationPlan(
        folder=folder,
        record=record,
        summary=summary,
        orders=tuple(streams),
        seeds=tuple(sorted({run.place.seed for run in counted})),
        held_out=_are_held_out(record, streams),
        roles=roles,
        runs=tuple(runs),
        earlier=tuple(earlier),
        left=max(0, record.trials - ended),
    )


def _check_up_to_date(folder: SearchFolder, summary: Summary) -> None:
    """Refuse a choice that was made before the last rows: its search went on and was killed."""
    known = {trial.trial: -1 if trial.increment is None else trial.increment for trial in summary.table}
    for number, trial in folder.trials().items():
        rows = trial.rows()
        if rows and rows[-1].increment > known.get(number, -1):
            raise TuneCLError(
                f"{folder.path}: trial {number:04d} has reported since the search last chose, so the search was "
                "killed; run its command again, which goes on and chooses anew"
            )


def _as_searched(record: SearchRecord, trial: int, best: BestSummary) -> RunConfig:
    """The configuration of the chosen trial, or of the default, as the study has it."""
    sampled = best.parameters if trial == best.trial else {}
    run = run_config(record, unflatten({**record.default, **sampled}))
    return run.model_copy(update={"parameters": settings_of(run).model_dump()})


def _as_chosen(folder: SearchFolder, record: SearchRecord, trial: int, best: BestSummary) -> RunConfig:
    """The same as its trial's folder has it.

    Raises:
        TuneCLError: the two differ.
    """
    file = folder.trial(trial).config
    run = read_run(file)
    changed = _difference(_as_searched(record, trial, best), run)
    if changed is not None:
        path, before, now = changed
        raise TuneCLError(
            f"{file}: {path} is {now}, and {before} in the search's own memory; test data are read for what was "
            f"searched alone: put {before} back"
        )
    return run


def _check_best(folder: SearchFolder, record: SearchRecord, best: BestSummary) -> None:
    """Refuse a search whose best.yaml was changed: who reads it would take the results for those of the change."""
    if not folder.best_config.exists():
        return
    changed = _difference(_as_searched(record, best.trial, best), read_run(folder.best_config))
    if changed is not None:
        path, before, now = changed
        raise TuneCLError(
            f"{folder.best_config}: {path} is {now}, and {before} in trial {best.trial:04d}, which the search chose; "
            "`train` runs changed configurations, from a copy elsewhere; put the value back here, or run the search's "
            "command again, which writes the file anew"
        )


def _difference(one: RunConfig, other: RunConfig) -> tuple[str, Any, Any] | None:
    """The first place where two differ in what an evaluation takes from them, and both values there."""
    taken = {"method", "budget", "parameters"}
    left, right = (flatten(run.model_dump(mode="json", include=taken)) for run in (one, other))
    paths = (path for path in left | right if path not in left or path not in right or left[path] != right[path])
    return next(((path, left.get(path, "not there"), right.get(path, "not there")) for path in paths), None)


def _earlier(
    folder: SearchFolder, wanted: Mapping[int, RunConfig], planned: set[str], published: set[bool]
) -> list[EvaluationRun]:
    """Runs of these trials' configurations, other than the planned ones, that have their results."""
    found = []
    for path in sorted((folder.evaluation.path / "runs").glob("*/increments.jsonl")):
        name = path.parent.name
        parsed = parse_run(name)
        if parsed is None or name in planned:
            continue
        trial, place = parsed
        if trial in wanted and _is_published(place.order) in published:
            file = folder.evaluation.run(name).config
            run = read_run(file)
            changed = _difference(wanted[trial], run)
            if changed is not None:
                raise TuneCLError(f"{file}: {changed[0]} is {changed[2]}, and {changed[1]} in the search; restore it")
            found.append(EvaluationRun(trial, place, run))
    return found


def _is_published(order: str) -> bool:
    return not order.startswith("seed-")


def class_orders(n: int, record: SearchRecord) -> tuple[int, ...]:
    """Order seeds that give n class orders (none for 0), all different and none of them the search's.

    Raises:
        TuneCLError: the data set has not so many class orders.
    """
    n_classes = shape_of(record.stream).dataset.n_classes
    known = {class_order(record.stream.class_order, n_classes, record.stream.order_seed)}
    found: list[int] = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + 100 * n):
        if len(found) == n:
            break
        order = class_order("seed", n_classes, seed)
        if order not in known:
            known.add(order)
            found.append(seed)
    if len(found) == n:
        return tuple(found)
    raise TuneCLError(f"--orders {n}: {n_classes} classes have fewer class orders that the search has not seen")


def _held_out_seeds(n: int, record: SearchRecord) -> list[int]:
    race = Race() if record.race is None else Race.of(record.race, "race")
    chosen_by, fresh = race.seeds(record.seeds.train)
    seeds = (seed for seed in count(_FIRST_SEED) if seed not in (*chosen_by, *fresh))
    return [next(seeds) for _ in range(n)]


def _stream(record: SearchRecord, order: Order) -> StreamRecord:
    name, folder = record.stream.name, record.stream.folder
    if isinstance(order, int):
        return StreamRecord(name=name, class_order="seed", order_seed=order, folder=folder)
    return StreamRecord(name=name, class_order=order, folder=folder)


def _are_held_out(record: SearchRecord, streams: Mapping[str, StreamRecord]) -> bool:
    n_classes = shape_of(record.stream).dataset.n_classes
    searched = class_order(record.stream.class_order, n_classes, record.stream.order_seed)
    return all(class_order(s.class_order, n_classes, s.order_seed) != searched for s in streams.values())
