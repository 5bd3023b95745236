"""The server itself: HTTP on the loopback interface, and the faults that a test switches on."""

import base64
import gzip
import json
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from wandb_server._graphql import GraphQLError, execute, parse
from wandb_server._schema import Schema
from wandb_server._store import ServerArtifact, ServerRun, ServerSweep, Store

Fault = Literal["drop", "stall", 500, 502, 503] | None
KEY = "5ec2e7" * 6 + "abcd"  # as long as W&B's are


@dataclass(frozen=True)
class Request:
    """A request as it came, with what the server made of it."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    operation: str = ""  # of GraphQL
    variables: dict[str, Any] = field(default_factory=dict, repr=False)
    status: int = 0  # 0: dropped


class WandbServer:
    """A W&B server on 127.0.0.1 that speaks what W&B's client 0.31 asks of it.

    Set `fault` at any time: 'drop' (connections are cut), 'stall' (nothing is answered for `stall_seconds`, or until
    the fault is over), 500, 502, 503 (answered at once), None (healthy). What is not answered well is not taken.

    Args:
        entity: the account, and its default entity.
        key: the API key that is accepted; others are answered 401.

    Example:
        >>> with WandbServer() as server:
        ...     subprocess.run(command, env=os.environ | server.environment)
        ...     assert [row["increment"] for row in server.run_named("s-0000").history] == [0, 1, 2, 3]
    """

    def __init__(self, entity: str = "tester", key: str = KEY) -> None:
        self.key = key
        self.store = Store(entity)
        self.requests: list[Request] = []
        self.unknown: list[str] = []  # what was asked for and not understood; a test asserts that it stays empty
        self.stall_seconds = 600.0
        self.refused: set[str] = set()  # GraphQL operations that the account may not use
        self.refused_runs: set[str] = set()  # ids that may not be used, as of runs that were deleted
        self.before: Callable[[Request], None] | None = None  # called with each request before it is answered
        self._fault: Fault = None
        self._healed = threading.Event()
        self._lock = threading.RLock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> "WandbServer":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._healed.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        """Where it listens: WANDB_BASE_URL."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send a client here, with its key."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.key, "WANDB_MODE": "online"}

    @property
    def fault(self) -> Fault:
        """What is wrong with the server now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        healed, self._healed = self._healed, threading.Event()
        healed.set()

    @property
    def runs(self) -> dict[str, ServerRun]:
        """Id -> run."""
        return self.store.runs

    @property
    def sweeps(self) -> dict[str, ServerSweep]:
        """Id -> sweep."""
        return self.store.sweeps

    @property
    def artifacts(self) -> list[ServerArtifact]:
        """All versions of all artefacts."""
        return self.store.artifacts

    def run_named(self, display_name: str) -> ServerRun:
        """The one run of a display name."""
        (run,) = [run for run in self.runs.values() if run.display_name == display_name]
        return run

    def operations(self) -> list[str]:
        """The GraphQL operations that were asked for, in order."""
        return [request.operation for request in self.requests if request.operation]

    def answer(self, request: Request) -> tuple[int, bytes] | None:
        """The status and body of an answer; None: cut the connection."""
        if self.before is not None:
            self.before(request)
        fault = self._fault
        if fault == "stall":
            self._healed.wait(self.stall_seconds)
            fault = self._fault if self._fault != "stall" else None
        if fault == "drop":
            answer = None
        elif isinstance(fault, int):
            answer = fault, b'{"error": "out of order"}'
        else:
            with self._lock:
                answer = self._answer(request)
        status = answer[0] if answer else 0
        self.requests.append(Request(**{**vars(request), "status": status}))
        return answer

    def _answer(self, request: Request) -> tuple[int, bytes]:
        path = unquote(urlsplit(request.path).path)
        if path.startswith("/storage/"):  # signed addresses, which need no key
            return self._storage(request, path)
        if not self._welcome(request):
            return 401, b'{"error": "invalid API key"}'
        if path == "/graphql":
            return self._graphql(request)
        if path.endswith("/file_stream"):
            return self._file_stream(request, path)
        self.unknown.append(f"{request.method} {path}")
        return 404, b"{}"

    def _welcome(self, request: Request) -> bool:
        kind, _, credentials = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return credentials == self.key
        return base64.b64decode(credentials).decode().partition(":")[2] == self.key

    def _graphql(self, request: Request) -> tuple[int, bytes]:
        asked = json.loads(request.body)
        if request.operation in self.refused or request.variables.get("name") in self.refused_runs:
            return 200, b'{"errors": [{"message": "permission denied"}], "data": null}'
        try:
            document = parse(asked["query"])
            schema = Schema(self.store, lambda: self.url)
            root = schema.mutation() if document.kind == "mutation" else schema.query()
            answer: dict[str, Any] = {"data": execute(document, asked.get("variables") or {}, root)}
        except (GraphQLError, KeyError, TypeError, AssertionError) as error:
            self.unknown.append(f"{request.operation}: {type(error).__name__}: {error}")
            return 400, json.dumps({"errors": [{"message": str(error)}]}).encode()
        return 200, json.dumps(answer).encode()

    def _file_stream(self, request: Request, path: str) -> tuple[int, bytes]:
        run = self.runs.get(PurePosixPath(path).parent.name)
        if run is None:
            return 404, b"{}"
        run.take_stream(json.loads(request.body))
        return 200, b"{}"

    def _storage(self, request: Request, path: str) -> tuple[int, bytes]:
        _, _, kind, owner, name = path.split("/", 4)
        files = self.runs[owner].files if kind == "runs" else self._artifact(int(owner)).files
        if request.method == "PUT":
            files[name] = request.body
            return 200, b""
        return (200, files[name]) if name in files else (404, b"")

    def _artifact(self, number: int) -> ServerArtifact:
        return next(artifact for artifact in self.artifacts if artifact.number == number)


def _handler_of(server: WandbServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # the client has gone
                self.close_connection = True

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = _decoded(body, self.headers.get("Content-Encoding", ""))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.answer(_request(self.command, self.path, headers, body))
            if answer is None:
                self.close_connection = True
                return
            status, content = answer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body


def _request(method: str, path: str, headers: dict[str, str], body: bytes) -> Request:
    if path != "/graphql":
        return Request(method, path, headers, body)
    asked = json.loads(body)
    try:
        document = parse(asked["query"])
        name = document.name or document.fields[0].name
    except (GraphQLError, IndexError):
        name = "?"
    return Request(method, path, headers, body, asked.get("operationName") or name, asked.get("variables") or {})
