"""What the pages say of files, links, options and parameters is so."""

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tune_cl.chain import StageRecord
from tune_cl.cli._parser import Parser, search_parser, stages_parser, train_parser
from tune_cl.records import IncrementRow, Record, RunConfig, SearchRecord, StageUse, Summary

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
RECORDS = {  # heading in the architecture's "On disk" -> the record whose example follows
    "search.json": SearchRecord,
    "config.yaml and best.yaml": RunConfig,
    "increments.jsonl": IncrementRow,
    "summary.json": Summary,
    "stage.json and state.pt": StageRecord,
}
PARSERS = {"search": search_parser, "train": train_parser, "stages": stages_parser}

_FENCE = re.compile(r"^ {0,3}```[^\n]*\n(.*?)^ {0,3}```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=[\"']([^\"']+)[\"']")
_ABROAD = re.compile(r"[a-z][a-z0-9+.-]*:|//")
_COMMAND = re.compile(r"(?:\$ )?(?:python launch/(?P<script>\w+)\.py|tune-cl (?P<verb>\w+))\b(?P<arguments>.*)")
_ELLIPSES = {"...", "…"}
_PLACE = re.compile(r"^\| `(?P<file>[\w./]+\.py)` \| (?P<names>[^|]*) \|", re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", page.read_text())


def links(text: str) -> list[str]:
    """The links of Markdown (or of HTML in it) that lead to files and headings of the repository."""
    return [link for match in _LINK.finditer(text) if not _ABROAD.match(link := match[1] or match[2])]


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ +(.+?) *#*$", prose(page), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in titles)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


def complaints(page: Path, text: str) -> Iterator[str]:
    """The links that lead nowhere."""
    for link in links(text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(ROOT):
            yield f"{page.name}: {link}: no such file in the repository"
        elif anchor and target.suffix == ".md" and anchor not in headings(target):
            yield f"{page.name}: {link}: no such heading"


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """(verb, arguments) of each command of ours in the blocks of code; comments and `...` are left out."""
    for block in _FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            match = _COMMAND.match(line.strip())
            if match:
                words = shlex.split(match["arguments"], comments=True)
                yield match["script"] or match["verb"], [word for word in words if word not in _ELLIPSES]


def parse(verb: str, arguments: list[str]) -> None:
    """Parse with the command's own parser; `--help` is fine, what the parser does not know raises."""
    parser: Parser = PARSERS[verb]()
    if "--help" not in arguments:
        parser.parse_args(arguments)


def test_parameters_page_is_what_the_generator_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_parameters", ROOT / "docs" / "_make_parameters.py")
    assert spec is not None and spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert (ROOT / "docs" / "parameters.md").read_text() == generator.page(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    assert list(complaints(page, prose(page))) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_finished(page: Path) -> None:
    assert "@@" not in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_scripts_and_options_that_exist(page: Path) -> None:
    for verb, arguments in commands(page.read_text()):
        assert verb in PARSERS, f"{page.name}: no command {verb}"
        assert (ROOT / "launch" / f"{verb}.py").exists()
        parse(verb, arguments)


def test_names_in_the_way_of_the_data_are_defined_in_the_files_beside_them() -> None:
    places = list(_PLACE.finditer((ROOT / "docs" / "architecture.md").read_text()))
    assert len(places) > 30
    for place in places:
        source = (ROOT / "tune_cl" / place["file"]).read_text()
        for dotted in re.findall(r"`([\w.]+)`", place["names"]):
            for name in dotted.split("."):
                assert re.search(rf"^\s*(?:def|class) {name}\b", source, re.MULTILINE), f"{place['file']}: no {name}"


@pytest.mark.parametrize(("heading", "record"), RECORDS.items(), ids=RECORDS)
def test_examples_of_files_have_the_keys_of_their_records(heading: str, record: type[Record]) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text().split(f"### {heading}\n")[1]
    example = yaml.safe_load(_FENCE.findall(text)[0])  # JSON is YAML
    assert set(example) == set(record.model_fields)
    record.model_validate_json(json.dumps(example))
    if record is IncrementRow:
        assert set(example["stages"][0]) == set(StageUse.model_fields)


def test_a_dead_link_and_a_dead_heading_are_found() -> None:
    text = "[a](no-such-page.md) [b](CONTRIBUTING.md#no-such-heading) ![c](docs/none.png) [d](https://example.org/x)"
    assert len(list(complaints(ROOT / "CHANGELOG.md", text))) == 3


def test_a_misspelt_option_in_a_page_is_found() -> None:
    text = "```bash\npython launch/search.py --space genifer.yaml \\\n    --trails 3  # a comment\n```\n"
    [(verb, arguments)] = commands(text)
    with pytest.raises(Exception, match="--trails; did you mean '--trials'"):
        parse(verb, arguments)
