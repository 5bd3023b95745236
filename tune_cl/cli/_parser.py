"""The command line's options, in groups that a person can read."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from tune_cl.commands import SUBMITTED
from tune_cl.errors import TuneCLError, near_matches, shortened
from tune_cl.records import (
    BASE_CONFIGURATIONS,
    CONCURRENCY,
    LOADER_WORKERS,
    ORDERS,
    SEED,
    SEEDS,
    THREADS,
    TRIALS,
    Bounds,
    StreamRecord,
)

_NAMED_ORDERS = ["seed", "numpy-1993", "podnet"]
_LONGEST = 100_000 * 3600.0  # seconds
_LABELS = re.compile(r"-?[0-9]{1,9}(?:,-?[0-9]{1,9})*")
_SECRET_NAMES = "pass|pwd|secret|token|key"
SECRET = re.compile(_SECRET_NAMES, re.IGNORECASE)  # in the name of a URL's query
_PASSWORD = re.compile(r"(://[^/:]*:).*@", re.DOTALL)  # up to the last @: a user and a password may hold others
_IN_QUERY = re.compile(rf"([?&][^=&]*(?:{_SECRET_NAMES})[^=&]*=)[^&]*", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence, with near matches for a misspelt option."""

    def __init__(self, **settings: object) -> None:
        super().__init__(
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=34, width=110),
            allow_abbrev=False,
            **settings,  # type: ignore[arg-type]
        )

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as the one error that a person reads."""
        match = re.match(r"unrecognized arguments: (\S+)", message)
        if match:
            word = match[1].split("=")[0]
            known = [option for action in self._actions for option in action.option_strings]
            raise TuneCLError(f"unknown option {word}{near_matches(word, known)}; see --help")
        raise TuneCLError(f"{message.removeprefix('argument ')}; see --help")


def search_parser() -> Parser:
    """Options of `search`."""
    parser = Parser(
        prog="tune-cl search",
        description="Search the hyperparameters of a class-incremental learner. The same command again continues the\n"
        "same search; more --trials extend it. Test data are never read.",
        epilog="Example: python launch/search.py --space genifer.yaml --trials 16 "
        "--set 'increment.classifier.weight_ce={log: [0.05, 0.9]}'",
    )
    what = parser.add_argument_group("what to search")
    what.add_argument("--space", metavar="FILE", help="space file: a path, or a name from --list")
    what.add_argument("--stream", metavar="NAME", help="DATASET-b<base classes>-t<increments>, e.g. fashion-b4-t3")
    what.add_argument("--budget", metavar="NAME", help="quick or full: the epochs and steps that the space names")
    what.add_argument("--preset", metavar="NAME", help="a set of values that the space names, such as published")
    what.add_argument(
        "--scale",
        metavar="NAME",
        help="network sizes and lengths that the space names (default: what fits the data set and the machine, "
        "see --list; small32 for small colour images where there is no GPU)",
    )
    _whole(what, "--trials", TRIALS, help="trials that the search shall have in all")
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        dest="overrides",
        help="fix a parameter, or give it a range: 'PATH={log: [1e-4, 1e-2]}'; repeatable",
    )
    how = parser.add_argument_group("how to search")
    how.add_argument("--sampler", metavar="NAME", help="tpe or random")
    how.add_argument("--scheduler", metavar="NAME", help="halving (successive halving on increments) or none")
    _whole(
        how,
        "--base-configurations",
        BASE_CONFIGURATIONS,
        metavar="K",
        help="distinct bases to train where the space searches the base (default: no limit)",
    )
    how.add_argument("--objective", metavar="METRIC", help="metric at the last increment, e.g. val/accuracy")
    how.add_argument("--protocol", metavar="NAME", help="whose validation data may decide: stream, or first_<k>")
    how.add_argument(
        "--time-budget", metavar="TIME", help="end after this time, e.g. 90s, 45m, 2h; the same command goes on"
    )
    _seeds(parser)
    _data(parser)
    _outside(parser)
    _where(parser)
    how.add_argument(
        "--retry-failed",
        action="store_true",
        help="begin trials that have failed anew, e.g. when a damaged file was mended; their trained stages are reused",
    )
    out = parser.add_argument_group("where to write")
    out.add_argument("--results", default="results", metavar="DIR", help="folder of searches (default: %(default)s)")
    out.add_argument("--stages", metavar="DIR", help="folder of trained stages (default: <results>/stages)")
    _fresh(out, "use no stage that this search has not trained itself; its trials share theirs, also when it goes on")
    out.add_argument(
        "--stage-budget",
        metavar="SIZE",
        help="size that the stages may reach, e.g. 50GiB; what is worth least is evicted (default: no limit)",
    )
    _checkpoints(out)
    out.add_argument(
        "--name", metavar="NAME", help="the search's folder (default: <method>-<stream>-<budget>[-<scale>][-<preset>])"
    )
    out.add_argument(
        "--storage", metavar="URL", help="database of the study, e.g. sqlite:///s.db (default: a journal in the folder)"
    )
    wandb_options(parser).add_argument(
        "--wandb-sweep", action="store_true", help="show the search as a W&B sweep too, its trials attached"
    )
    look = parser.add_argument_group("look before you run")
    look.add_argument("--list", action="store_true", help="list spaces, methods and data sets, and end")
    look.add_argument(
        "--dry-run",
        action="store_true",
        help="show the resolved space, trials, stages, disk estimate and trial 0, and end",
    )
    return parser


def train_parser() -> Parser:
    """Options of `train`."""
    parser = Parser(
        prog="tune-cl train",
        description="Run one configuration along its stream, without a search: best.yaml or a trial's config.yaml.\n"
        "Stages that are in the store already are not trained again.",
        epilog="Example: python launch/train.py --config results/genifer-fashion-b4-t3-quick/best.yaml --train-seed 1",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="best.yaml, or config.yaml of a trial")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        dest="overrides",
        help="change a parameter; repeatable",
    )
    _whole(parser, "--train-seed", SEED, help="another seed of everything inside the chain")
    parser.add_argument("--output", metavar="DIR", help="write rows and weights here")
    parser.add_argument("--results", default="results", metavar="DIR", help="folder of searches (default: %(default)s)")
    parser.add_argument("--stages", metavar="DIR", help="folder of trained stages (default: <results>/stages)")
    _fresh(parser, "train every stage anew, whatever is stored, and put it in the place of what is")
    _checkpoints(parser)
    _data(parser)
    _outside(parser)
    return parser


def evaluate_parser() -> Parser:
    """Options of `evaluate`."""
    parser = Parser(
        prog="tune-cl evaluate",
        description="Retrain the configuration that a search has chosen, on class orders and seeds that the search\n"
        "has not seen, on training and validation images together; then read the test data, once per run.\n"
        "Nothing of the search is reused. The same command goes on where it was.",
        epilog="Example: python launch/evaluate.py results/genifer-fashion-b4-t3-quick --with-default",
    )
    what = parser.add_argument_group("what to evaluate")
    what.add_argument("search", metavar="SEARCH", help="folder of a search, or its name below --results")
    _whole(what, "--orders", ORDERS, help="held-out class orders (default: 3)")
    what.add_argument(
        "--class-order",
        action="append",
        default=[],
        metavar="ORDER",
        dest="named_orders",
        help="a published class order in place of held-out ones: numpy-1993, podnet (cifar100); repeatable",
    )
    _whole(what, "--seeds", SEEDS, default=3, help="training seeds for each class order (default: 3)")
    what.add_argument("--with-default", action="store_true", help="evaluate the method's default, trial 0, beside it")
    what.add_argument(
        "--time-budget", metavar="TIME", help="end after this time, e.g. 90s, 45m, 2h; the same command goes on"
    )
    _data(parser)
    _outside(parser)
    _where(parser)
    out = parser.add_argument_group("where to write")
    out.add_argument("--results", default="results", metavar="DIR", help="folder of searches (default: %(default)s)")
    out.add_argument(
        "--stages", metavar="DIR", help="folder of the stages trained here (default: <search>/evaluation/stages)"
    )
    _checkpoints(out)
    wandb_options(parser)
    look = parser.add_argument_group("look before you run")
    look.add_argument("--dry-run", action="store_true", help="show the runs and what they would cost, and end")
    return parser


def stages_parser() -> Parser:
    """Options of `stages`."""
    parser = Parser(
        prog="tune-cl stages",
        description="Look after the store of trained stages: list what is there, look for damage, make room.\n"
        "What a running search, or the winner of a search, needs is never removed.",
        epilog="Example: python launch/stages.py prune --budget 50GiB --dry-run",
    )
    parser.add_argument("verb", metavar="VERB", help="list, verify (reads every byte) or prune")
    parser.add_argument("--results", default="results", metavar="DIR", help="folder of searches (default: %(default)s)")
    parser.add_argument("--stages", metavar="DIR", help="folder of trained stages (default: <results>/stages)")
    look = parser.add_argument_group("list")
    look.add_argument("--json", action="store_true", help="print JSON for a program, in place of a table")
    room = parser.add_argument_group("prune")
    room.add_argument("--budget", metavar="SIZE", help="evict what is worth least until the store has this size: 50GiB")
    room.add_argument(
        "--leftovers",
        action="store_true",
        help="remove what killed processes left behind, damaged stages, and checkpoints that nobody needs",
    )
    room.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    return parser


def _whole(group: Any, option: str, bounds: Bounds, metavar: str = "N", **settings: Any) -> None:
    """Add an option that takes a whole number within bounds."""
    group.add_argument(option, type=lambda text: bounds.read(text, option), metavar=metavar, **settings)


def _gpus(text: str) -> float:
    """Read a number of GPUs: a fraction of one, or so many.

    Raises:
        TuneCLError: it is neither.
    """
    try:
        gpus = float(text) if re.fullmatch("[0-9.eE+-]{1,20}", text) else -1.0
    except ValueError:
        gpus = -1.0
    if not (0 <= gpus <= 1 or (1 < gpus < 1024 and gpus.is_integer())):
        what = "a fraction from 0 to 1, or a whole number up to 1023"
        raise TuneCLError(f"--gpus-per-trial {shortened(text)}: must be {what}")
    return gpus


def _where(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("where to run")
    _whole(where, "--concurrency", CONCURRENCY, help="trials at a time (default: as many as fit)")
    _whole(where, "--cpus-per-trial", THREADS, help="CPU threads of a trial (default: 1)")
    where.add_argument(
        "--gpus-per-trial",
        type=_gpus,
        metavar="G",
        help="GPUs of a trial, a fraction shares one (default: 1 where there are any)",
    )
    where.add_argument("--address", metavar="ADDR", help="a running Ray cluster, or auto (default: start Ray here)")


def wandb_options(parser: argparse.ArgumentParser) -> Any:
    """Add the options of Weights & Biases; returns their group, for more."""
    wandb = parser.add_argument_group("Weights & Biases")
    wandb.add_argument("--wandb-project", metavar="NAME", help="project (default: WANDB_PROJECT, else tune_cl)")
    wandb.add_argument(
        "--wandb-entity", metavar="NAME", help="user or team (default: WANDB_ENTITY, else the account's)"
    )
    wandb.add_argument(
        "--wandb-mode",
        metavar="MODE",
        help="online, offline or disabled (default: WANDB_MODE, else online with credentials, else offline)",
    )
    return wandb


def _fresh(parser: Any, what: str) -> None:
    parser.add_argument("--fresh", action="store_true", help=what)


def _checkpoints(parser: Any) -> None:
    parser.add_argument(
        "--checkpoint-every",
        metavar="TIME",
        help="time between two checkpoints inside a phase, from which a killed one goes on, e.g. 30s (default: 5m)",
    )


def _seeds(parser: argparse.ArgumentParser) -> None:
    seeds = parser.add_argument_group("seeds and class order")
    _whole(seeds, "--search-seed", SEED, default=0, help="proposals (default: 0)")
    _whole(seeds, "--order-seed", SEED, default=0, help="class order (default: 0)")
    _whole(seeds, "--split-seed", SEED, default=0, help="validation split (default: 0)")
    _whole(seeds, "--train-seed", SEED, default=0, help="everything inside a chain (default: 0)")
    seeds.add_argument(
        "--class-order",
        default="seed",
        metavar="ORDER",
        help="seed, numpy-1993, podnet (cifar100), or the labels in order of arrival: 3,1,2,… (default: seed)",
    )


def _data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data-set",
        action="append",
        default=[],
        metavar="NAME=DIR",
        dest="data_sets",
        help="know a folder of your own images by a name: DIR/train/CLASS/* and DIR/test/CLASS/*, or DIR/CLASS/*; or a "
        "YAML file of settings in place of DIR; repeatable",
    )
    data.add_argument("--data-root", metavar="DIR", help="folder of data sets that are not embedded")
    data.add_argument("--download", action="store_true", help="fetch the data set (CIFAR) into --data-root first")
    data.add_argument(
        "--accept-modified-data",
        action="store_true",
        help="take files whose checksum or number differs from the original's; the difference enters every key",
    )
    _whole(
        data,
        "--loader-workers",
        LOADER_WORKERS,
        help="processes of a trial that decode image files ahead (default: up to 4; not used for images in memory)",
    )


def _outside(parser: argparse.ArgumentParser) -> None:
    outside = parser.add_argument_group("from outside tune_cl")
    outside.add_argument(
        "--backbone-weights",
        metavar="FILE",
        help="state dict of torchvision's ResNet-18 that the base task starts from (network resnet18); a configuration "
        "names it by its SHA-256, base.classifier.pretrained",
    )
    outside.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE",
        dest="plugins",
        help="import a module of your own, from the current folder or as installed, and know its METHOD (or METHODS); "
        "repeatable",
    )


def stream_record(name: str, args: argparse.Namespace) -> StreamRecord:
    """The stream with its class order and seeds, as the options name them.

    Raises:
        TuneCLError: --class-order is neither a known name nor a list of labels.
    """
    order: object = args.class_order
    if order not in _NAMED_ORDERS:
        if not _LABELS.fullmatch(str(order).replace(" ", "")):
            raise TuneCLError(
                f"--class-order {shortened(str(order))}: write {', '.join(_NAMED_ORDERS)}, or labels such as 3,1,2,0"
                f"{near_matches(str(order), _NAMED_ORDERS)}"
            )
        order = tuple(int(label) for label in str(order).split(","))
    return StreamRecord(name=name, class_order=order, order_seed=args.order_seed, split_seed=args.split_seed)


def seconds(text: str | None, option: str = "--time-budget") -> float | None:
    """Read a time such as 90s, 45m or 2h (a bare number is seconds).

    Raises:
        TuneCLError: it is none, or not above 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([smh]?)", text.strip())
    found = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not 0 < found <= _LONGEST:
        raise TuneCLError(f"{option} {shortened(text)}: write a time above 0 such as 90s, 45m or 2h, at most 100000h")
    return found


def command_line(argv: Sequence[str]) -> list[str]:
    """The command as it was typed, but for the passwords of a URL; in a job, the command that submitted it."""
    if SUBMITTED in os.environ:
        return shlex.split(os.environ[SUBMITTED])
    return [sys.argv[0], *without_secrets(argv)]


def without_secrets(argv: Sequence[str]) -> list[str]:
    """Options as they were typed, but for the passwords of a URL: its user's, and those in its query."""
    return [_IN_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1***@", word)) for word in argv]
