"""The commands of the README and the pages end well: searches and evaluations are planned, the others carried out.

Left out are those that need what is not here: a cluster, a data set to fetch, a folder of one's own, W&B's server, or a
search that runs.
"""

import shutil
import sys
from pathlib import Path

import pytest
from test_docs import PAGES, ROOT, code_block, commands

import tune_cl
from tune_cl.cli.main import main

pytestmark = pytest.mark.slow

ELSEWHERE = ("submit", "sync", "watch", "--data-root", "/shared", "glyphs")
SEARCHES = ("genifer", "lwf", "il_baseline", "feature_lwf")
SMALL = {"base.classifier.epochs": 1, "base.classifier.width": 4, "increment.classifier.epochs": 1}
COMMANDS = {
    (verb, *arguments): page.name
    for page in PAGES
    for verb, arguments in commands(page.read_text())
    if not any(word in text for word in ELSEWHERE for text in (verb, *arguments))
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages speak of: the example method, the examples, and searches under their names."""
    folder = tmp_path_factory.mktemp("pages")
    page = (ROOT / "docs" / "adding-a-method.md").read_text()
    (folder / "feature_lwf.py").write_text(code_block(page, "python"))
    (folder / "feature_lwf.yaml").write_text(code_block(page, "yaml"))
    (folder / "examples").symlink_to(ROOT / "examples")
    run = tune_cl.configure("finetune", overrides=SMALL)
    places = {"stages": folder / "results" / "stages", "output": folder / "results" / "one"}
    tune_cl.run_chain(run, **places)
    for name in SEARCHES:
        shutil.copytree(places["output"], folder / "results" / f"{name}-fashion-b4-t3-quick")
    shutil.copy(places["output"] / "best.yaml", folder)
    return folder


def test_most_commands_are_among_those_that_run_here() -> None:
    assert len(COMMANDS) > 60
    assert {verb for verb, *_ in COMMANDS} == {"search", "evaluate", "train", "compare", "report", "stages"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{COMMANDS[command]}: {' '.join(command)}"[:100])
def test_it_ends_well(
    command: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    words = [word.replace("/tmp/", f"{place}/").replace("/scratch/", f"{place}/") for word in command]
    if words[0] in ("search", "evaluate") and not {"--list", "--dry-run"} & set(words):
        words.append("--dry-run")
    if words[0] == "search" and "--list" not in words:
        words.append("--results=planned")  # where nothing has the name of another search
    assert main(words) == 0, capfd.readouterr().err
