"""Following a job's log: a stand-in for the job server, which breaks off, falls silent, or has a proxy before it."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType

import pytest
import ray
from aiohttp import web

from tune_cl.cli.main import main
from tune_cl.engine import JobServer
from tune_cl.engine import _submission as submission

JOB = "s-1"
LOG = ["first\n", "second\n", "third\n"]

Tail = Callable[["Stand", web.WebSocketResponse], Awaitable[None]]


@dataclass
class Stand:
    """A job server with one job, whose log's connections go as told, one after another."""

    tails: list[Tail | int] = field(default_factory=list)  # what becomes of a connection, or how it is refused
    status: str = "RUNNING"
    refused: int | None = None  # what all but the version is answered with
    asleep: bool = False
    address: str = ""
    opened: int = 0

    def __enter__(self) -> "Stand":
        self._loop, ready = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_get("/api/version", self._version)
        app.router.add_get("/api/jobs/", self._about)
        app.router.add_get("/api/jobs/{job}", self._about)
        app.router.add_get("/api/jobs/{job}/logs", self._about)
        app.router.add_post("/api/jobs/{job}/stop", self._about)
        app.router.add_get("/api/jobs/{job}/logs/tail", self._tail)
        runner = web.AppRunner(app)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "4", "ray_version": ray.__version__, "ray_commit": "", "session_name": ""})

    async def _about(self, request: web.Request) -> web.Response:
        if self.asleep:
            await asyncio.sleep(30)
        if self.refused is not None:
            return web.Response(status=self.refused, text="<html>\nno upstream</html>")
        if request.path.endswith("/logs"):
            return web.json_response({"logs": "".join(LOG)})
        job = {"type": "SUBMISSION", "submission_id": JOB, "status": self.status, "entrypoint": "", "metadata": {}}
        return web.json_response(job if request.path.endswith(JOB) else [job])

    async def _tail(self, request: web.Request) -> web.StreamResponse:
        tail = self.refused or self.tails.pop(0)
        if isinstance(tail, int):
            return web.Response(status=tail)
        self.opened += 1
        line = web.WebSocketResponse()
        await line.prepare(request)
        await tail(self, line)
        if tail is breaks_off:
            assert request.transport is not None
            request.transport.abort()
        return line


async def ends(stand: Stand, line: web.WebSocketResponse) -> None:
    """The whole log; then the job has ended."""
    for piece in LOG:
        await line.send_str(piece)
    stand.status = "SUCCEEDED"


async def breaks_off(stand: Stand, line: web.WebSocketResponse) -> None:
    await line.send_str(LOG[0])
    await asyncio.sleep(0.1)


async def falls_silent(stand: Stand, line: web.WebSocketResponse) -> None:
    """A dead connection: two pieces, and no word of its end."""
    await line.send_str(LOG[0])
    await line.send_str(LOG[1])
    await asyncio.sleep(30)


async def falls_silent_at_the_end(stand: Stand, line: web.WebSocketResponse) -> None:
    stand.status = "SUCCEEDED"
    await falls_silent(stand, line)


async def streams_for_longer_than_patience(stand: Stand, line: web.WebSocketResponse) -> None:
    """Then, for a moment, a proxy answers in the place of the server."""
    await line.send_str(LOG[0])
    await asyncio.sleep(1.5)
    await line.send_str(LOG[1])
    stand.refused = 503

    asyncio.get_running_loop().call_later(0.5, setattr, stand, "refused", None)


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    monkeypatch.setattr(submission, "_POLL", 0.05)
    for proxy in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with Stand() as stand:
        yield stand


def followed(stand: Stand) -> tuple[str, list[str]]:
    """The job's status at the end, and the pieces of its log."""
    pieces: list[str] = []
    state = JobServer(stand.address).follow(JOB, pieces.append)
    return state.status, pieces


def test_patience_is_counted_from_the_last_that_was_heard(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "_PATIENCE", 1.0)
    stand.tails = [streams_for_longer_than_patience, ends]
    assert followed(stand) == ("SUCCEEDED", LOG)


@pytest.mark.parametrize("refusal", [502, 401])
def test_log_that_is_refused_is_asked_for_again(stand: Stand, refusal: int) -> None:
    stand.tails = [refusal, ends]
    assert followed(stand) == ("SUCCEEDED", LOG)


def test_line_that_breaks_off_is_taken_up_without_doubled_lines(stand: Stand) -> None:
    stand.tails = [breaks_off, breaks_off, ends]
    assert followed(stand) == ("SUCCEEDED", LOG)


@pytest.mark.parametrize("dead", [falls_silent, falls_silent_at_the_end])
def test_silent_line_is_given_up_and_the_log_taken_up_where_it_was(
    stand: Stand, dead: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "_SILENCE", 0.3)
    stand.tails = [dead, ends]
    assert followed(stand) == ("SUCCEEDED", LOG)
    assert stand.opened == 2


def test_follower_gives_up_when_its_patience_is_over(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(submission, "_PATIENCE", 0.3)
    stand.tails = [502] * 50
    assert main(["submit", "logs", JOB, "--follow", "--address", stand.address]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"tune-cl: lost sight of job {JOB}") and told.count("\n") == 1


@pytest.mark.parametrize(
    "command", [["status", JOB], ["list"], ["logs", JOB], ["logs", JOB, "--follow"], ["stop", JOB]]
)
def test_error_of_a_proxy_is_one_sentence(stand: Stand, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    stand.refused = 503
    assert main(["submit", *command, "--address", stand.address]) == 2
    told = capsys.readouterr().err
    assert "503" in told and told.count("\n") == 1


def test_server_that_does_not_answer_is_not_waited_for_without_end(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(submission, "_ANSWER", 0.5)
    stand.asleep = True
    began = time.monotonic()
    assert main(["submit", "status", JOB, "--address", stand.address]) == 2
    assert time.monotonic() - began < 10
    assert capsys.readouterr().err.count("\n") == 1


def test_follower_that_nobody_reads_ends_at_once_and_quietly(stand: Stand) -> None:
    stand.tails = [ends] * 3
    nobody, output = os.pipe()
    os.close(nobody)
    argv = json.dumps(["submit", "logs", JOB, "--follow", "--address", stand.address])
    script = f"import sys; from tune_cl.cli.main import main; sys.exit(main({argv}))"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    try:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, timeout=60, env=buffered)
    finally:
        os.close(output)
    assert (done.returncode, done.stderr) == (1, b"")
    assert stand.opened == 1
