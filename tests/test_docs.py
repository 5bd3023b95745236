"""What the pages say of files, links, options and parameters is so."""

import importlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import tune_cl.methods as methods_room
from tune_cl import configure
from tune_cl.chain import Chain
from tune_cl.cli._parser import PARSERS, jobs_parser, verbs
from tune_cl.methods import get_method, leaves, method_names
from tune_cl.plugins import load_plugins
from tune_cl.records import IncrementRow, Record, RunConfig, SearchRecord, StageUse, StreamRecord, Summary
from tune_cl.store import StageRecord, StageStore
from tune_cl.streams import DATASETS, open_stream

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
METHODS = ROOT / "docs" / "methods"
RECORDS = {  # heading in file-formats.md -> the record whose example follows
    "search.json": SearchRecord,
    "config.yaml and best.yaml": RunConfig,
    "increments.jsonl": IncrementRow,
    "summary.json": Summary,
    "stage.json and state.pt": StageRecord,
}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

_FENCE = re.compile(r"^ {0,3}```[^\n]*\n(.*?)^ {0,3}```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=[\"']([^\"']+)[\"']")
_ABROAD = re.compile(r"[a-z][a-z0-9+.-]*:|//")
_COMMAND = re.compile(r"(?:\$ )?(?:python launch/(?P<script>\w+)\.py|tune-cl (?P<verb>\w+))\b(?P<arguments>.*)")
_ELLIPSES = {"...", "…"}
_ROW = re.compile(r"^\|(.*)\|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
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
            yield f"{page.relative_to(ROOT)}: {link}: no such file in the repository"
        elif anchor and target.suffix == ".md" and anchor not in headings(target):
            yield f"{page.relative_to(ROOT)}: {link}: no such heading"


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """(verb, arguments) of each command of ours in the blocks of code; comments and `...` are left out."""
    for block in _FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            match = _COMMAND.match(line.strip())
            if match:
                words = shlex.split(match["arguments"], comments=True)
                yield match["script"] or match["verb"], [word for word in words if word not in _ELLIPSES]


def cells(text: str) -> Iterator[list[str]]:
    """The rows of Markdown tables, cell by cell, without their headings' rules."""
    for row in _ROW.findall(text):
        found = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)]
        if not set(found[0]) <= set("- :"):
            yield found


def codes(cell: str) -> list[str]:
    """What stands in backticks."""
    return _CODE.findall(cell)


def code_block(text: str, language: str, number: int = 0) -> str:
    """One of a page's blocks of code."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[number]


def parse(verb: str, arguments: list[str]) -> None:
    """Parse with the command's own parser; `--help` is fine, what the parser does not know raises."""
    parser = PARSERS[verb]()
    if verb == "submit" and arguments and arguments[0] in verbs():
        parser, arguments = jobs_parser(arguments[0]), arguments[1:]
    if "--help" not in arguments:
        parser.parse_args(arguments)


def test_parameters_page_is_what_the_generator_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_parameters", ROOT / "docs" / "_make_parameters.py")
    assert spec is not None and spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert (ROOT / "docs" / "parameters.md").read_text() == generator.page(), "run `make docs`"


def test_options_page_is_what_the_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    generator = importlib.import_module("_make_options")
    assert (ROOT / "docs" / "options.md").read_text() == generator.page(), "run `make docs`"


@each_page
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    assert list(complaints(page, prose(page))) == []


def test_each_page_is_in_the_navigation_of_the_site() -> None:
    def files(entry: Any) -> Iterator[str]:
        for inner in entry.values() if isinstance(entry, dict) else entry:
            yield from [inner] if isinstance(inner, str) else files(inner)

    named = list(files(yaml.load((ROOT / "mkdocs.yml").read_text(), yaml.BaseLoader)["nav"]))
    assert len(set(named)) == len(named)
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert pages <= set(named), "name it in mkdocs.yml"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "reference" / "tune_cl.study.html").read_text()
    assert "What messages call the file." in reference, "the comment of a field"
    assert (tmp_path / "repository" / "launch" / "clusters" / "slurm.sbatch").is_file(), "what a page links to"


@each_page
def test_page_is_finished(page: Path) -> None:
    assert "@@" not in page.read_text()


@each_page
def test_commands_name_scripts_and_options_that_exist(page: Path) -> None:
    for verb, arguments in commands(page.read_text()):
        assert verb in PARSERS, f"{page.name}: no command {verb}"
        assert (ROOT / "launch" / f"{verb}.py").exists()
        parse(verb, arguments)


@each_page
def test_names_in_tables_are_defined_in_the_files_beside_them(page: Path) -> None:
    places = list(_PLACE.finditer(page.read_text()))
    if page.name == "architecture.md":
        assert len(places) > 40
    if page.parent == METHODS and page.name != "README.md":
        assert len(places) > 1
    for place in places:
        source = (ROOT / "tune_cl" / place["file"]).read_text()
        for dotted in re.findall(r"`([\w.]+)`", place["names"]):
            for name in dotted.split("."):
                assert re.search(rf"^\s*(?:def|class) {name}\b|^{name}\b.* = ", source, re.MULTILINE), (
                    f"{place['file']}: no {name}"
                )


@pytest.mark.parametrize(("heading", "record"), RECORDS.items(), ids=RECORDS)
def test_examples_of_files_have_the_keys_of_their_records(heading: str, record: type[Record]) -> None:
    text = (ROOT / "docs" / "file-formats.md").read_text().split(f"## {heading}\n")[1]
    example = yaml.safe_load(_FENCE.findall(text)[0])  # JSON is YAML
    read = record.model_validate_json(json.dumps(example))
    assert set(example) == set(read.model_dump(mode="json"))
    if record is IncrementRow:
        assert set(example["stages"][0]) == set(StageUse.model_fields)


@pytest.mark.parametrize("name", method_names())
def test_a_methods_page_has_the_parameters_that_the_generator_writes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    generator = importlib.import_module("_make_methods")
    assert (METHODS / f"{name}.md").read_text() == generator.page(name), "run `make docs`"


def test_the_overview_names_each_method_with_its_losses_and_phases() -> None:
    known = method_names()
    overview = [row for row in cells((METHODS / "README.md").read_text()) if len(row) == 6 and codes(row[0])]
    assert [codes(row[0])[0] for row in overview] == known
    for name, row in zip(known, overview, strict=True):
        method = get_method(name)
        assert codes(row[2]) == losses_of(name)
        base, increment = row[5].split(";")
        # By name: a configuration has one phase of each name, of several kinds in turn.
        assert codes(base) == list(dict.fromkeys(phase.name for phase in method.base))
        assert codes(increment) == list(dict.fromkeys(phase.name for phase in method.increment))


def test_the_table_of_losses_names_the_methods_that_take_them() -> None:
    text = (METHODS / "README.md").read_text().split("## The Balanced Softmax family")[1].split("\n## ")[0]
    table = {codes(row[0])[0]: row[1] for row in cells(text) if codes(row[0])}
    assert set(table) == {loss for name in method_names() for loss in losses_of(name)}
    for loss, hosts in table.items():
        takers = [name for name in method_names() if loss in losses_of(name)]
        assert (method_names() if hosts == "all" else codes(hosts)) == takers


def losses_of(method: str) -> list[str]:
    """The losses that a method's increments take; plain cross-entropy where there is nothing to choose."""
    loss = leaves(get_method(method).config).get("increment.classifier.loss")
    return ["ce"] if loss is None else list(loss.choices or ())


def test_the_readme_names_every_method_and_data_set() -> None:
    text = (ROOT / "README.md").read_text()
    methods = [code for row in cells(text.split("## Methods")[1].split("\n## ")[0]) for code in codes(row[0])]
    assert sorted(methods) == sorted(method_names())
    classes = {}
    for row in cells(text.split("## Streams")[1].split("\n## ")[0]):
        classes.update(zip(codes(row[0]), map(str.strip, row[1].split(",")), strict=bool(codes(row[0]))))
    assert classes == {dataset.name: str(dataset.n_classes) for dataset in DATASETS}


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the example method and its space, which this process knows as long as the test runs."""
    text = (ROOT / "docs" / "adding-a-method.md").read_text()
    (tmp_path / "feature_lwf.py").write_text(code_block(text, "python"))
    (tmp_path / "feature_lwf.yaml").write_text(code_block(text, "yaml"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(methods_room.METHODS, "_members", dict(methods_room.METHODS._members))
    load_plugins(["feature_lwf"])
    yield tmp_path
    del sys.modules["feature_lwf"]


def test_the_example_method_forgets_less_than_finetuning_and_shares_its_base_task(example: Path) -> None:
    rows = run_small(configure(str(example / "feature_lwf.yaml")), example / "stages")
    assert [row.increment for row in rows] == [0, 1, 2, 3]
    assert set(rows[-1].losses) == {"classifier/ce", "classifier/feature"}
    finetuned = run_small(configure("finetune.yaml"), example / "stages")
    assert finetuned[0].stages[0].origin == "reused"
    assert finetuned[-1].stages[0].origin == "trained"
    assert (rows[-1].metrics["val/accuracy_old"] or 0) > (finetuned[-1].metrics["val/accuracy_old"] or 0) + 0.1
    again = run_small(configure(str(example / "feature_lwf.yaml")), example / "other stages")
    assert [row.comparable() for row in again] == [row.comparable() for row in rows]


def test_the_example_method_goes_into_the_package_as_it_stands(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-a-method.md").read_text()
    package = tmp_path / "tune_cl"
    shutil.copytree(ROOT / "tune_cl", package, ignore=shutil.ignore_patterns("data", "__pycache__"))
    (package / "zoo" / "feature_lwf.py").write_text(code_block(page, "python"))
    init = package / "methods" / "__init__.py"
    assert '*("frozen",' in init.read_text()
    init.write_text(
        init.read_text().replace('*("frozen",', '*("feature_lwf", "frozen",')
    )  # as step 1 says: in _SHIPPED
    script = "import tune_cl, tune_cl.methods as m; print(tune_cl.__file__, m.get_method('feature_lwf').name)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [str(package / "__init__.py"), "feature_lwf"], done.stderr


@pytest.mark.slow
def test_the_example_method_passes_the_contract(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "adding-a-method.md").read_text()
    (tmp_path / "feature_lwf.py").write_text(code_block(text, "python"))
    found_in = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "tests/contract", "-k", "feature_lwf"]
    environment = {**os.environ, "TUNE_CL_CONTRACT": "feature_lwf", "PYTHONPATH": found_in}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def run_small(run: RunConfig, stages: Path) -> list[IncrementRow]:
    """The rows of a chain on 60 images of each class."""
    whole = open_stream(StreamRecord(name=run.stream.name))
    places = np.concatenate([np.flatnonzero(whole.raw_labels == label)[:60] for label in range(whole.n_classes)])
    stream = replace(whole, raw_images=whole.raw_images[places], raw_labels=whole.raw_labels[places])  # type: ignore
    chain, rows = Chain(run, stream, StageStore(stages)), []
    while not chain.done:
        rows.append(chain.advance().row)
    return rows


def test_a_dead_link_and_a_dead_heading_are_found() -> None:
    text = "[a](no-such-page.md) [b](CONTRIBUTING.md#no-such-heading) ![c](docs/none.png) [d](https://example.org/x)"
    assert len(list(complaints(ROOT / "CHANGELOG.md", text))) == 3


def test_a_misspelt_option_in_a_page_is_found() -> None:
    text = "```bash\npython launch/search.py --space genifer.yaml \\\n    --trails 3  # a comment\n```\n"
    [(verb, arguments)] = commands(text)
    with pytest.raises(Exception, match="--trails; did you mean '--trials'"):
        parse(verb, arguments)
