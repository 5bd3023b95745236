"""Hooks of MkDocs for the site: pages of the repository outside docs/, a page per room, links that hold."""

import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
PAGES["tune_cl/streams/data/CREDITS.md"] = "credits.md"
PAGES |= {f"benchmarks/{file.name}": f"benchmarks/{file.name}" for file in (ROOT / "benchmarks").glob("*.md")}
_INTERNAL = ("tune_cl.api", "tune_cl.cli", "tune_cl.heldout")  # behind `tune_cl`, the commands, and an evaluation
# The room of that name hides the function from the reader of the sources.
_SEARCH = """
::: tune_cl.api.search.search
    options: {heading: search, toc_label: search, show_root_heading: true, heading_level: 2}
"""

_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<text>\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<link>[^)\s]+)\)|(?P<key>src=)\"(?P<source>[^\"]+)\"")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the rooms into the navigation."""
    (reference,) = (entry["Reference"] for entry in config.nav if "Reference" in entry)
    (python,) = (entry for entry in reference if "Python" in entry)
    python["Python"] = [{room: f"reference/{room}.md"} for room in rooms()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/: pages, what pages link to, and a page per room."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    for path in sorted({path for page in files.documentation_pages() for path in outside(page)}):
        files.append(File.generated(config, f"repository/{path}", abs_src_path=str(ROOT / path)))
    for room in rooms():
        files.append(
            File.generated(
                config, f"reference/{room}.md", content=f"# {room}\n\n::: {room}\n{_SEARCH * (room == 'tune_cl')}"
            )
        )
    colours = HtmlFormatter(style="tango").get_style_defs(".highlight")
    files.append(File.generated(config, "highlight.css", content=colours))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links within the repository into links within the site; a link to a folder becomes its text."""
    here = page.file.src_uri

    def turned(match: re.Match[str]) -> str:
        link = match["link"] or match["source"]
        uri, hash_, anchor = uri_of(link, here)
        if uri is None:
            return match[0]
        if files.get_file_from_path(uri) is None:
            return (match["text"] or "")[1:-1]
        to = f"{relpath(uri, dirname(here) or '.')}{hash_}{anchor}"
        return f'{match["key"]}"{to}"' if match["key"] else f"{match['text']}({to})"

    parts = _FENCE.split(markdown)
    return "".join(part if number % 2 else _LINK.sub(turned, part) for number, part in enumerate(parts))


def rooms() -> list[str]:
    """The package, and those of its rooms that people import from."""
    packages = (f"tune_cl.{file.parent.name}" for file in sorted((ROOT / "tune_cl").glob("*/__init__.py")))
    return ["tune_cl", *(room for room in packages if room not in _INTERNAL)]


def outside(page: File) -> Iterator[str]:
    """The files in the repository, neither pages nor in docs/, that a page links to."""
    for number, part in enumerate(_FENCE.split(page.content_string)):
        for match in () if number % 2 else _LINK.finditer(part):
            uri = uri_of(match["link"] or match["source"], page.src_uri)[0] or ""
            if uri.startswith("repository/") and (ROOT / uri.removeprefix("repository/")).is_file():
                yield uri.removeprefix("repository/")


def uri_of(link: str, here: str) -> tuple[str | None, str, str]:
    """Where a page's link leads in the site, with its anchor; None for another site and for the page itself."""
    path, hash_, anchor = link.partition("#")
    if not path or re.match(r"[a-z][a-z0-9+.-]*:|//", path):
        return None, hash_, anchor
    source = {uri: path for path, uri in PAGES.items()}.get(here, f"docs/{here}")
    target = normpath(f"{dirname(source)}/{path}" if dirname(source) else path)
    if target in PAGES:
        return PAGES[target], hash_, anchor
    within = target.removeprefix("docs/") if target.startswith("docs/") else f"repository/{target}"
    return (f"{within}/README.md" if (ROOT / target / "README.md").is_file() else within), hash_, anchor
