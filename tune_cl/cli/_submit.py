"""`tune-cl submit`."""

import argparse
import os
import secrets
import shlex
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tune_cl.api.asked import Asked, what_is_asked
from tune_cl.api.data import own_folders
from tune_cl.api.plugins import load_named
from tune_cl.api.provenance import SECRET, git_commit, without_secrets
from tune_cl.cli import _job
from tune_cl.cli._parser import made
from tune_cl.cli._submit_jobs import SEARCH, followed, server_address, what_now
from tune_cl.commands import SUBMITTED
from tune_cl.engine import JobServer, pack
from tune_cl.errors import TuneCLError
from tune_cl.nets import read_backbone
from tune_cl.options import JobOptions, SearchOptions, written
from tune_cl.records import given_text
from tune_cl.study import space_in_one

_PASSWORDS = "and give a password to the head by PGPASSWORD or ~/.pgpass (for MySQL: ?read_default_file=/path)"
_SPACES = "spaces"  # where a user's space file lies in the job's folder


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl submit`; returns the exit code."""
    options, about = made(SearchOptions, args), made(JobOptions, args)
    brought = _load_plugins(options)
    asked = _checked(options)
    server = JobServer(server_address(about))
    metadata = {"tune_cl.version": version("tune_cl"), "tune_cl.commit": git_commit() or "none"}
    if not args.dry_run:
        _check_idle(server, asked)
        metadata[SEARCH] = str(asked.folder.path)
    job = f"{asked.name}-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory(prefix="tune_cl-job-") as scratch:
        package = Path(scratch, "job.zip")
        pack(package, {**brought, "job.py": Path(_job.__file__), **_written(_space(options), Path(scratch))})
        command = shlex.join([sys.argv[0], *without_secrets(argv)])
        entrypoint = _entrypoint(options, about.python, ["--dry-run"] if args.dry_run else [])
        server.submit(package, entrypoint, job, metadata, {SUBMITTED: command})
    print(f"Job {job} is submitted to {server.address}.", flush=True)
    if about.no_wait:
        print(what_now(server, job))
        return 0
    return followed(server, job)


def _checked(options: SearchOptions) -> Asked:
    """Find what is wrong with a search before it travels: all but data and machines.

    Raises:
        TuneCLError: something is wrong, or would not be found on the cluster.
    """
    _check_paths(options)
    _check_storage(options.storage)
    named = options.backbone_weights
    weights = given_text(named, "--backbone-weights") if named is not None else None
    elsewhere = weights is not None and not os.path.isfile(weights)
    backbone = read_backbone(weights) if weights is not None and not elsewhere else None
    return what_is_asked(options, backbone, backbone_elsewhere=elsewhere, cluster=True, submitted=True)


def _check_paths(options: SearchOptions) -> None:
    shared = "a job's folder is temporary; name an absolute path that every node of the cluster sees"
    for option in ("results", "stages", "data_root", "backbone_weights"):
        path = getattr(options, option)
        if path is not None and not given_text(path, f"--{option.replace('_', '-')}").is_absolute():
            raise TuneCLError(f"--{option.replace('_', '-')} {path}: relative, but {shared}")
    for name, path in own_folders(options.data_sets).items():
        if isinstance(path, str) and not given_text(path, "--data-set").is_absolute():
            raise TuneCLError(f"--data-set {name}={path}: relative, but {shared}")


def _check_storage(url: str | None) -> None:
    if url is None:
        return
    try:
        parts = make_url(url)  # as the search will: what another reader takes for a path may be part of a password
    except (ArgumentError, ValueError):
        raise TuneCLError(
            f"--storage: not the URL of a database; write one such as postgresql://me@db/study, {_PASSWORDS}"
        ) from None
    if parts.password is not None or any(SECRET.search(name) for name in parts.query):
        raise TuneCLError(
            "--storage: the URL holds a password, which all who see the cluster could read in the job's command; "
            f"leave it out, {_PASSWORDS}"
        )
    if parts.get_backend_name() == "sqlite" and not (parts.database or "").startswith("/"):
        raise TuneCLError(
            f"--storage {url}: relative, but a job's folder is temporary; write sqlite:////absolute/path/study.db"
        )


def _check_idle(server: JobServer, asked: Asked) -> None:
    """Refuse a second job for one search: a file lock alone is not to be relied on between machines."""
    folder = str(asked.folder.path)
    for job in server.jobs():
        if job.runs and job.metadata.get(SEARCH) == folder:
            raise TuneCLError(
                f"job {job.id} runs this search already ({folder}); follow it with `submit logs {job.id} --follow`, "
                f"end it with `submit stop {job.id}`, or give this one another --name"
            )


def _entrypoint(options: SearchOptions, python: str, switches: Sequence[str] = ()) -> str:
    """The job's command line; `exec`, so that the signal of a stop reaches the search and no shell before it."""
    space = [f"--space={name}" for name in _space(options)] or [f"--space={options.space}"]
    others = [*written(options, leave_out=["space", "address"]), *switches]
    return f"exec {shlex.join([python, 'job.py', 'search', *space, *others, '--address=auto'])}"


def _space(options: SearchOptions) -> Mapping[str, Path]:
    """The user's own space file, if it is one: path in the job's folder -> file."""
    file = given_text(options.space, "--space")
    return {f"{_SPACES}/{file.name}": file} if file.is_file() else {}


def _written(spaces: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """The user's space file as one that needs no other which it extends, written into a folder."""
    written = dict.fromkeys(spaces, folder / "space")
    for name, file in spaces.items():
        written[name].write_text(space_in_one(str(file)), encoding="utf-8")
    return written


def _load_plugins(options: SearchOptions) -> dict[str, Path]:
    """Import the plugins; returns the files of the current folder that they were imported from, which travel.

    What is installed does not: the cluster's nodes have it, or say so.
    """
    before = set(sys.modules)
    if not load_named(options.plugins):
        return {}
    here, library = Path.cwd(), Path(sysconfig.get_path("stdlib"))
    files = (getattr(module, "__file__", None) for name, module in sys.modules.items() if name not in before)
    found = [Path(file).absolute() for file in files if file and file.endswith(".py")]
    return {
        file.relative_to(here).as_posix(): file
        for file in found
        if file.is_relative_to(here) and not file.is_relative_to(library) and "site-packages" not in file.parts
    }
