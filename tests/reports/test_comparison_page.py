"""The comparison page in headless Chromium: it draws, asks for nothing, and executes nothing of a search."""

import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import Opened, needs_chromium, opened
from made_searches import OBJECTIVE, evaluation, made
from playwright.sync_api import Browser

from tune_cl.records import StreamRecord
from tune_cl.reports import Comparison, compare, page
from tune_cl.reports._figures import plots

PLACES = [(order, seed) for order in (1001, 1002, 1003) for seed in (1001, 1002)]
PLOTS = {"differences", "test", "test-increments", "increments", "classes", "paid-images", "paid-seconds", "expected"}
ATTACK = "</script><script>window.attacked = 1</script><img src=x onerror='window.attacked = 2'>"


def evaluated(tmp_path: Path) -> Comparison:
    """Three methods, two of them evaluated."""
    scores = {place: 0.6 + 0.01 * i for i, place in enumerate(PLACES)}
    higher = {place: value + 0.1 + 0.001 * i for i, (place, value) in enumerate(scores.items())}
    searches = [
        made(
            tmp_path / "genifer-fashion-b4-t3-quick",
            {0: 0.6, 1: 0.8, 3: 0.75},
            stopped={2: 0.8},
            method="genifer",
            evaluation=evaluation(higher, scores),
        ),
        made(
            tmp_path / "lwf-fashion-b4-t3-quick",
            {0: 0.55, 1: 0.6, 2: 0.58, 3: 0.5},
            evaluation=evaluation(scores, dict.fromkeys(PLACES, 0.6)),
        ),
        made(tmp_path / "finetune-fashion-b4-t3-quick", {0: 0.4}, method="finetune"),
    ]
    return compare(searches)


@needs_chromium
def test_page_draws_every_plot_without_a_complaint_or_a_request(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "comparison.html"
    path.write_text(page(evaluated(tmp_path)))
    with opened(chromium, path.as_uri()) as shown:
        drawn = shown.drawn()
        assert {f"plot-{name}" for name in PLOTS} == set(drawn)
        assert all(count >= 3 for count in drawn.values()), drawn
        for words in ("genifer against lwf", "a difference", "not known", "Best configurations"):
            assert shown.page.get_by_text(words).count()
        assert shown.overflow() <= 0
    assert shown.complaints == []
    assert shown.requests == [path.as_uri()]


@needs_chromium
def test_page_and_plots_are_dark_on_a_dark_screen_and_follow_it(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "comparison.html"
    path.write_text(page(evaluated(tmp_path)))
    with opened(chromium, path.as_uri(), color_scheme="dark") as shown:
        assert _inks(shown) == ["light on dark", "light on dark"]
        shown.page.emulate_media(color_scheme="light")
        deadline = time.monotonic() + 20
        while _inks(shown) != ["dark on light", "dark on light"]:
            assert time.monotonic() < deadline, _inks(shown)
            time.sleep(0.1)
    assert shown.complaints == []


@needs_chromium
@pytest.mark.parametrize("number", [1, 10])
def test_page_holds_from_one_search_to_ten_on_a_narrow_screen(chromium: Browser, tmp_path: Path, number: int) -> None:
    searches = [
        made(tmp_path / f"a-search-with-a-long-name-{i:02d}", {0: 0.5, 1: 0.6 + 0.01 * i}) for i in range(number)
    ]
    path = tmp_path / "comparison.html"
    path.write_text(page(compare(searches)))
    with opened(chromium, path.as_uri(), viewport={"width": 400, "height": 800}) as shown:
        assert all(shown.drawn().values())
        assert shown.overflow() <= 0
    assert shown.complaints == []


@needs_chromium
def test_nothing_that_a_search_says_is_executed(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "comparison.html"
    path.write_text(page(_hostile(tmp_path)))
    with opened(chromium, path.as_uri()) as shown:
        assert shown.page.evaluate("window.attacked") is None
        assert shown.page.locator("main img, header img").count() == 0
        assert shown.page.get_by_role("heading", name=ATTACK).count()  # shown as it is written
        legend = shown.page.locator("#plot-increments .legend li").first.text_content()
        assert legend == ATTACK
    assert shown.complaints == []
    assert shown.requests == [path.as_uri()]


def test_nothing_that_a_search_says_becomes_an_element(tmp_path: Path) -> None:
    text = page(_hostile(tmp_path))
    tags = _Tags()
    tags.feed(text)
    assert tags.found.count("script") == 3 and "img" not in tags.found
    assert "window.attacked = 1</script>" not in text


def test_page_names_no_address_to_fetch_from_and_forbids_to_fetch(tmp_path: Path) -> None:
    text = page(evaluated(tmp_path))
    tags = _Tags()
    tags.feed(text)
    assert [target for target in tags.targets if not target.startswith(("data:", "#"))] == []
    assert "default-src 'none'" in text and "script-src 'sha256-" in text


def test_page_is_the_same_every_time(tmp_path: Path) -> None:
    comparison = evaluated(tmp_path)
    assert page(comparison) == page(comparison)


def test_plots_without_data_are_left_out(tmp_path: Path) -> None:
    running = compare([made(tmp_path / "a", {}, failed=[0])])
    assert list(plots(running)) == []
    assert "no trial has finished" in page(running)
    searched = compare([made(tmp_path / "b", {0: 0.5, 1: 0.6})])
    assert {plot.name for plot in plots(searched)} == PLOTS - {"differences", "test", "test-increments"}


def test_best_so_far_is_drawn_over_what_was_paid(tmp_path: Path) -> None:
    drawn = {plot.name: plot for plot in plots(evaluated(tmp_path))}
    xs, ys = zip(*drawn["paid-images"].series[0].points, strict=True)
    assert xs == (4000, 7000, 8000, 11000) and ys == pytest.approx((0.6, 0.8, 0.8, 0.8))
    assert drawn["paid-images"].y == OBJECTIVE.removeprefix("val/").replace("_", " ")


def test_page_is_small_and_has_a_heat_map_for_each_search(tmp_path: Path) -> None:
    text = page(evaluated(tmp_path))
    assert len(text) < 150_000
    assert text.count('class="sheet heat"') == 3 and text.count("data-share=") == 3 * (1 + 2 + 3 + 4)


def _hostile(tmp_path: Path) -> Comparison:
    changes = {"method": ATTACK, "name": ATTACK, "budget": ATTACK, "protocol": ATTACK, "objective": OBJECTIVE}
    stream = StreamRecord(name=ATTACK)
    search = made(tmp_path / "s", {0: 0.5, 1: 0.7}, stream=stream, **changes)
    bad = {"increment.classifier.<script>window.attacked = 3</script>": ATTACK}
    trials = [trial.model_copy(update={"parameters": trial.parameters | bad}) for trial in search.trials]
    return compare([search.model_copy(update={"trials": trials, "searched": list(bad), "source": ATTACK})])


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


def _inks(shown: Opened) -> list[str]:
    """How text stands out from the paper, on the page and in a plot."""
    body = "getComputedStyle(document.body)"
    tick = "getComputedStyle(document.querySelector('#plot-increments text.label')).fill"
    paper, *inks = (_brightness(shown.page.evaluate(of)) for of in (f"{body}.backgroundColor", f"{body}.color", tick))
    return ["light on dark" if ink > paper else "dark on light" for ink in inks]


def _brightness(colour: str) -> float:
    return sum(map(float, colour.removeprefix("rgb(").removesuffix(")").split(",")))
