"""A page opened in headless Chromium, and everything that it did."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

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
        shapes = ".scatterlayer .js-line, .scatterlayer .point, .scatterlayer .js-fill, .barlayer .point path"
        script = f"""[...document.querySelectorAll(".plot")].map(plot =>
            [plot.id, plot.querySelector(".main-svg") ? plot.querySelectorAll("{shapes}").length : 0])"""
        return dict(self.page.evaluate(script))

    def overflow(self) -> float:
        """By how many pixels the page is wider than its window."""
        root = "document.documentElement"
        width: float = self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
        return width


@contextmanager
def opened(path: Path, **context: Any) -> Iterator[Opened]:
    """Open a file, wait until its plots are drawn, and watch it all the time."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}} | context)
            watched = Opened(page)
            page.on("console", lambda message: watched.complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: watched.complaints.append(f"error: {error}"))
            page.on("request", lambda request: watched.requests.append(request.url))
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-drawn=yes]", timeout=60_000)
            yield watched
        finally:
            browser.close()
