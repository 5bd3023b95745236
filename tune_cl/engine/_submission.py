"""Ray jobs: handing a command to a cluster's job server, following it, stopping it."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.job_submission import JobDetails, JobSubmissionClient

from tune_cl.errors import TuneCLError, near_matches

DEFAULT_SERVER = "http://127.0.0.1:8265"
_OVERRIDES = "RAY_API_SERVER_ADDRESS"  # in the environment; it beats what Ray's client is told
_RUNS = ("PENDING", "RUNNING")
_STOP_SECONDS = 60  # that Ray waits between SIGTERM and SIGKILL: a search saves its phases, and closes W&B
_POLL = 0.5  # seconds between two looks at a job
_PATIENCE = 60.0  # seconds for what takes a moment: a head that has just started, a status behind its log
_ANSWER = 60.0  # seconds for the server to answer a request; Ray's client waits without end
_SILENCE = 60.0  # seconds without a piece of a log, after which the line may be dead: it is asked for anew
_INTERRUPTED = 130
_NO_PROGRAM = 127  # a shell's exit code


@dataclass(frozen=True)
class Job:
    """What the job server says of a job."""

    id: str
    status: str  # PENDING, RUNNING, SUCCEEDED, STOPPED or FAILED
    metadata: Mapping[str, str]
    started: datetime | None
    ended: datetime | None
    driver_exit_code: int | None
    message: str

    @property
    def runs(self) -> bool:
        """Whether it is under way, or about to be."""
        return self.status in _RUNS

    @property
    def exit_code(self) -> int:
        """The command's own exit code where it ended by itself; a stopped search is an interrupted one."""
        if self.status == "STOPPED":
            return _INTERRUPTED
        if self.trouble is not None:
            return 1
        return self.driver_exit_code or 0

    @property
    def trouble(self) -> str | None:
        """Why it ended without the command's having said so itself, if it did."""
        code = self.driver_exit_code
        if self.status != "FAILED" or (code is not None and 0 <= code != _NO_PROGRAM):
            return None
        if code == _NO_PROGRAM:
            return "the cluster's head has no such Python; start Ray where it is on the PATH, or name it with --python"
        if code is not None:
            return f"the job's process was ended by signal {-code}"
        return self.message.strip() or "the cluster gives no reason"


@dataclass
class _Followed:
    """What of a job's log has been handed on, and when its server was last heard."""

    write: Callable[[str], None]
    seen: int = 0  # characters
    heard: float = field(default_factory=time.monotonic)

    def hear(self) -> None:
        self.heard = time.monotonic()

    @property
    def is_lost(self) -> bool:
        """Whether patience is over."""
        return time.monotonic() > self.heard + _PATIENCE


class _Client(JobSubmissionClient):
    def _do_request(self, method: str, endpoint: str, **settings: Any) -> Any:
        return super()._do_request(method, endpoint, timeout=_ANSWER, **settings)


class JobServer:
    """A cluster's job server."""

    def __init__(self, address: str) -> None:
        """Connect, with the token that Ray finds for this process.

        Args:
            address: its URL, `http://head:8265`.

        Raises:
            TuneCLError: it is no such URL, nobody answers there, or the token is missing or wrong.
        """
        self.address = address.rstrip("/")
        _check_url(self.address)
        for told in ("dashboard_sdk", "job.sdk"):  # of uploads and closed connections
            logging.getLogger(f"ray.dashboard.modules.{told}").setLevel(logging.WARNING)
        try:
            with _told(self.address):
                self._client = _Client(self.address)
        except RuntimeError as error:  # an old server, another kind of server, or no ray[default] here
            raise TuneCLError(f"--address {address}: {_first_line(error)}") from None

    def submit(
        self, package: Path, entrypoint: str, job: str, metadata: Mapping[str, str], settings: Mapping[str, str]
    ) -> None:
        """Hand over a command.

        Nothing of this process's environment travels: what is in a job's runtime environment can be read by everybody
        who sees the cluster.

        Args:
            package: archive of the folder that the command runs in, on every node.
            entrypoint: command line for a shell.
            job: its id.
            metadata: what others may read of it.
            settings: environment variables of the job; others may read them, too.

        Raises:
            TuneCLError: the cluster takes no jobs.
        """
        variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS), **settings}
        environment = {"working_dir": str(package), "env_vars": variables}
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with _told(self.address):
                    self._client.submit_job(
                        entrypoint=entrypoint, submission_id=job, runtime_env=environment, metadata=dict(metadata)
                    )
                return
            except RuntimeError as error:
                if "No available agent" not in str(error) or time.monotonic() > deadline:
                    raise TuneCLError(f"{self.address}: the cluster takes no job ({_first_line(error)})") from None
                time.sleep(_POLL)

    def jobs(self) -> list[Job]:
        """All submitted jobs, the oldest first.

        Raises:
            TuneCLError: the server does not answer.
        """
        with self._answered():
            found = [_job(details) for details in self._client.list_jobs() if details.submission_id]
        return sorted(found, key=lambda job: job.started or datetime.max.astimezone())

    def job(self, job: str) -> Job:
        """One job.

        Raises:
            TuneCLError: there is none of that id, or the server does not answer.
        """
        with self._answered(job):
            return _job(self._client.get_job_info(job))

    def log(self, job: str) -> str:
        """What a job has printed so far.

        Raises:
            TuneCLError: there is no job of that id, or the server does not answer.
        """
        with self._answered(job):
            return str(self._client.get_job_logs(job))

    def follow(self, job: str, write: Callable[[str], None]) -> Job:
        """Hand on what a job prints, from its beginning, until it has ended.

        Args:
            job: its id.
            write: takes the pieces.

        Raises:
            TuneCLError: there is no job of that id, or the server does not answer for a minute.
        """
        log = _Followed(write)
        while True:
            try:
                complete = asyncio.run(self._tail(job, log))
                state = self.job(job)
                if state.runs:  # the line broke, or a node of the server's went: there is more to come
                    log.hear()
                elif complete or log.is_lost:
                    return state
            except TuneCLError:
                if log.is_lost:
                    raise
            time.sleep(_POLL)

    def stop(self, job: str) -> bool:
        """Ask a job to end, and wait until it has; says whether it was running.

        Raises:
            TuneCLError: there is no job of that id, it does not end, or the server does not answer.
        """
        with self._answered(job):
            if not self._client.stop_job(job):
                return False
        deadline = time.monotonic() + _STOP_SECONDS + _PATIENCE
        while self.job(job).runs:
            if time.monotonic() > deadline:
                raise TuneCLError(f"job {job}: asked to stop, but it still runs; look at `submit logs {job}`")
            time.sleep(_POLL)
        return True

    async def _tail(self, job: str, log: _Followed) -> bool:
        """Write what has not been seen of a log; says whether it has ended, and not only its line, silent or broken."""
        import aiohttp  # comes with ray[default], as what makes Ray's client; a search does without

        came = 0
        async with aclosing(self._client.tail_job_logs(job)) as pieces:
            while True:
                try:
                    async with asyncio.timeout(_SILENCE):  # wait_for of Python 3.11 may lose a Ctrl-C
                        piece = await anext(pieces)
                except StopAsyncIteration:
                    log.hear()
                    return True
                except (TimeoutError, RuntimeError):  # the latter is Ray's word for a line that broke
                    return False
                except (aiohttp.ClientError, OSError) as error:
                    raise _unreachable(self.address, _first_line(error)) from None
                log.hear()
                new = piece[max(0, log.seen - came) :]
                came += len(piece)
                log.seen = max(log.seen, came)
                if new:
                    log.write(new)

    @contextmanager
    def _answered(self, job: str | None = None) -> Iterator[None]:
        """Have what the server refuses become a sentence; where it does not know the job, with near matches."""
        try:
            with _told(self.address):
                yield
        except RuntimeError as error:
            if job is None or "does not exist" not in str(error):
                raise TuneCLError(
                    f"{self.address}: the job server does not answer as such ({_first_line(error)})"
                ) from None
            known = [other.id for other in self.jobs()]
            raise TuneCLError(f"{self.address}: there is no job {job}{near_matches(job, known)}") from None


def _check_url(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        host = address.split("://")[-1].rsplit(":", 1)[0]
        host = host if host and host != "auto" else "head"
        raise TuneCLError(
            f"--address {address}: not the URL of a job server, which listens beside Ray's dashboard; write "
            f"http://{host}:8265"
        )
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        socket.create_connection((parts.hostname, port), timeout=10).close()
    except (OSError, ValueError) as error:
        raise _unreachable(address, str(error)) from None


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Have Ray's client go to this address, whatever the environment says; what it complains of becomes a sentence."""
    before = os.environ.get(_OVERRIDES)
    os.environ[_OVERRIDES] = address
    try:
        yield
    except ray.exceptions.AuthenticationError as error:
        raise _refused(address, str(error)) from None
    except OSError as error:  # those of `requests` among them
        raise _unreachable(address, _first_line(error)) from None
    finally:
        if before is None:
            del os.environ[_OVERRIDES]
        else:
            os.environ[_OVERRIDES] = before


def _refused(address: str, reason: str) -> TuneCLError:
    what = "does not take this token" if "invalid" in reason.lower() else "asks for a token"
    return TuneCLError(
        f"{address}: the cluster {what}; set RAY_AUTH_MODE=token, and have the cluster's token in ~/.ray/auth_token, "
        "or name another file of it by RAY_AUTH_TOKEN_PATH"
    )


def _unreachable(address: str, reason: str) -> TuneCLError:
    return TuneCLError(
        f"--address {address}: no job server answers there ({reason}); give the URL of the head's dashboard, such as "
        f"{DEFAULT_SERVER}, and see that the head has ray[default] installed"
    )


def _job(details: JobDetails) -> Job:
    status: Any = details.status
    return Job(
        str(details.submission_id),
        str(getattr(status, "value", status)),
        details.metadata or {},
        _when(details.start_time),
        _when(details.end_time),
        details.driver_exit_code,
        details.message or "",
    )


def _when(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000).astimezone()


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
