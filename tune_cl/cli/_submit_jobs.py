"""`tune-cl submit status`, `logs`, `stop` and `list`, and following a job's log."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table

from tune_cl.cli._parser import made
from tune_cl.commands import program
from tune_cl.engine import DEFAULT_SERVER, Job, JobServer
from tune_cl.errors import TuneCLError
from tune_cl.options import JobOptions

SEARCH = "tune_cl.search"  # key of a job's metadata: the folder of its search
_UNBROKEN = 10_000  # columns


def about_jobs(verb: str, args: argparse.Namespace) -> int:
    """Run what comes after `submit` where that is no option; returns the exit code."""
    server = JobServer(server_address(made(JobOptions, args)))
    if verb == "list":
        _show_jobs([job for job in server.jobs() if SEARCH in job.metadata])
    elif verb == "status":
        _show_job(server.job(args.job))
    elif verb == "stop":
        stopped = server.stop(args.job)
        state = server.job(args.job)
        print(
            f"Job {args.job} is stopped." if stopped else f"Job {args.job} had ended already: {state.status.lower()}."
        )
    elif args.follow:
        server.job(args.job)
        return followed(server, args.job)
    else:
        sys.stdout.write(server.log(args.job))
    return 0


def followed(server: JobServer, job: str) -> int:
    """Print a job's log until it ends; returns its exit code."""
    try:
        state = server.follow(job, _print)
    except KeyboardInterrupt:
        print(f"\ntune-cl: the job goes on.\n{what_now(server, job)}", file=sys.stderr)
        return 130
    except TuneCLError as error:
        print(f"tune-cl: lost sight of job {job}: {error}", file=sys.stderr)
        return 1
    if state.status == "STOPPED":
        print("tune-cl: the job was stopped; the same command goes on where it was", file=sys.stderr)
    if state.trouble is not None:
        print(f"tune-cl: job {job} failed: {state.trouble}", file=sys.stderr)
    return state.exit_code


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def what_now(server: JobServer, job: str) -> str:
    """The commands to follow a job, and to stop it."""
    command = shlex.join(program("submit"))
    where = f"--address {server.address}"
    return f"Follow it: {command} logs {job} --follow {where}\nStop it:   {command} stop {job} {where}"


def server_address(options: JobOptions) -> str:
    """The job server that the options name, else the environment, else the one of this machine."""
    named = os.environ.get("RAY_ADDRESS", "")
    return options.address or (named if named.startswith(("http://", "https://")) else DEFAULT_SERVER)


def _show_job(job: Job) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in (
        ("job", job.id),
        ("status", job.status.lower()),
        ("exit code", "" if job.runs else str(job.exit_code)),
        ("search", job.metadata.get(SEARCH, "")),
        ("started", _date(job.started)),
        ("ended", _date(job.ended)),
        ("trouble", job.trouble or ""),
    ):
        if value:
            table.add_row(name, value)
    _show(table)


def _show_jobs(jobs: Sequence[Job]) -> None:
    table = Table("job", "status", "started", "search", box=None, pad_edge=False)
    for job in jobs:
        table.add_row(job.id, job.status.lower(), _date(job.started), job.metadata[SEARCH])
    _show(table)


def _show(table: Table) -> None:
    """Print every cell whole and as it is, however narrow the terminal: ids and paths are there to be copied."""
    Console(width=_UNBROKEN, highlight=False, soft_wrap=True, markup=False, emoji=False).print(table)


def _date(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}" if when is not None else ""
