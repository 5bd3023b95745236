"""Write `docs/parameters.md`, the table of every method's parameters: `make docs`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tune_cl.methods import Leaf, get_method, leaves, method_names
from tune_cl.search import SearchSpace, load_space, resolve

PAGE = Path(__file__).with_name("parameters.md")
_SPACES = Path(__file__).parents[1] / "search_spaces"
_MAIN, _OTHER = "small28", "cifar"  # the scale with columns of its own, and the one that is told in lines

_HEAD = """# Parameters

Written by `make docs` from the methods and the shipped spaces; do not edit it.

A **path** names a parameter in a space file, in `--set PATH=VALUE`, and in `config.yaml`. **Default** is the method's
own value. A shipped space replaces some of them per scale and budget: **small28 quick** and **small28 full** say with
what, and are empty where the default holds. **Searched** is the range that the shipped space searches at that scale;
where it is empty, the parameter is fixed. Trial 0 takes its values from the first two, also where a range is searched.

**Source** says where the default comes from:

| word | source |
|---|---|
| genifer | the settings of the authors' released code for CIFAR-100 (arXiv 2106.05350), or what follows from them |
| balanced-softmax | arXiv 2103.12532 and arXiv 2007.10740, or what follows from them |
| Li & Hoiem 2016 | Learning without Forgetting, arXiv 1606.09282 |
| own | a choice of this project, with its reason |
"""

_COLUMNS = ("path", "default", "bounds", "what it does", "source", "small28 quick", "small28 full", "searched")


def page() -> str:
    """The whole page as Markdown."""
    return _HEAD + "".join(f"\n{_section(name)}" for name in method_names())


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def _section(name: str) -> str:
    method = get_method(name)
    known = leaves(method.config)
    quick, full = (_space(name, _MAIN, budget) for budget in ("quick", "full"))
    lines = [f"## {name}", "", f"{method.summary[0].upper()}{method.summary[1:]}.", "", _row(_COLUMNS)]
    lines += [_row(["---"] * len(_COLUMNS)), *(_row(_cells(leaf, quick, full)) for leaf in known.values())]
    return "\n".join([*lines, "", *_other_scale(name, known)]) + "\n"


def _cells(leaf: Leaf, quick: SearchSpace, full: SearchSpace) -> list[str]:
    changed = [_code(s.default[leaf.path]) if s.default[leaf.path] != leaf.default else "" for s in (quick, full)]
    searched = str(quick.ranges[leaf.path]) if leaf.path in quick.ranges else ""
    source = leaf.source.replace(".md", "")  # the methods name their pages of notes by file
    return [_code(leaf.path), _code(leaf.default), leaf.bounds(), leaf.description, source, *changed, searched]


def _other_scale(name: str, known: Mapping[str, Leaf]) -> list[str]:
    """What the space says at the scale that has no columns."""
    spaces = {budget: _space(name, _OTHER, budget) for budget in ("quick", "full")}
    changes = {
        f"budget {budget}": [
            f"{_code(path)} {_code(value)}" for path, value in space.default.items() if value != known[path].default
        ]
        for budget, space in spaces.items()
    }
    changes["searched"] = [f"{_code(path)} {range_}" for path, range_ in spaces["quick"].ranges.items()]
    lines = [f"- {what}: {', '.join(entries) or 'the defaults'}" for what, entries in changes.items()]
    return [f"At scale {_OTHER}:", "", *lines]


def _space(name: str, scale: str, budget: str) -> SearchSpace:
    file = load_space(str(_SPACES / f"{name}.yaml"))
    return resolve(file, config=get_method(name).config, scale=scale, budget=budget, overrides={})


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(value: Any) -> str:
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    main()
