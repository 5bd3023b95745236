"""`tune-cl compare` on a real search, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest
from installed_wheel import OneMachine
from search_cli import LAUNCH, run, summary_of

from tune_cl.cli.main import main
from tune_cl.records import SearchFolder, SearchRecord, read_record, write_json
from tune_cl.reports import Comparison, SearchView, read_search

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def results(one_machine: OneMachine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search, and the same again under another name as if it were of another method; not to be changed."""
    folder = tmp_path_factory.mktemp("compared")
    for name in ("genifer", "lwf"):
        shutil.copytree(one_machine.folder.path, folder / name)
        search = SearchFolder(folder / name).search
        write_json(search, read_record(search, SearchRecord).model_copy(update={"name": name, "method": name}))
    (folder / "stages").mkdir()
    return folder


def test_real_search_is_read_with_the_numbers_of_its_summary(results: Path) -> None:
    folder = SearchFolder(results / "genifer")
    search, summary = read_search(folder), summary_of(folder)
    assert search.paid.images_trained == summary.images_trained
    assert search.paid.seconds == pytest.approx(summary.seconds)
    assert search.alone.images_trained == summary.images_trained_as_if_alone
    assert [(t.trial, t.state, t.value) for t in search.trials] == [(t.trial, t.state, t.value) for t in summary.table]
    assert search.best is not None and summary.best is not None
    assert (search.best.trial, search.best.value) == (summary.best.trial, summary.best.value)
    assert {path: search.best.parameters[path] for path in search.searched} == summary.best.parameters
    assert search.unfinished is None


def test_real_search_leaves_its_page_with_the_numbers_of_its_summary(
    results: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = SearchFolder(results / "genifer")
    assert folder.page.read_text().startswith("<!doctype html>")
    assert main(["report", "genifer", "--results", str(results), "--json"]) == 0
    view, summary = SearchView.model_validate_json(capfd.readouterr().out), summary_of(folder)
    assert summary.best is not None
    assert (view.best, view.value, view.default_value) == (
        summary.best.trial, summary.best.value, summary.best.default_value
    )  # fmt: skip
    assert view.gain_error == summary.best.gain_error
    assert sum(phase.seconds for phase in view.time) == pytest.approx(summary.seconds)
    assert sum(phase.reused for phase in view.time) == summary.stages["reused"]
    assert [len(group.names) for group in view.classes] == [4, 2, 2] and folder.real_images.exists()


def test_script_prints_tables_and_writes_the_page(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "comparison.html"
    done = run([LAUNCH / "compare.py", "genifer", "lwf", "--results", results, "--html", page])
    assert done.returncode == 0, done.stderr
    for words in (
        "Comparison of genifer and lwf",
        "Expected best after n trials",
        "are not evaluated",
        f"Page: {page}",
    ):
        assert words in done.stdout
    assert page.read_text().startswith("<!doctype html>")


def test_json_is_all_that_is_printed(results: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "comparison.html"
    assert main(["compare", str(results / "lwf"), "--json", "--html", str(page)]) == 0
    out, err = capfd.readouterr()
    comparison = Comparison.model_validate_json(out)
    assert json.loads(out)["searches"][0]["label"] == comparison.searches[0].label == "lwf"
    assert err == f"Page: {page}\n"


def test_a_search_is_found_by_path_and_by_name_and_nothing_is_written(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "genifer", str(results / "lwf"), "--results", str(results)]) == 0
    assert "genifer against lwf" in capfd.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_neither_torch_nor_ray_nor_wandb_is_loaded_for_it(results: Path) -> None:
    code = (
        "import sys; from tune_cl.cli.main import main; main(['compare', sys.argv[1]]); "
        "print([name for name in ('torch', 'ray', 'wandb', 'plotly') if name in sys.modules])"
    )
    done = run(["-c", code, results / "lwf"])
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["SEARCH"]),
        (["no-such"], ["no-such", "no such folder"]),
        (["genifr"], ["genifr", "did you mean 'genifer'"]),
        (["stages"], ["not the folder of a search", "search.json"]),
        (["lwf", "lwf"], ["lwf", "given twice"]),
        (["lwf", "--htm", "x.html"], ["--htm", "'--html'"]),
        (["lwf", "--html", "."], ["--html .", "a folder"]),
        (["lwf", "--html", "/proc/none/x.html"], ["/proc/none"]),
        (["lwf", "--wandb-mode", "offline"], ["--wandb-mode offline", "add --wandb"]),
        (["lwf", "--wandb", "--wandb-mode", "offlin"], ["offlin", "'offline'"]),
        (["wandb://entity/project"], ["wandb://entity/project/group"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_refused_in_one_sentence(
    results: Path, capfd: pytest.CaptureFixture[str], options: list[str], words: list[str]
) -> None:
    assert main(["compare", *options, "--results", str(results)]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("tune-cl: ") and err.count("\n") == 1, err
    for word in words:
        assert word in err


def test_the_same_folder_by_two_names_is_given_twice(
    results: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(results / "lwf")
    assert main(["compare", str(link), str(results / "lwf")]) == 2
    assert "given twice" in capfd.readouterr().err


def test_script_is_the_command() -> None:
    done = run([LAUNCH / "compare.py", "--help"])
    assert done.returncode == 0 and "tune-cl compare" in done.stdout
