"""The page of one search: a skeleton that `assets/search.js` fills from the search's record."""

from html import escape
from typing import Any

from tune_cl.reports._page_parts import asset, document
from tune_cl.reports._search_view import SearchView

_DIGITS = 6  # significant digits of a number on the page
_SECTIONS = {
    "result": "Result",
    "stream": "Along the stream",
    "matrix": "Accuracy matrix",
    "replay": "Replayed images",
    "course": "Course of the search",
    "parameters": "Parameters",
    "trials": "Every trial",
    "time": "Where the time went",
    "origin": "What was run",
}


def search_page(view: SearchView, version: int | None = None) -> str:
    """The page as one self-contained HTML file.

    Args:
        view: what it shows.
        version: of the view, where the page is to follow `/events` of the server that it came from; else None.
    """
    title = f"{view.record.name}: {view.record.method} on {view.record.stream.name}"
    links = "".join(f'<a href="#{name}">{escape(words)}</a>' for name, words in _SECTIONS.items())
    body = [
        '<a class="skip" href="#result">Skip to the result</a>',
        '<header id="head"></header>',
        f'<nav aria-label="Sections">{links}</nav>',
        "<main>",
        *(
            f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(words)}</h2>'
            f'<div class="body"></div></section>'
            for name, words in _SECTIONS.items()
        ),
        "</main>",
        "<footer><p class='soft'>Written by <code>tune-cl report</code>. All values are of validation data unless they "
        "say test.</p></footer>",
        "<noscript><p>This page draws itself with the script that it holds; allow it to run.</p></noscript>",
        '<div id="tip" role="status" hidden></div>',
    ]
    live = version is not None
    data = {"live": live, "version": version, "view": page_data(view)}
    return document(title, body, ("data", data), [asset("charts.js"), asset("search.js")], live=live)


def page_data(view: SearchView) -> Any:
    """The record as JSON values, with numbers as exact as a page shows them."""
    return _rounded(view.model_dump(mode="json"))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value
