"""The page of a search in headless Chromium: it draws, sorts, filters, opens, exports, and asks nobody for anything."""

import csv
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Opened, needs_chromium, opened
from made_searches import OBJECTIVE, RATE, WEIGHT, evaluation, write_search
from playwright.sync_api import Browser

import tune_cl
from tune_cl.cli.main import main
from tune_cl.engine import write_grid
from tune_cl.records import (
    ClassesRecord,
    Finalist,
    Finalists,
    SearchFolder,
    Statistic,
    StreamRecord,
    Summary,
    read_record,
    write_json,
)
from tune_cl.reports import overview, search_page, search_view

ATTACK = "</script><script>window.attacked = 1</script><img src=x onerror='window.attacked = 2'>"
SECTIONS = {"result", "stream", "matrix", "replay", "course", "parameters", "trials", "time", "origin"}
FINALS = {0: 0.60, 1: 0.80, 3: 0.75, 5: 0.55, 6: 0.70, 7: 0.66, 8: 0.64}


def whole_search(path: Path, **changes: Any) -> SearchFolder:
    """A search with everything that a page shows: trials that finished, were stopped, failed, and replay images."""
    folder = write_search(path, FINALS, stopped={2: 0.8}, failed=[4], **changes)
    log = "2026-11-30 10:00:00 started\n2026-11-30 10:01:00 stopped: by the rule halving\n"
    folder.trial(2).log.write_text(log)
    folder.trial(4).error.write_text("Traceback (most recent call last):\nValueError: the loss is NaN\n")
    names = [f"class {i}" for i in range(10)]
    write_json(folder.classes, ClassesRecord(names=names, increments=[4, 2, 2, 2], pictured=list(range(10))))
    images = np.random.default_rng(0).integers(0, 256, (10, 8, 1, 28, 28), dtype=np.uint8)
    write_grid(folder.real_images, images)
    for trial in (0, 1):
        for increment, classes in enumerate((4, 6, 8)):
            write_grid(folder.trial(trial).replay_grid(increment), images[:classes])
    return folder


@contextmanager
def shown(browser: Browser, folder: SearchFolder, **context: Any) -> Iterator[Opened]:
    path = folder.path / "report.html"
    path.write_text(search_page(search_view(folder)))
    with opened(browser, path.as_uri(), **context) as page:
        yield page
    assert page.complaints == []
    assert [request for request in page.requests if not request.startswith("data:")] == [path.as_uri()]


def numbers(page: Opened) -> list[str]:
    """The trials of the table, from top to bottom."""
    return page.page.locator("#trials tbody th button").all_text_contents()


@needs_chromium
def test_page_shows_every_part_at_each_size_and_in_each_scheme(chromium: Browser, tmp_path: Path) -> None:
    with shown(chromium, whole_search(tmp_path / "s")) as page:
        sections = page.page.locator("main > section:not([hidden])").evaluate_all("all => all.map(e => e.id)")
        assert set(sections) == SECTIONS
        pictures = page.page.locator("#replay img").evaluate_all("all => all.map(e => e.naturalWidth)")
        assert len(pictures) == 2 * 2 * (4 + 6 + 8) and min(pictures) == 238
        for width, scheme in itertools.product((1280, 390), ("light", "dark")):
            page.page.set_viewport_size({"width": width, "height": 900})
            page.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.page.wait_for_timeout(200)  # plots are drawn again in the width there is
            plots = page.page.locator(".plot svg").evaluate_all(
                "all => all.map(e => [e.getAttribute('aria-label'), e.querySelectorAll('.line, .mark').length,"
                " e.getBoundingClientRect().width])"
            )
            assert len(plots) >= 7 and all(label and marks >= 3 for label, marks, _ in plots), plots
            assert page.overflow() <= 0 and min(size for _, _, size in plots) < width
            assert (page.brightness("color") > page.brightness("backgroundColor")) == (scheme == "dark")


@needs_chromium
def test_each_class_is_shown_with_its_accuracy_the_worst_first(chromium: Browser, tmp_path: Path) -> None:
    folder = whole_search(tmp_path / "s")
    with shown(chromium, folder) as page:
        rows = page.page.get_by_role("region", name="Accuracy on each class").locator("tbody tr")
        told = [row.split("\t") for row in rows.evaluate_all("all => all.map(e => e.innerText)")]
        assert [row[0] for row in told] == [f"class {c}" for c in range(9, -1, -1)]
        winner, default = (folder.trial(n).rows()[-1].class_accuracy for n in (1, 0))
        assert told[0] == ["class 9", "increment 3", f"{winner[9]:.4f}", f"{default[9]:.4f}", "+0.2000"]
        assert told[-1][1] == "base task"
        filled = rows.nth(0).locator(".share").first.evaluate("e => getComputedStyle(e).getPropertyValue('--share')")
        assert float(filled.removesuffix("%")) == pytest.approx(100 * winner[9])


@needs_chromium
def test_trials_sort_filter_open_and_are_exported(chromium: Browser, tmp_path: Path) -> None:
    with shown(chromium, whole_search(tmp_path / "s")) as page:
        assert numbers(page) == [f"{n:04d}" for n in range(9)]
        page.page.get_by_role("button", name="gain").click()
        ranked = sorted(FINALS, key=lambda n: -FINALS[n])
        assert numbers(page) == [f"{n:04d}" for n in (*ranked, 2, 4)]  # those without a value come last
        page.page.get_by_role("button", name="gain").click()
        assert numbers(page) == [f"{n:04d}" for n in (*reversed(ranked), 2, 4)]
        assert page.page.locator("th[aria-sort=ascending]").count() == 1
        page.page.get_by_label("Filter trials").fill("stopped")
        assert numbers(page) == ["0002"]
        page.page.get_by_label("Filter trials").fill("")
        page.page.get_by_label("State").select_option("failed")
        assert numbers(page) == ["0004"]
        page.page.get_by_role("button", name="0004").click()
        assert "ValueError: the loss is NaN" in page.page.locator("#trial-4").inner_text()
        assert page.page.locator("#trial-4 table").count() == 2
        with page.page.expect_download() as download:
            page.page.get_by_role("button", name="CSV", exact=True).click()
        rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
        assert [row["trial"] for row in rows] == [f"{n:04d}" for n in range(9)]
        assert float(rows[3]["value"]) == pytest.approx(0.75) and float(rows[3][RATE]) == pytest.approx(4e-3)
        with page.page.expect_download() as download:
            page.page.get_by_role("button", name="LaTeX").click()
        text = Path(download.value.path()).read_text()
        assert "0001 & 0.8000 & +0.2000 & 0.002 \\\\" in text and "learning\\_rate" in text
        assert text.index("0001 &") < text.index("0003 &") < text.index("0000 &")


@needs_chromium
def test_keyboard_reaches_what_can_be_used(chromium: Browser, tmp_path: Path) -> None:
    with shown(chromium, whole_search(tmp_path / "s")) as page:
        seen = set()
        for _ in range(80):
            page.page.keyboard.press("Tab")
            seen.add(
                page.page.evaluate("document.activeElement.getAttribute('data-key') || document.activeElement.tagName")
            )
        assert {"sort value", "trial-0", "trial-8", "INPUT", "SELECT", "A", "DIV"} <= seen
        page.page.locator("[data-key=trial-1]").focus()
        page.page.keyboard.press("Enter")
        assert page.page.locator("#trial-1").is_visible()
        assert page.page.evaluate("document.activeElement.dataset.key") == "trial-1"


@needs_chromium
def test_best_so_far_is_drawn_over_trials_images_and_time(chromium: Browser, tmp_path: Path) -> None:
    with shown(chromium, whole_search(tmp_path / "s")) as page:
        axes = {"images": "images trained", "time": "training time in minutes", "trials": "trials that have ended"}
        for name, axis in axes.items():
            page.page.locator("#course").get_by_role("button", name=name, exact=True).click()
            page.page.locator("#course .label", has_text=axis).first.wait_for(timeout=5000)
            labels = page.page.locator("#course .label").all_text_contents()
            assert [other in labels for other in axes.values()] == [other == axis for other in axes.values()]


@needs_chromium
def test_nothing_that_a_search_says_is_executed(chromium: Browser, tmp_path: Path) -> None:
    changes = {
        "method": ATTACK,
        "name": ATTACK,
        "budget": ATTACK,
        "protocol": ATTACK,
        "stream": StreamRecord(name=ATTACK),
    }
    folder = whole_search(tmp_path / "s", **changes)
    text = search_page(search_view(folder))
    tags = _Tags()
    tags.feed(text)
    assert tags.found.count("script") == 3 and "img" not in tags.found
    assert "default-src 'none'" in text and "connect-src" not in text
    with shown(chromium, folder) as page:
        assert page.page.evaluate("window.attacked") is None
        assert ATTACK in page.page.locator("h1").inner_text()


@needs_chromium
def test_the_winner_of_a_race_over_seeds_is_the_pages_winner(chromium: Browser, tmp_path: Path) -> None:
    folder = write_search(tmp_path / "s", {0: 0.60, 1: 0.80, 2: 0.79})
    table = [
        Finalist(trial=2, values=[0.79, 0.77], mean=0.78),
        Finalist(trial=0, values=[0.60, 0.64], mean=0.62),
        Finalist(trial=1, values=[0.80, None], mean=None),
    ]
    race = Finalists(
        seeds=[0, 1],
        fresh_seeds=[2, 3],
        table=table,
        winner=2,
        gain=Statistic(mean=0.12, std=0.01, low=0.09, high=0.15, values=[0.11, 0.13]),
        runs=7,
        missing=0,
        failed={"0001-seed1": "the loss became <NaN>"},
        images_trained=12_000,
        seconds=70.0,
    )
    summary = read_record(folder.summary, Summary)
    write_json(folder.summary, summary.model_copy(update={"finalists": race}))
    view = search_view(folder)
    assert (view.best, view.gain, view.gain_error) == (2, 0.12, None)
    assert view.judgement is not None and view.judgement.kind == "real" and view.judgement.command is not None
    in_wandb = overview(folder, "search").summary
    assert (in_wandb["best/trial"], in_wandb["gain/low"], in_wandb["gain_within_noise"]) == (2, 0.09, False)
    assert "more than noise" in in_wandb["verdict"]
    with shown(chromium, folder) as page:
        text = page.page.locator("#result").inner_text()
        for words in ("+0.1200", "95 % interval +0.0900 to +0.1500, 2 fresh train seeds", "0002, the winner", "0.7800"):
            assert words in text, words
        assert "7 runs, 12.0 k images" in text and "0001-seed1 failed: the loss became <NaN>" in text
    write_json(
        folder.summary, summary.model_copy(update={"finalists": race, "trials": {**summary.trials, "finished": 2}})
    )
    assert search_view(folder).best == 1, "a trial has finished since the race"


def test_judgement_names_the_noise_and_an_evaluation_decides(tmp_path: Path) -> None:
    found = search_view(whole_search(tmp_path / "s"))
    assert found.judgement is not None and found.judgement.kind == "unknown"
    assert "more than these images explain" in found.judgement.sentence
    assert found.judgement.command is not None and "--with-default" in found.judgement.command
    near = search_view(write_search(tmp_path / "near", {0: 0.6, 1: 0.605})).judgement
    assert near is not None and near.kind == "within noise"
    places = [(order, 1) for order in (1001, 1002, 1003)]
    higher = {place: 0.7 + 0.001 * i for i, place in enumerate(places)}
    tested = evaluation(higher, dict.fromkeys(places, 0.6))
    decided = search_view(whole_search(tmp_path / "tested", evaluation=tested)).judgement
    assert decided is not None and decided.kind == "real" and "a gain" in decided.sentence and decided.command is None


def test_view_says_who_stopped_a_trial_and_what_each_stage_took(tmp_path: Path) -> None:
    view = search_view(whole_search(tmp_path / "s"))
    assert view.trials[2].reason == "by the rule halving" and view.trials[2].ended == "2026-11-30 10:01:00"
    assert view.trials[4].reason == "diverged" and "NaN" in view.trials[4].error
    base = view.time[0]
    assert (base.increment, base.trained, base.reused, base.seconds, base.saved) == (0, 1, 8, 10.0, 80.0)
    assert [group.names[0] for group in view.classes] == ["class 0", "class 4", "class 6", "class 8"]


def test_importance_needs_trials_and_finds_the_parameter_that_decides(tmp_path: Path) -> None:
    assert search_view(write_search(tmp_path / "few", {0: 0.5, 1: 0.6})).importance == []
    ranges = {RATE: {"log": [1e-4, 1e-1]}, WEIGHT: {"uniform": [0.5, 2.0]}}
    folder = write_search(tmp_path / "s", {n: 0.5 + 0.02 * n for n in range(12)}, ranges=ranges)  # the rate grows, too
    shares = {row.path: row.by_increment for row in search_view(folder).importance}
    assert set(shares) == set(ranges)
    assert all(share > 0.9 for share in shares[RATE] if share is not None)


def test_page_of_a_search_without_a_finished_trial_says_so(tmp_path: Path) -> None:
    view = search_view(write_search(tmp_path / "s", {}, failed=[0]))
    assert view.best is None and view.judgement is None and view.frozen_curve == []
    assert len(search_page(view)) < 100_000


def test_page_is_small_and_the_same_every_time(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "s", {n: 0.5 + 0.001 * n for n in range(100)})
    text = search_page(search_view(folder))
    assert text == search_page(search_view(folder))
    assert len(text) < 1_000_000
    assert OBJECTIVE in text


def test_command_and_function_write_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = whole_search(tmp_path / "s")
    page = tmp_path / "new" / "page.html"
    assert main(["report", "s", "--results", str(tmp_path), "--html", str(page)]) == 0
    assert capsys.readouterr().out == f"Page: {page}\n"
    assert tune_cl.open_result(folder.path).save_html() == folder.page
    assert folder.page.read_text() == page.read_text()
    assert main(["report", "t", "--results", str(tmp_path)]) == 2
    assert "no search of that name" in capsys.readouterr().err
    assert main(["report", "s", "--results", str(tmp_path), "--html", str(tmp_path)]) == 2


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
