"""The parser of every command, made from the records of `tune_cl.options`. Imports nothing heavy."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.options import (
    CompareOptions,
    Declared,
    EvaluationOptions,
    JobOptions,
    Options,
    ReportOptions,
    SearchOptions,
    StagesOptions,
    SweepOptions,
    SyncOptions,
    TrainOptions,
    WatchOptions,
    declared,
)

Record = TypeVar("Record", bound=Options)
_GROUPS = (  # in the order of the help
    "what to search",
    "what to evaluate",
    "how to search",
    "seeds and class order",
    "data",
    "from outside tune_cl",
    "how to compute",
    "where to run",
    "where to write",
    "Weights & Biases",
    "what to make of it",
    "the job",
    "prune",
)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence, with near matches for a misspelt option."""

    def __init__(self, **settings: object) -> None:
        super().__init__(
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=34, width=110),
            allow_abbrev=False,
            **settings,  # type: ignore[arg-type]
        )
        self._headings: dict[str, Any] = {"": self}
        self.known: list[argparse.Action] = []  # all options but --help

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as the one error that a person reads."""
        match = re.match(r"unrecognized arguments: (\S+)", message)
        if match:
            word = match[1].split("=")[0]
            known = ["--help", *(option for action in self.known for option in action.option_strings)]
            raise TuneCLError(f"unknown option {word}{near_matches(word, known)}; see --help")
        raise TuneCLError(f"{message.removeprefix('argument ')}; see --help")

    def take(self, record: type[Options], leave_out: Sequence[str] = ()) -> "Parser":
        """Add the options of a record, each under its heading."""
        known = [item for item in declared(record) if item.name not in leave_out and item.option.in_shell]
        for item in sorted(known, key=lambda item: _GROUPS.index(item.option.group) if item.option.group else -1):
            self.known.append(self._add(item))
        return self

    def switch(self, heading: str, flag: str, help: str) -> "Parser":
        """Add a switch of the command line alone."""
        self.known.append(self._heading(heading).add_argument(flag, action="store_true", help=help))
        return self

    def _heading(self, title: str) -> Any:
        if title not in self._headings:
            self._headings[title] = self.add_argument_group(title)
        return self._headings[title]

    def _add(self, item: Declared) -> argparse.Action:
        kind = item.option.kind
        group: argparse.ArgumentParser = self._heading(item.option.group)  # or a group of it
        settings: dict[str, Any] = {"help": item.option.help.replace("%", "%%")}
        if not kind.metavar:
            return group.add_argument(item.flag, action="store_true", dest=item.name, **settings)
        settings["metavar"] = kind.metavar
        if kind.bounded:
            settings["type"] = _reader(kind.read, item.flag)
        if not item.flag.startswith("-"):
            settings |= {"nargs": "+"} if kind.many else {}
            return group.add_argument(item.name, **settings)
        default: Any = item.default if isinstance(item.default, str | int) else None
        settings |= {"action": "append", "default": []} if kind.many else {"default": default}
        return group.add_argument(item.flag, dest=item.name, **settings)


def _reader(read: Callable[[str, str], Any], flag: str) -> Callable[[str], Any]:
    return lambda word: read(word, flag)


def made(record: type[Record], args: argparse.Namespace) -> Record:
    """The record out of what its parser has read."""
    values = {item.name: getattr(args, item.name) for item in declared(record) if hasattr(args, item.name)}
    return record(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


_LOOK = "look before you run"
_JSON = "print summary.json at the end and nothing else, for a program; warnings go to standard error"


def search_parser() -> Parser:
    """Options of `search`."""
    return (
        Parser(
            prog="tune-cl search",
            description="Search the hyperparameters of a class-incremental learner. The same command again resumes\n"
            "the same search; more --trials extend it. Test data are never read.",
            epilog="Example: python launch/search.py --space genifer.yaml --trials 16 "
            "--set 'increment.classifier.weight_ce={log: [0.05, 0.9]}'",
        )
        .take(SearchOptions)
        .switch(_LOOK, "--list", "list spaces, methods and data sets, and end")
        .switch(_LOOK, "--dry-run", "show the resolved space, trials, stages, disk estimate and trial 0, and end")
        .switch("where to run", "--json", _JSON)
    )


def submit_parser() -> Parser:
    """Options of `submit`: every option of `search`, where --address is the job server, and a few about the job."""
    return (
        Parser(
            prog="tune-cl submit",
            description="Run a search as a job on a Ray cluster: the code travels, the log comes back, and the job's\n"
            "exit code is that of this command. The same command again resumes the same search. A submitted job runs\n"
            "on by itself: submit list | status JOB | logs JOB [--follow] | stop JOB,  each with --address URL.",
            epilog="Example: python launch/submit.py --space genifer.yaml --results /shared/results "
            "--address http://head:8265",
        )
        .take(SearchOptions, leave_out=["address"])
        .take(JobOptions)
        .switch(_LOOK, "--list", "list spaces, methods and data sets, and end")
        .switch(_LOOK, "--dry-run", "have the job show what it would do, and end")
    )


def jobs_parser(verb: str) -> Parser:
    """Options of `submit status`, `logs`, `stop` and `list`.

    Raises:
        TuneCLError: the verb is none of them.
    """
    if verb not in _VERBS:
        raise TuneCLError(
            f"submit {verb}: not one of {', '.join(_VERBS)}{near_matches(verb, _VERBS)}; see submit --help"
        )
    parser = Parser(prog=f"tune-cl submit {verb}", description=_VERBS[verb])
    if verb != "list":
        parser.add_argument("job", metavar="JOB", help="a job's id, as `submit` and `submit list` print it")
    if verb == "logs":
        parser.switch("", "--follow", "wait until the job ends; its exit code is ours")
    return parser.take(JobOptions, leave_out=["no_wait", "python"])


def verbs() -> tuple[str, ...]:
    """What `submit` does with jobs that are there."""
    return tuple(_VERBS)


def train_parser() -> Parser:
    """Options of `train`."""
    return Parser(
        prog="tune-cl train",
        description="Run one configuration along its stream, without a search: best.yaml, a trial's config.yaml, or\n"
        "the default of a space. Stages that are in the store already are not trained again.",
        epilog="Example: python launch/train.py --config results/genifer-fashion-b4-t3-quick/best.yaml --train-seed 1\n"
        "         python launch/train.py --space lwf.yaml --stream quickdraw-b10-t4",
    ).take(TrainOptions)


def evaluate_parser() -> Parser:
    """Options of `evaluate`."""
    return (
        Parser(
            prog="tune-cl evaluate",
            description="Retrain the configuration that a search has chosen, on class orders and seeds that the\n"
            "search has not seen, on training and validation images together; then read the test data, once per run.\n"
            "Nothing of the search is reused. The same command resumes.",
            epilog="Example: python launch/evaluate.py results/genifer-fashion-b4-t3-quick --with-default",
        )
        .take(EvaluationOptions)
        .switch(_LOOK, "--dry-run", "show the runs and what they would cost, and end")
        .switch("where to run", "--json", _JSON)
    )


def compare_parser() -> Parser:
    """Options of `compare`."""
    parser = Parser(
        prog="tune-cl compare",
        description="Compare searches on one stream by one objective: best configurations, accuracy per increment,\n"
        "cost, best value over budget, evaluations, and whether a difference is more than noise. Trains nothing.",
        epilog="Example: python launch/compare.py genifer-fashion-b4-t3-quick lwf-fashion-b4-t3-quick "
        "--html compare.html",
    ).take(CompareOptions)
    return parser.switch("what to make of it", "--json", "print JSON for a program, in place of tables")


def report_parser() -> Parser:
    """Options of `report`."""
    parser = Parser(
        prog="tune-cl report",
        description="Write a search as a page for a browser, complete in one file: the winner and what it changes,\n"
        "whether the gain is more than noise, curves, replayed images, importance, every trial. Trains nothing.",
        epilog="Example: python launch/report.py genifer-fashion-b4-t3-quick --html page.html",
    ).take(ReportOptions)
    return parser.switch("what to make of it", "--json", "print JSON for a program")


def watch_parser() -> Parser:
    """Options of `watch`."""
    return Parser(
        prog="tune-cl watch",
        description="Show a search in a browser of this machine while it runs, here or wherever else it writes its\n"
        "folder. Nothing is written; Ctrl-C ends watching, and the search goes on.",
        epilog="Example: python launch/watch.py genifer-fashion-b4-t3-quick",
    ).take(WatchOptions)


def sync_parser() -> Parser:
    """Options of `sync`."""
    parser = Parser(
        prog="tune-cl sync",
        description="Upload to W&B what its server has not got of a search: runs that were kept offline, rows that it\n"
        "did not take in time, the sweep of --wandb-sweep. Repeating it, or interrupting it, does no harm.",
        epilog="Example: python launch/sync.py results/genifer-fashion-b4-t3-quick",
    ).take(SyncOptions)
    return parser.switch("", "--dry-run", "list what would be uploaded, and end")


def sweep_parser() -> Parser:
    """Options of `sweep`."""
    return Parser(
        prog="tune-cl sweep",
        description="Turn a space file into a W&B sweep file, or a W&B sweep file into a space file. What the other\n"
        "one cannot express is said in a sentence each. Nothing is sent.",
        epilog="Examples: python launch/sweep.py export genifer --output sweep.yaml\n"
        "          python launch/sweep.py import sweep.yaml --space lwf --output space.yaml",
    ).take(SweepOptions)


def stages_parser() -> Parser:
    """Options of `stages`."""
    parser = Parser(
        prog="tune-cl stages",
        description="Maintain the store of trained stages: list what is there, look for damage, make room.\n"
        "What a running search, or the winner of a search, needs is never removed.",
        epilog="Example: python launch/stages.py prune --budget 50GiB --dry-run",
    ).take(StagesOptions)
    parser.switch("list", "--json", "print JSON for a program, in place of a table")
    return parser.switch("prune", "--dry-run", "say what would be removed, and remove nothing")


def check(command: str, args: argparse.Namespace) -> None:
    """Check what is read, as far as that goes without a look at anything else.

    Raises:
        TuneCLError: an option is missing, or belongs to something else.
    """
    if command in ("search", "submit") and args.space is None:
        raise TuneCLError("--space FILE is missing: a path, or a name from --list, such as genifer.yaml")
    if command == "train":
        _check_train(args)
    if command == "sweep":
        _check_sweep(args)
    if command == "stages":
        _check_stages(args)


def _check_train(args: argparse.Namespace) -> None:
    if (args.config is None) == (args.space is None):
        given = "both are given" if args.config is not None else "neither is given"
        raise TuneCLError(f"--config FILE or --space FILE names what is trained, but {given}; write one of them")
    for name in _OF_SPACE:
        if args.config is not None and getattr(args, name) is not None:
            raise TuneCLError(
                f"--{name} {getattr(args, name)}: goes with --space; the file of --config says it already"
            )


def _check_verb(verb: str, verbs: Sequence[str]) -> None:
    if verb not in verbs:
        known = f"{', '.join(verbs[:-1])} or {verbs[-1]}"
        raise TuneCLError(f"unknown verb {verb!r}{near_matches(verb, verbs) or f'; write {known}'}")


def _check_sweep(args: argparse.Namespace) -> None:
    _check_verb(args.verb, ("export", "import"))
    for name, flag, verb in (("space", "--space", "import"), ("overrides", "--set", "export")):
        if getattr(args, name) and args.verb != verb:
            raise TuneCLError(f"{flag} is an option of {verb}, not of {args.verb}")


def _check_stages(args: argparse.Namespace) -> None:
    _check_verb(args.verb, _STAGES_VERBS)
    for name, verb in _ONLY_FOR.items():
        if getattr(args, name) and args.verb != verb:
            raise TuneCLError(f"--{name.replace('_', '-')} is an option of {verb}, not of {args.verb}")
    if args.verb == "prune" and args.budget is None and not args.leftovers:
        raise TuneCLError("prune: say what shall go, with --budget SIZE, --leftovers, or both")


_OF_SPACE = ("stream", "budget", "preset", "scale")
_STAGES_VERBS = ("list", "verify", "prune")
_ONLY_FOR = {"json": "list", "budget": "prune", "leftovers": "prune", "dry_run": "prune"}
PARSERS: dict[str, Callable[[], Parser]] = {
    "search": search_parser,
    "submit": submit_parser,
    "train": train_parser,
    "evaluate": evaluate_parser,
    "compare": compare_parser,
    "report": report_parser,
    "watch": watch_parser,
    "sync": sync_parser,
    "sweep": sweep_parser,
    "stages": stages_parser,
}
_VERBS = {
    "status": "Print the state of a job.",
    "logs": "Print what a job has printed.",
    "stop": "End a job in an orderly way: what is in training is saved, and the same search can be submitted again.",
    "list": "List the jobs of tune_cl that the cluster remembers.",
}
