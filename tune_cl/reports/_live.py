"""The page of a search while it runs: a small server on this machine alone that reads the search's folder."""

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder
from tune_cl.reports._search_page import page_data, search_page
from tune_cl.reports._search_view import SearchView, search_view

_LOOPBACK = "127.0.0.1"
_POLL = 0.5  # seconds between two looks at the folder
_PING = 10.0  # seconds without news after which a browser is sent a sign of life
_WAITING = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="1">'
    "<title>waiting</title><p>The search has no trial yet; this page reloads itself.</p></html>"
)


class Watch:
    """Serves a search's page on the loopback address, and tells every browser when the search has grown.

    The folder is all that it reads, so that the search may run anywhere that writes there. A page holds the whole
    record: a reload or a second browser shows the same.

    Args:
        folder: of the search.
        port: 0 for any that is free.

    Raises:
        TuneCLError: the port is taken.

    Example:
        >>> with Watch(SearchFolder(Path("results/mine"))) as watch:
        ...     print(watch.address)
        ...     threading.Event().wait()
    """

    def __init__(self, folder: SearchFolder, port: int = 0) -> None:
        self._folder = folder
        self._changed = threading.Condition()
        self._over = False
        self._version = 0
        self._view: SearchView | None = None
        self._seen: dict[Path, tuple[int, int]] = {}  # of the view
        try:
            self._server = ThreadingHTTPServer((_LOOPBACK, port), _handler(self))
        except (OSError, OverflowError) as error:
            raise TuneCLError(f"--port {port}: cannot be used ({error}); name another, or leave it out") from None
        self._server.daemon_threads = True
        self._threads = [
            threading.Thread(target=work, name="watch", daemon=True)
            for work in (self._server.serve_forever, self._poll)
        ]

    @property
    def port(self) -> int:
        """The port on the loopback address."""
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """What to type into a browser."""
        return f"http://{_LOOPBACK}:{self.port}/"

    def __enter__(self) -> "Watch":
        self._look()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def page(self) -> str:
        """The page as it is now."""
        with self._changed:
            view, version = self._view, self._version
        return _WAITING if view is None else search_page(view, version)

    def data(self) -> str:
        """What the page reads anew, as JSON."""
        with self._changed:
            view, version = self._view, self._version
        return json.dumps({"version": version, "view": None if view is None else page_data(view)})

    def wait(self, version: int | None) -> int | None:
        """Wait until the search has another version than this one, or a while has passed; None when all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._version != version, timeout=_PING)
            return None if self._over else self._version

    def _poll(self) -> None:
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._over, timeout=_POLL):
                    return
            self._look()

    def _look(self) -> None:
        """Read the folder again if a file in it has changed; what cannot be read yet is read later."""
        seen = _state_of(self._folder)
        if seen == self._seen:
            return
        try:
            view = search_view(self._folder)
        except (TuneCLError, OSError):
            return
        with self._changed:
            self._seen, self._view = seen, view
            self._version += 1
            self._changed.notify_all()


def _state_of(folder: SearchFolder) -> dict[Path, tuple[int, int]]:
    """When each file that the page is made of was last written, and its size."""
    files = [folder.search, folder.summary, folder.evaluation.summary, folder.classes]
    runs = [*folder.trials().values(), *folder.finalists()]
    files += [file for run in runs for file in run.path.glob("*.*")]
    found = {}
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        found[file] = (status.st_mtime_ns, status.st_size)
    return found


def _handler(watch: Watch) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers a browser of this machine: the page, its data, and events."""

        server_version, sys_version = "tune_cl", ""

        def do_GET(self) -> None:
            """Answer a request."""
            if not self._is_ours():
                self._answer(HTTPStatus.FORBIDDEN, "text/plain", "This server answers to its loopback address alone.")
            elif self.path == "/":
                self._answer(HTTPStatus.OK, "text/html", watch.page())
            elif self.path == "/data.json":
                self._answer(HTTPStatus.OK, "application/json", watch.data())
            elif self.path == "/events":
                self._events()
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "There is no such page.")

        def _is_ours(self) -> bool:
            """Whether the request is for this address: a page from elsewhere may have had its name point here."""
            return self.headers.get("Host") in (f"{_LOOPBACK}:{watch.port}", f"localhost:{watch.port}")

        def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            self._heads(kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _heads(self, kind: str) -> None:
            heads = {
                "Content-Type": f"{kind}; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Referrer-Policy": "no-referrer",
            }
            for name, value in heads.items():
                self.send_header(name, value)

        def _events(self) -> None:
            """The version as a server-sent event, at once and whenever it has changed, until the browser has gone."""
            self.send_response(HTTPStatus.OK)
            self._heads("text/event-stream")
            self.end_headers()
            sent: int | None = None
            while (version := watch.wait(sent)) is not None:
                self.wfile.write(b": here\n\n" if version == sent else f"data: {version}\n\n".encode())
                self.wfile.flush()
                sent = version

        def handle_one_request(self) -> None:
            """As ever, but that a browser may go at any time."""
            try:
                super().handle_one_request()
            except ConnectionError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
