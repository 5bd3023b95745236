"""The options of every command, each written down once: the command line and the Python functions are made of these.

Records are frozen. `SearchOptions("genifer.yaml", trials=16)` raises `TuneCLError` where a value is out of bounds; what
depends on the space, the data or the machine is checked when they are known.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

from tune_cl.options._bounds import (
    BASE_CONFIGURATIONS,
    CONCURRENCY,
    LOADER_WORKERS,
    ORDERS,
    PORTS,
    SEED,
    SEEDS,
    THREADS,
    TRIALS,
)
from tune_cl.options._kinds import (
    GAIN,
    GPUS,
    ORDER,
    RACE,
    SIZE,
    SWITCH,
    TIME,
    TRACKERS,
    changes,
    chosen,
    folders,
    names,
    path,
    paths,
    text,
    whole,
)
from tune_cl.options._numerics import Arithmetic
from tune_cl.options._option import Option, Options

StrPath = str | os.PathLike[str]

_DATA = "data"
_OUTSIDE = "from outside tune_cl"
_WHAT = "what to search"
_EVALUATED = "what to evaluate"
_HOW = "how to search"
_SEEDS = "seeds and class order"
_RUN = "where to run"
_WRITE = "where to write"
_WANDB = "Weights & Biases"
_MAKE = "what to make of it"
SEARCHES = "folder of searches (default: results)"
TRAINED = "folder of trained stages (default: <results>/stages)"
_IN_TIME = "end after this time, e.g. 90s, 45m, 2h; the same command resumes"
_Plugins = Annotated[
    Sequence[str],
    Option(
        "a module of your own, from the current folder or as installed, or the path of a .py file, that brings a "
        "method, network, data set, metric, sampler, stopping rule or tracker; repeatable",
        names("MODULE"),
        _OUTSIDE,
        "--plugin",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Outside(Options):
    """What a configuration may name that tune_cl does not bring."""

    data_sets: Annotated[
        Mapping[str, Any] | Sequence[str],
        Option(
            "know a folder of your own images by a name: DIR/train/CLASS/* and DIR/test/CLASS/*, or DIR/CLASS/*; or a "
            "YAML file of settings in place of DIR; repeatable",
            folders("NAME=DIR"),
            _DATA,
            "--data-set",
        ),
    ] = ()
    backbone_weights: Annotated[
        StrPath | None,
        Option(
            "state dict of torchvision's ResNet-18 that the base task starts from (network resnet18); a configuration "
            "names it by its SHA-256, base.classifier.pretrained",
            path("FILE"),
            _OUTSIDE,
        ),
    ] = None
    plugins: _Plugins = ()


@dataclass(frozen=True, kw_only=True)
class Runtime(Outside):
    """What training needs besides a configuration; none of it changes a number.

    Attributes:
        checkpoint_every: in seconds once the record is made; None for 5 minutes.
    """

    data_root: Annotated[StrPath | None, Option("folder of data sets that are not embedded", path(), _DATA)] = None
    download: Annotated[bool, Option("fetch the data set (CIFAR) into --data-root first", SWITCH, _DATA)] = False
    accept_modified_data: Annotated[
        bool,
        Option(
            "take files whose checksum or number differs from the original's; the difference enters every key",
            SWITCH,
            _DATA,
        ),
    ] = False
    loader_workers: Annotated[
        int | None,
        Option(
            "processes of a trial that decode image files ahead (default: up to 4; not used for images in memory)",
            whole(LOADER_WORKERS),
            _DATA,
        ),
    ] = None
    checkpoint_every: Annotated[
        float | str | None,
        Option(
            "time between two checkpoints inside a phase, from which a killed one resumes, e.g. 30s (default: 5m)",
            TIME,
            _WRITE,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Placement(Options):
    """What a trial gets of the machines, and where they are."""

    concurrency: Annotated[
        int | None, Option("trials at a time (default: as many as fit)", whole(CONCURRENCY), _RUN)
    ] = None
    cpus_per_trial: Annotated[int | None, Option("CPU threads of a trial (default: 1)", whole(THREADS), _RUN)] = None
    gpus_per_trial: Annotated[
        float | None,
        Option("GPUs of a trial, a fraction shares one (default: 1 where there are any)", GPUS, _RUN),
    ] = None
    address: Annotated[
        str | None, Option("a running Ray cluster, or auto (default: start Ray here)", text("ADDR"), _RUN)
    ] = None


@dataclass(frozen=True, kw_only=True)
class WandbOptions(Options):
    """Where runs are logged in Weights & Biases."""

    wandb_project: Annotated[str | None, Option("project (default: WANDB_PROJECT, else tune_cl)", text(), _WANDB)] = (
        None
    )
    wandb_entity: Annotated[
        str | None, Option("user or team (default: WANDB_ENTITY, else the account's)", text(), _WANDB)
    ] = None
    wandb_mode: Annotated[
        str | None,
        Option(
            "online, offline or disabled (default: WANDB_MODE, else online with credentials, else offline)",
            text("MODE"),
            _WANDB,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Progress(Options):
    """What is printed."""

    quiet: Annotated[bool, Option("print warnings and complaints alone", SWITCH, _RUN)] = False


@dataclass(frozen=True)
class SearchOptions(Progress, WandbOptions, Placement, Arithmetic, Runtime):
    """Options of a search.

    Example:
        >>> SearchOptions("genifer.yaml", trials=16, overrides={"increment.classifier.weight_ce": {"log": [0.05, 0.9]}})
    """

    space: Annotated[StrPath, Option("space file: a path, or a name from --list", path("FILE"), _WHAT)]
    _: KW_ONLY
    stream: Annotated[
        str | None, Option("DATASET-b<base classes>-t<increments>, e.g. fashion-b4-t3", text(), _WHAT)
    ] = None
    budget: Annotated[str | None, Option("quick or full: the epochs and steps that the space names", text(), _WHAT)] = (
        None
    )
    preset: Annotated[str | None, Option("a set of values that the space names, such as published", text(), _WHAT)] = (
        None
    )
    scale: Annotated[
        str | None,
        Option(
            "network sizes and lengths that the space names (default: what fits the data set and the machine, "
            "see --list; small32 for small colour images where there is no GPU)",
            text(),
            _WHAT,
        ),
    ] = None
    trials: Annotated[int | None, Option("total number of trials", whole(TRIALS), _WHAT)] = None
    overrides: Annotated[
        Mapping[str, Any] | Sequence[str],
        Option(
            "fix a parameter, or give it a range: 'PATH={log: [1e-4, 1e-2]}'; repeatable",
            changes("PATH=VALUE"),
            _WHAT,
            "--set",
        ),
    ] = ()
    sampler: Annotated[
        str | Any | None,
        Option(
            "what proposes configurations: one of --list, with options or without, e.g. gp, 'tpe(startup=4)', or any "
            "sampler of Optuna: 'optuna:TPESampler(gamma=0.2)'",
            chosen(),
            _HOW,
        ),
    ] = None
    scheduler: Annotated[
        str | Any | None,
        Option(
            "what stops trials early: one of --list, with options or without, e.g. none, 'halving(factor=3)'",
            chosen(),
            _HOW,
        ),
    ] = None
    base_configurations: Annotated[
        int | None,
        Option(
            "distinct bases to train where the space searches the base (default: no limit)",
            whole(BASE_CONFIGURATIONS, "K"),
            _HOW,
        ),
    ] = None
    objective: Annotated[
        str | Any | None,
        Option(
            "metric at the last increment, one of --list, or arithmetic over metrics, e.g. val/accuracy, "
            "'0.5*val/accuracy - 0.1*val/forgetting'",
            chosen("METRIC"),
            _HOW,
        ),
    ] = None
    protocol: Annotated[str | None, Option("whose validation data may decide: stream, or first_<k>", text(), _HOW)] = (
        None
    )
    points: Annotated[
        StrPath | None,
        Option(
            "YAML file of points to try first, each a mapping of parameters to values; more may be given on resuming",
            path("FILE"),
            _HOW,
            "--try",
        ),
    ] = None
    warm_start: Annotated[
        Sequence[str],
        Option(
            "an earlier search of the same method (its folder or name), or an Optuna study (URL or journal, #NAME), on "
            "another stream, budget or seed: its best is tried early, its good trials are a prior; repeatable",
            names("SEARCH"),
            _HOW,
        ),
    ] = ()
    stop_when_flat: Annotated[
        float | None,
        Option(
            "end when the later half of the trials (at least 8) raised the best value by less than this, e.g. 0.01, "
            "the noise of a train seed; the same command without it goes on",
            GAIN,
            _HOW,
        ),
    ] = None
    seeds: Annotated[
        str | Mapping[str, Any] | None,
        Option(
            "train the best trials again at the end, under further train seeds: finalists=3,top=0.25 is the best "
            "quarter under 3 seeds in all; the best mean wins, and fresh=3 more say what it gains over the default",
            RACE,
            _HOW,
        ),
    ] = None
    time_limit: Annotated[float | str | None, Option(_IN_TIME, TIME, _HOW)] = None
    retry_failed: Annotated[
        bool,
        Option(
            "run failed trials again, e.g. after a damaged file was repaired; their trained stages are reused",
            SWITCH,
            _HOW,
        ),
    ] = False
    search_seed: Annotated[int, Option("proposals (default: 0)", whole(SEED), _SEEDS)] = 0
    order_seed: Annotated[int, Option("class order (default: 0)", whole(SEED), _SEEDS)] = 0
    split_seed: Annotated[int, Option("validation split (default: 0)", whole(SEED), _SEEDS)] = 0
    train_seed: Annotated[int, Option("everything inside a chain (default: 0)", whole(SEED), _SEEDS)] = 0
    class_order: Annotated[
        str | Sequence[int],
        Option(
            "seed, numpy-1993, podnet (cifar100), or the labels in order of arrival: 3,1,2,… (default: seed)",
            ORDER,
            _SEEDS,
        ),
    ] = "seed"
    results: Annotated[StrPath, Option(SEARCHES, path(), _WRITE)] = "results"
    stages: Annotated[StrPath | None, Option(TRAINED, path(), _WRITE)] = None
    fresh: Annotated[
        bool,
        Option("use no stage that this search has not trained itself; its trials share theirs", SWITCH, _WRITE),
    ] = False
    max_store_size: Annotated[
        int | str | None,
        Option(
            "size that the stages may reach, e.g. 50GiB; what is worth least is evicted (default: no limit)",
            SIZE,
            _WRITE,
        ),
    ] = None
    name: Annotated[
        str | None,
        Option("the search's folder (default: <method>-<stream>-<budget>[-<scale>][-<preset>])", text(), _WRITE),
    ] = None
    storage: Annotated[
        str | None,
        Option("database of the study, e.g. sqlite:///s.db (default: a journal in the folder)", text("URL"), _WRITE),
    ] = None
    trackers: Annotated[
        Sequence[Any],
        Option(
            "who else follows the search: tensorboard or mlflow; repeatable; from Python also objects of your own",
            TRACKERS,
            _RUN,
            "--tracker",
        ),
    ] = ()
    wandb_sweep: Annotated[bool, Option("show the search as a W&B sweep too, its trials attached", SWITCH, _WANDB)] = (
        False
    )


@dataclass(frozen=True)
class EvaluationOptions(Progress, WandbOptions, Placement, Runtime):
    """Options of an evaluation, which reads test data.

    Example:
        >>> EvaluationOptions("results/lwf-fashion-b4-t3-quick", orders=3, seeds=2, with_default=True)
    """

    search: Annotated[
        StrPath, Option("folder of a search, or its name below --results", path("SEARCH"), _EVALUATED, "search")
    ]
    _: KW_ONLY
    orders: Annotated[int | None, Option("held-out class orders (default: 3)", whole(ORDERS), _EVALUATED)] = None
    named_orders: Annotated[
        Sequence[str],
        Option(
            "a published class order in place of held-out ones: numpy-1993, podnet (cifar100); repeatable",
            names("ORDER"),
            _EVALUATED,
            "--class-order",
        ),
    ] = ()
    seeds: Annotated[int, Option("training seeds for each class order (default: 3)", whole(SEEDS), _EVALUATED)] = 3
    with_default: Annotated[bool, Option("evaluate the method's default, trial 0, beside it", SWITCH, _EVALUATED)] = (
        False
    )
    time_limit: Annotated[float | str | None, Option(_IN_TIME, TIME, _EVALUATED)] = None
    results: Annotated[StrPath, Option(SEARCHES, path(), _WRITE)] = "results"
    stages: Annotated[
        StrPath | None,
        Option("folder of the stages trained here (default: <search>/evaluation/stages)", path(), _WRITE),
    ] = None


@dataclass(frozen=True, kw_only=True)
class CompareOptions(WandbOptions):
    """Options of a comparison."""

    searches: Annotated[
        Sequence[Any],
        Option(
            "folder of a search, its name below --results, or wandb://entity/project/group (or a sweep's id)",
            paths("SEARCH"),
            "",
            "searches",
        ),
    ]
    results: Annotated[StrPath, Option(SEARCHES, path())] = "results"
    html: Annotated[
        StrPath | None,
        Option("write a page with plots, complete in one file", path("FILE"), _MAKE),
    ] = None
    wandb: Annotated[bool, Option("publish the comparison as a W&B run", SWITCH, _WANDB)] = False


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Options):
    """Options of the page of a search."""

    search: Annotated[StrPath, Option("folder of a search, or its name below --results", path("SEARCH"), "", "search")]
    results: Annotated[StrPath, Option(SEARCHES, path())] = "results"
    html: Annotated[
        StrPath | None,
        Option("write the page here (default: report.html in the search's folder)", path("FILE"), _MAKE),
    ] = None
    csv: Annotated[
        StrPath | None,
        Option("write trials.csv and increments.csv into this folder, and no page unless --html", path(), _MAKE),
    ] = None


@dataclass(frozen=True, kw_only=True)
class WatchOptions(Options):
    """Options of the page of a search while it runs."""

    search: Annotated[StrPath, Option("folder of a search, or its name below --results", path("SEARCH"), "", "search")]
    results: Annotated[StrPath, Option(SEARCHES, path())] = "results"
    port: Annotated[
        int | None, Option("of this machine's loopback address (default: any that is free)", whole(PORTS))
    ] = None


@dataclass(frozen=True)
class SyncOptions(Options):
    """Options of an upload to W&B."""

    search: Annotated[StrPath, Option("folder of a search, or its name below --results", path("SEARCH"), "", "search")]
    _: KW_ONLY
    results: Annotated[StrPath, Option(SEARCHES, path())] = "results"
    wandb_project: Annotated[str | None, Option("project (default: the one they were kept for)", text())] = None
    wandb_entity: Annotated[str | None, Option("user or team (default: the one they were kept for)", text())] = None
    everything: Annotated[bool, Option("also what ran with W&B off", SWITCH)] = False


@dataclass(frozen=True, kw_only=True)
class SweepOptions(Options):
    """Options of the way between space files and W&B sweep files."""

    verb: Annotated[
        str, Option("export (a space becomes a sweep) or import (a sweep becomes a space)", text("VERB"), "", "verb")
    ]
    file: Annotated[
        StrPath, Option("a space file, or its shipped name; of import a W&B sweep file", path("FILE"), "", "file")
    ]
    output: Annotated[StrPath | None, Option("write the file here (default: print it)", path("FILE"))] = None
    space: Annotated[
        StrPath | None, Option("of import: the space to extend (default: the shipped one of its method)", path("FILE"))
    ] = None
    stream: Annotated[str | None, Option("DATASET-b<base classes>-t<increments>", text())] = None
    budget: Annotated[str | None, Option("quick or full", text())] = None
    preset: Annotated[str | None, Option("a set of values that the space names", text())] = None
    overrides: Annotated[
        Mapping[str, Any] | Sequence[str],
        Option("of export: fix a parameter, or give it a range; repeatable", changes("PATH=VALUE"), "", "--set"),
    ] = ()
    plugins: _Plugins = ()


@dataclass(frozen=True, kw_only=True)
class StagesOptions(Options):
    """Options of the care of a stage store."""

    verb: Annotated[str, Option("list, verify (reads every byte) or prune", text("VERB"), "", "verb")]
    results: Annotated[StrPath, Option(SEARCHES, path())] = "results"
    stages: Annotated[StrPath | None, Option(TRAINED, path())] = None
    budget: Annotated[
        int | str | None,
        Option("evict what is worth least until the store has this size: 50GiB", SIZE, "prune"),
    ] = None
    leftovers: Annotated[
        bool,
        Option(
            "remove what killed processes left behind, damaged stages, and checkpoints that nobody needs",
            SWITCH,
            "prune",
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class JobOptions(Options):
    """Options of a job that runs a search on a cluster."""

    address: Annotated[
        str | None,
        Option(
            "the cluster's job server (default: RAY_ADDRESS if it is a URL, else http://127.0.0.1:8265)",
            text("URL"),
            _RUN,
        ),
    ] = None
    no_wait: Annotated[bool, Option("end when the job is submitted; do not follow its log", SWITCH, "the job")] = False
    python: Annotated[str, Option("Python of the cluster's head (default: python)", text("PATH"), "the job")] = "python"
