"""Fill in the table of parameters of each page in `docs/methods/`: `make docs`."""

import re
from pathlib import Path

from _make_parameters import _code, _row

from tune_cl.methods import Leaf, get_method, leaves, method_names

PAGES = Path(__file__).parent / "methods"
_BEGIN, _END = "<!-- parameters: begin -->", "<!-- parameters: end -->"
_BLOCK = re.compile(f"{_BEGIN}.*?{_END}", re.DOTALL)


def page(name: str) -> str:
    """A method's page with its table made anew.

    Raises:
        ValueError: the page has no block for the table, or more than one.
    """
    path = PAGES / f"{name}.md"
    text, found = _BLOCK.subn(lambda _: f"{_BEGIN}\n{_table(name)}\n{_END}", path.read_text(encoding="utf-8"))
    if found != 1:
        raise ValueError(f"{path}: has {found} blocks {_BEGIN} … {_END} where one is needed")
    return text


def main() -> None:
    """Write the pages."""
    for name in method_names():
        (PAGES / f"{name}.md").write_text(page(name), encoding="utf-8")


def _table(name: str) -> str:
    rows = [_row(("path", "default", "what it does", "source")), _row(["---"] * 4)]
    rows += [_row(_cells(leaf)) for leaf in leaves(get_method(name).config).values()]
    return "\n".join(rows)


def _cells(leaf: Leaf) -> list[str]:
    return [_code(leaf.path), _code(leaf.default), leaf.description, leaf.source.replace(".md", "")]


if __name__ == "__main__":
    main()
