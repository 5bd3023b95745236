"""The options of `submit`: those of `search`, and where to send them."""

import argparse
from collections.abc import Iterator

from tune_cl.cli._parser import Parser, search_parser

_OWN = ("address", "no_wait", "python")


def submit_parser() -> Parser:
    """Options of `submit`: every option of `search`, where --address is the job server, and a few about the job."""
    parser = search_parser()
    parser.prog = "tune-cl submit"
    parser.description = (
        "Run a search as a job on a Ray cluster: the code travels, the log comes back, and the job's exit code is\n"
        "that of this command. The same command again continues the same search. A submitted job goes on by itself:\n"
        "submit list | status JOB | logs JOB [--follow] | stop JOB,  each with --address URL."
    )
    parser.epilog = (
        "Example: python launch/submit.py --space genifer.yaml --results /shared/results --address http://head:8265"
    )
    (address,) = [action for action in parser._actions if action.dest == "address"]
    address.metavar, address.help = "URL", _ADDRESS
    job = parser.add_argument_group("the job")
    job.add_argument("--no-wait", action="store_true", help="end when the job is submitted; do not follow its log")
    job.add_argument(
        "--python", default="python", metavar="PATH", help="Python of the cluster's head (default: %(default)s)"
    )
    return parser


def jobs_parser(verb: str) -> Parser:
    """Options of `submit status`, `logs`, `stop` and `list`."""
    parser = Parser(prog=f"tune-cl submit {verb}", description=_VERBS[verb])
    if verb != "list":
        parser.add_argument("job", metavar="JOB", help="a job's id, as `submit` and `submit list` print it")
    if verb == "logs":
        parser.add_argument("--follow", action="store_true", help="go on until the job ends; its exit code is ours")
    parser.add_argument("--address", metavar="URL", help=_ADDRESS)
    return parser


def verbs() -> tuple[str, ...]:
    """What `submit` does with jobs that are there."""
    return tuple(_VERBS)


def search_arguments(args: argparse.Namespace) -> list[str]:
    """The options of `search` in what `submit_parser` has read, in one writing; defaults are left out."""
    return [word for action in search_parser()._actions for word in _written(action, args)]


def _written(action: argparse.Action, args: argparse.Namespace) -> Iterator[str]:
    if action.dest in _OWN or not hasattr(args, action.dest):
        return
    value = getattr(args, action.dest)
    option = action.option_strings[-1]
    if value == action.default:
        return
    if value is True:
        yield option
    else:
        yield from (f"{option}={item}" for item in (value if isinstance(value, list) else [value]))


_ADDRESS = "the cluster's job server (default: RAY_ADDRESS if it is a URL, else http://127.0.0.1:8265)"
_VERBS = {
    "status": "Say how a job is.",
    "logs": "Print what a job has printed.",
    "stop": "End a job in an orderly way: what is in training is saved, and the same search can be submitted again.",
    "list": "List the jobs of tune_cl that the cluster remembers.",
}
