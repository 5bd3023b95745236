"""A page opened in headless Chromium, and everything that it did."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"

# A machine of a contributor may lack it; CI must not.
needs_chromium = pytest.mark.skipif(
    not Path(CHROMIUM).exists() and not os.environ.get("CI"), reason="chromium is not installed"
)


@dataclass
class Opened:
    """A page that has drawn its plots."""

    page: Page
    complaints: list[str] = field(default_factory=list)  # of the console, and errors that nobody caught
    requests: list[str] = field(default_factory=list)

    def drawn(self) -> dict[str, int]:
        """Plot -> how many of its marks, lines and bars there are to be seen."""
        script = """[...document.querySelectorAll("figure[id^=plot-]")].map(figure =>
            [figure.id, figure.querySelectorAll(".plot svg :is(.line, .mark, .band, .bar-of)").length])"""
        return dict(self.page.evaluate(script))

    def brightness(self, of: str) -> float:
        """The sum of red, green and blue of one of the body's colours."""
        colour: str = self.page.evaluate(f"getComputedStyle(document.body).{of}")
        return sum(map(float, colour.removeprefix("rgb(").removesuffix(")").split(",")))

    def overflow(self) -> float:
        """By how many pixels the page is wider than its window."""
        root = "document.documentElement"
        width: float = self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
        return width


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the tests of a file: to start one takes longer than most of them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, **context: Any) -> Iterator[Opened]:
    """Open a page in a profile of its own, wait until its plots are drawn, and watch it all the time."""
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}} | context)
    watched = Opened(page)
    page.on("console", lambda message: watched.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: watched.complaints.append(f"error: {error}"))
    page.on("request", lambda request: watched.requests.append(request.url))
    page.goto(address, timeout=60_000)
    page.wait_for_selector("html[data-drawn=yes]", timeout=60_000)
    yield watched
    page.close()
