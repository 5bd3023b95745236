"""`tune-cl watch`: a search's page on the loopback address, live, and for nobody else."""

import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from browser import Opened, needs_chromium, opened
from made_searches import config, record, row, write_trial
from playwright.sync_api import Browser, Locator, expect

from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder, append_line, write_json, write_yaml
from tune_cl.reports import Watch

SOON = 2.0  # seconds within which an increment is to be seen


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """A search in its first trial."""
    folder = SearchFolder(tmp_path / "s")
    write_json(folder.search, record(name="s"))
    write_trial(folder, 0, [0.9, 0.8])
    return folder


@pytest.fixture
def watch(folder: SearchFolder) -> Iterator[Watch]:
    with Watch(folder) as watch:
        yield watch


def ask(watch: Watch, path: str = "/", host: str | None = None, method: str = "GET") -> tuple[int, str]:
    """Status and content of an answer."""
    connection = HTTPConnection("127.0.0.1", watch.port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{watch.port}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_other_hosts_and_other_methods_are_refused(watch: Watch) -> None:
    assert ask(watch)[0] == 200 and ask(watch, host=f"localhost:{watch.port}")[0] == 200
    for host in ("evil.example", f"evil.example:{watch.port}", "127.0.0.1", f"127.0.0.1.evil.example:{watch.port}"):
        for path in ("/", "/data.json", "/events"):
            status, content = ask(watch, path, host)
            assert status == 403 and "lwf" not in content
    assert ask(watch, "/../search.json")[0] == 404
    assert ask(watch, method="POST")[0] == 501


def test_only_the_loopback_address_is_bound(watch: Watch) -> None:
    with socket.socket() as free:  # the same port is free on another address of this machine
        free.bind(("127.0.0.2", watch.port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", watch.port), timeout=2)


def test_an_increment_is_told_soon_and_the_data_have_it(watch: Watch, folder: SearchFolder) -> None:
    before = json.loads(ask(watch, "/data.json")[1])
    append_line(folder.trial(0).increments, row(0, 2, 0.75))
    deadline = time.monotonic() + SOON
    while (now := watch.wait(before["version"])) == before["version"]:
        assert time.monotonic() < deadline
    assert time.monotonic() < deadline
    after = json.loads(ask(watch, "/data.json")[1])
    assert after["version"] == now
    assert [len(found["view"]["trials"][0]["steps"]) for found in (before, after)] == [2, 3]


def test_a_search_without_a_trial_is_waited_for(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path / "s")
    write_json(folder.search, record(name="s"))
    with Watch(folder) as watch:
        assert "no trial yet" in ask(watch)[1]
        write_yaml(folder.trial(0).config, config(1e-3))
        deadline = time.monotonic() + SOON
        while "no trial yet" in ask(watch)[1]:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_port_that_is_taken_is_one_sentence(watch: Watch, folder: SearchFolder) -> None:
    with pytest.raises(TuneCLError, match=f"--port {watch.port}: cannot be used"):
        Watch(folder, watch.port)


@needs_chromium
def test_two_browsers_follow_and_a_reload_loses_nothing(chromium: Browser, watch: Watch, folder: SearchFolder) -> None:
    def steps(shown: Opened) -> Locator:
        return shown.page.locator("#trials tbody td").nth(1)

    with opened(chromium, watch.address) as one, opened(chromium, watch.address) as two:
        for shown in (one, two):
            expect(shown.page.locator("h1 .status")).to_have_text("live")
            expect(steps(shown)).to_have_text("2")
        one.page.get_by_label("Filter trials").fill("000")
        append_line(folder.trial(0).increments, row(0, 2, 0.75))
        for shown in (one, two):
            expect(steps(shown)).to_have_text("3", timeout=10_000)
        assert one.page.get_by_label("Filter trials").input_value() == "000"  # what a person typed is still there
        one.page.reload()
        expect(steps(one)).to_have_text("3")
    assert one.complaints == two.complaints == []
    assert all(request.startswith((watch.address, "data:")) for request in (*one.requests, *two.requests))
