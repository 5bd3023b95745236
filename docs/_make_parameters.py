"""Write `docs/parameters.md`, the table of every method's parameters: `make docs`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tune_cl.methods import Leaf, get_method, leaves, method_names
from tune_cl.study import SearchSpace, load_space, resolve

PAGE = Path(__file__).with_name("parameters.md")
_SPACES = Path(__file__).parents[1] / "search_spaces"
_MAIN = "small28"  # the scale with columns of its own
_OTHERS = ("small32", "cifar", "cub", "imagenet")  # those told in lines

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
| LUCIR | the released code of Hou et al. 2019, Learning a Unified Classifier Incrementally via Rebalancing |
| LUCIR's iCaRL | iCaRL as that code trains it, for comparison |
| PODNet | the released code of Douillard et al. 2020, arXiv 2004.13513 |
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
    for scale in _OTHERS:
        lines += ["", *_other_scale(name, scale, known)]
    return "\n".join(lines) + "\n"


def _cells(leaf: Leaf, quick: SearchSpace, full: SearchSpace) -> list[str]:
    changed = [_code(s.default[leaf.path]) if s.default[leaf.path] != leaf.default else "" for s in (quick, full)]
    searched = str(quick.ranges[leaf.path]) if leaf.path in quick.ranges else ""
    source = leaf.source.replace(".md", "")  # the methods name their pages of notes by file
    return [_code(leaf.path), _code(leaf.default), leaf.bounds(), leaf.description, source, *changed, searched]


def _other_scale(name: str, scale: str, known: Mapping[str, Leaf]) -> list[str]:
    """What the space says at a scale that has no columns."""
    quick, full = (_space(name, scale, budget) for budget in ("quick", "full"))
    by_budget = [path for path in known if quick.default[path] != full.default[path]]
    changed = [p for p, leaf in known.items() if p not in by_budget and full.default[p] != leaf.default]
    entries = {
        "in place of the defaults": [f"{_code(path)} {_code(full.default[path])}" for path in changed],
        "budget quick": [f"{_code(path)} {_code(quick.default[path])}" for path in by_budget],
        "budget full": [f"{_code(path)} {_code(full.default[path])}" for path in by_budget],
        "searched": [f"{_code(path)} {range_}" for path, range_ in quick.ranges.items()],
    }
    lines = [f"- {what}: {', '.join(values)}" for what, values in entries.items() if values]
    return [f"At scale {scale}:", "", *lines]


def _space(name: str, scale: str, budget: str) -> SearchSpace:
    file = load_space(str(_SPACES / f"{name}.yaml"))
    return resolve(file, config=get_method(name).config, scale=scale, budget=budget, overrides={})


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(value: Any) -> str:
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    main()
