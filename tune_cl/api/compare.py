"""Searches side by side."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from tune_cl.api.call import in_python
from tune_cl.api.named_search import named_search
from tune_cl.api.pages import write_page
from tune_cl.api.places import results_folder
from tune_cl.errors import TuneCLError
from tune_cl.options import CompareOptions
from tune_cl.reports import Comparison, Difference, SearchData, console_parts, page, read_remote, read_search
from tune_cl.reports import compare as compared
from tune_cl.wandb import WANDB_SCHEME


class ComparisonResult:
    """Searches side by side; printed, it is the report of `tune-cl compare`.

    Attributes:
        comparison: everything in it, as a typed record: `comparison.model_dump()`.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    @property
    def differences(self) -> Sequence[Difference]:
        """Whether each search is better than each other, and than its default: `sentence`, `mean`, `low`, `high`."""
        return self.comparison.differences

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write a page with plots, complete in one file; returns its path.

        Raises:
            TuneCLError: it cannot be written there.
        """
        with in_python(CompareOptions):
            return save_page(self.comparison, path, "path")

    def __str__(self) -> str:
        text = io.StringIO()
        console = Console(highlight=False, soft_wrap=True, width=120, force_jupyter=False, file=text)
        for part in console_parts(self.comparison):
            console.print(part)
        return text.getvalue()

    def __repr__(self) -> str:
        labels = ", ".join(entry.label for entry in self.comparison.searches)
        return f"<ComparisonResult {self.comparison.stream.name}: {labels}>"


def compare(*searches: str | os.PathLike[str], results: str | os.PathLike[str] = "results") -> ComparisonResult:
    """Compare searches on one stream by one objective; trains nothing.

    Args:
        searches: `SearchResult`s, folders of searches, names below `results`, or wandb://entity/project/group.
        results: folder of searches.

    Raises:
        TuneCLError: there is no such search, or their numbers do not mean the same.

    Example:
        >>> tune_cl.compare(result, "results/lwf-fashion-b4-t3-quick").save_html("comparison.html")
    """
    with in_python(CompareOptions):
        return ComparisonResult(compare_searches(CompareOptions(searches=searches, results=results)))


def compare_searches(options: CompareOptions) -> Comparison:
    """Read searches and compare them.

    Raises:
        TuneCLError: see `compare`.
    """
    results, seen = results_folder(options), set[Any]()
    sources = [source(search, results) for search in options.searches]
    for given, found in zip(options.searches, sources, strict=True):
        place = found if isinstance(found, str) else found.path.resolve()
        if place in seen:
            raise TuneCLError(f"{os.fspath(given)}: given twice; name each search once")
        seen.add(place)
    return compared([_read(found) for found in sources])


def source(search: Any, results: Path) -> Any:
    """Where a search is: its address in W&B as text, or its folder."""
    return search if isinstance(search, str) and search.startswith(WANDB_SCHEME) else named_search(search, results)


def _read(found: Any) -> SearchData:
    return read_remote(found) if isinstance(found, str) else read_search(found)


def save_page(comparison: Comparison, path: str | os.PathLike[str], what: str) -> Path:
    """Write the page of a comparison; returns where.

    Raises:
        TuneCLError: it cannot be written there; `what` is what names the path.
    """
    return write_page(page(comparison), path, what)
