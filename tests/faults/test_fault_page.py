"""The page on faults shows the grid that is tested."""

import re
from pathlib import Path

from grid import AT_ONCE, CASES, IN_CHAIN, IN_SEARCH

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
WHERE = list(dict.fromkeys([*IN_CHAIN, *IN_SEARCH]))


def rows() -> list[str]:
    """The rows of the table, as the cases make them: one per fault, a cell per moment."""
    cases = {(case.through, case.what, case.where): str(case) in AT_ONCE for case in CASES}
    table = []
    for through, what in dict.fromkeys((case.through, case.what) for case in CASES):
        marks = {True: "**test**", False: "*all*", None: "–"}
        cells = [marks[cases.get((through, what, where))] for where in WHERE]
        table.append(f"| {through} | {what} | {' | '.join(cells)} |")
    return table


def test_the_table_is_the_grid() -> None:
    assert re.findall(r"^\| (?:chain|search) \|.*$", PAGE.read_text(), re.MULTILINE) == rows()
    assert f"nodes, {len(CASES)} times" in PAGE.read_text().replace("\n", " ")


def test_the_moments_on_the_page_are_those_of_the_grid() -> None:
    assert re.findall(r"^\| `(\w+)` \| (?:inside|half|between|after|in the)", PAGE.read_text(), re.MULTILINE) == WHERE


def test_the_grid_is_as_large_as_it_is_said_to_be() -> None:
    names = [str(case) for case in CASES]
    assert len(names) == len(set(names)) >= 30
    assert sum(case.through == "search" for case in CASES) >= 8
    assert len(set(AT_ONCE)) == len(AT_ONCE) >= 9 and set(AT_ONCE) <= set(names)
