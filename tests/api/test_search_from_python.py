"""Searches, evaluations and comparisons from Python, beside a Ray that was up before, and as a script."""

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
from search_cli import ROOT, end_group, environment, search_here, start, wait_until

import tune_cl
from tune_cl import EvaluationResult, SearchOptions, SearchResult, TuneCLError
from tune_cl.records import SearchFolder, Summary, read_record

pytestmark = pytest.mark.ray

RATE = "increment.classifier.learning_rate"
SMALL: dict[str, Any] = {
    "base.classifier.epochs": 1,
    "base.classifier.batch_size": 256,
    "base.classifier.width": 4,
    "increment.classifier.epochs": 1,
    "increment.classifier.batch_size": 256,
    "increment.classifier.weight_decay": 0.0,
    RATE: {"log": [1e-4, 1e-2]},
}


@pytest.fixture(scope="module")
def ray_here() -> Iterator[Any]:
    """A Ray of this process, with other things to do."""
    import ray

    ray.init(address="local", include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> SearchOptions:
    """A small search."""
    results = tmp_path_factory.mktemp("results")
    return SearchOptions("finetune", trials=3, overrides=SMALL, results=results, name="s", wandb_mode="disabled")


@pytest.fixture(scope="module")
def found(ray_here: Any, options: SearchOptions) -> SearchResult:
    """What it found; it is not to be changed."""
    return tune_cl.search(options)


@pytest.fixture(scope="module")
def held_out(found: SearchResult) -> EvaluationResult:
    """Its evaluation."""
    return tune_cl.evaluate(found, orders=1, seeds=1, with_default=True, quiet=True, wandb_mode="disabled")


def test_the_best_trial_is_that_of_the_summary(found: SearchResult) -> None:
    summary = read_record(SearchFolder(found.folder).summary, Summary)
    assert summary.best is not None and found.summary == summary
    assert (found.best.number, found.best.value) == (summary.best.trial, summary.best.value)
    assert found.best.parameters == summary.best.parameters and set(found.best.parameters) == {RATE}
    assert found.best.configuration["base.classifier.width"] == 4
    assert found.default is not None and found.default.value == summary.best.default_value
    assert [trial.state for trial in found.trials] == [line.state for line in summary.table]


def test_the_table_of_trials_has_parameters_values_and_cost(found: SearchResult) -> None:
    table = found.to_dataframe()
    assert isinstance(table, pandas.DataFrame) and list(table["trial"]) == [0, 1, 2]
    assert list(table["state"]) == [trial.state for trial in found.trials]
    assert list(table[RATE]) == [trial.parameters[RATE] for trial in found.trials]
    assert list(table["value"]) == [trial.value for trial in found.trials]
    assert table["images_trained"].sum() > table["paid_images_trained"].sum() > 0  # the base task is shared
    assert table["val/accuracy"][0] == found.trials[0].metrics["val/accuracy"]


def test_the_table_of_increments_has_a_row_for_each_that_was_reported(found: SearchResult) -> None:
    table = found.to_dataframe("increments")
    assert len(table) == sum(len(trial.increments) for trial in found.trials)
    assert list(table[table["trial"] == 0]["increment"]) == [0, 1, 2, 3]
    with pytest.raises(TuneCLError, match="write 'trials' or 'increments'"):
        found.to_dataframe("epochs")  # type: ignore[arg-type]


def test_the_same_call_again_trains_nothing_and_finds_the_same(
    found: SearchResult, options: SearchOptions, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.stat().st_mtime_ns for file in Path(options.results, "stages").rglob("*.pt")}
    again = tune_cl.search(options)
    assert again.trials == found.trials and again.best == found.best
    assert {file: file.stat().st_mtime_ns for file in Path(options.results, "stages").rglob("*.pt")} == before
    assert "best.yaml" in capfd.readouterr().out


def test_a_quiet_search_prints_nothing(
    found: SearchResult, options: SearchOptions, capfd: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    tune_cl.search(replace(options, quiet=True))
    assert capfd.readouterr() == ("", "")


def test_a_search_of_python_is_resumed_by_the_command_that_it_records(
    found: SearchResult, ray_here: Any, tmp_path: Path
) -> None:
    folder = shutil.copytree(found.folder.parent, tmp_path / "results")
    program, verb, *words = found.record.command
    assert (program, verb) == ("tune-cl", "search")
    words = [word.replace(str(found.folder.parent), str(folder)) for word in words]
    code, said = search_here(*words, "--trials=4")
    assert code == 0 and len(tune_cl.open_result(folder / "s").trials) == 4, said


def test_a_ray_that_was_up_before_stays_up_and_gets_its_cpus_back(found: SearchResult, ray_here: Any) -> None:
    import time

    assert ray_here.is_initialized()
    deadline = time.monotonic() + 30
    while ray_here.available_resources().get("CPU") != 2.0 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert ray_here.available_resources()["CPU"] == 2.0
    with pytest.raises(TuneCLError, match="connected to a Ray already; leave the address out"):
        tune_cl.search("finetune", address="auto", results=found.folder.parent)


def test_an_evaluation_has_the_numbers_of_its_runs(found: SearchResult, held_out: EvaluationResult) -> None:
    chosen = held_out.chosen
    assert chosen.trial == found.best.number and chosen.parameters == found.best.parameters
    table = held_out.to_dataframe()
    assert list(table["role"]) == [configuration.role for configuration in held_out.summary.configurations]
    assert table["test/accuracy"][0] == chosen.metrics["test/accuracy"].mean
    assert (table["class_order"][0], table["train_seed"][0]) == ("seed-1001", 1001)
    if found.best.number:
        assert held_out.default is not None and held_out.difference is not None
        assert held_out.difference["test/accuracy"].mean == pytest.approx(
            chosen.metrics["test/accuracy"].mean - held_out.default.metrics["test/accuracy"].mean
        )


def test_a_comparison_is_printed_and_saved(found: SearchResult, held_out: EvaluationResult, tmp_path: Path) -> None:
    comparison = tune_cl.compare(found)
    assert "Best of each search" in str(comparison) and "finetune" in repr(comparison)
    page = comparison.save_html(tmp_path / "c.html")
    assert page.read_text().startswith("<!doctype html>") or "<html" in page.read_text()[:200].lower()
    assert [difference.second for difference in comparison.differences] == (["default"] if found.best.number else [])
    with pytest.raises(TuneCLError, match="given twice"):
        tune_cl.compare(found, found.folder)
    with pytest.raises(TuneCLError, match=r"^path .*: a folder; name a file"):
        comparison.save_html(tmp_path)


def test_a_result_is_opened_by_its_name_or_its_path(found: SearchResult) -> None:
    by_name = tune_cl.open_result("s", results=found.folder.parent)
    assert by_name.trials == tune_cl.open_result(found).trials == found.trials


def test_the_winner_is_loaded_from_a_result(found: SearchResult) -> None:
    assert len(tune_cl.load(found).class_names) == 10


def test_a_time_limit_needs_the_main_thread(found: SearchResult, options: SearchOptions, tmp_path: Path) -> None:
    from dataclasses import replace

    said: list[str] = []

    def run() -> None:
        try:
            tune_cl.search(replace(options, time_limit=60, results=tmp_path / "results", quiet=True))
        except TuneCLError as error:
            said.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert said and said[0].startswith("time_limit: works in the main thread alone")


@pytest.mark.slow
def test_the_example_runs_as_a_script_and_resumes(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "examples" / "search_from_python.py"]
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "comparison.html").is_file() and "Best of each search" in done.stdout
    result = tune_cl.open_result("my-lwf", results=tmp_path / "results")
    assert f"{result.best.number} {result.best.value}" in done.stdout


@pytest.mark.slow
def test_an_interrupted_script_saves_and_does_not_go_on_to_its_next_line(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import tune_cl\n"
        "if __name__ == '__main__':\n"
        f"    changes = {SMALL | {'increment.classifier.epochs': 40}}\n"
        "    tune_cl.search('finetune', trials=2, overrides=changes, concurrency=1, name='s', wandb_mode='disabled')\n"
        "    print('the next line')\n"
    )
    process = start([script], tmp_path / "log", cwd=tmp_path)
    try:
        folder = SearchFolder(tmp_path / "results" / "s")
        wait_until(lambda: bool(folder.trial(0).rows()), 200, "the base task is trained")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) != 0
    finally:
        end_group(process)
    said = (tmp_path / "log").read_text()
    assert said.rstrip().endswith("KeyboardInterrupt") and "the next line" not in said
    assert "interrupted" in said and tune_cl.open_result(folder.path).summary is not None


def test_a_search_imports_nothing_that_reads_test_data(tmp_path: Path) -> None:
    """The driver of a search: the door to the test data stays shut until `evaluate` is called."""
    script = (
        "import sys, tune_cl\n"
        f"result = tune_cl.search('finetune', trials=1, overrides={SMALL}, quiet=True, wandb_mode='disabled')\n"
        "print([name for name in sys.modules if name.startswith(('tune_cl.heldout', 'tune_cl.evaluation'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
