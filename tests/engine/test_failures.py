"""A trial that fails is told from one whose worker dies: the first is FAILED with its reason, the second runs again."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from search_cli import CHEAP, SPACE, rows_of, search_here, summary_of, wait_until

import tune_cl
from tune_cl.records import SearchFolder

pytestmark = pytest.mark.ray

OPTIONS = (
    *SPACE,
    *CHEAP,
    "--set=increment.classifier.epochs=3",
    "--set=increment.classifier.optimizer=sgd",
    "--set=increment.classifier.batch_size=32",
    "--set=increment.classifier.weight_decay=1.0",
    # 10 makes every step multiply the weights by -9: the loss overflows within an epoch.
    "--set=increment.classifier.learning_rate={choice: [1e-3, 10.0]}",
    *("--sampler", "random", "--scheduler", "none", "--trials", "4", "--concurrency", "1", "--name", "s"),
)


@dataclass(frozen=True)
class Faults:
    """A search with failing trials, whose first trial lost its worker."""

    folder: SearchFolder
    code: int
    output: str


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    """Kill the worker of trial 0 with SIGKILL in the middle of it, and let the search go on."""
    place = tmp_path_factory.mktemp("faults")
    folder = SearchFolder(place / "results" / "s")
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_the_worker, folder)
        code, output = search_here(*OPTIONS, "--results", place / "results")
        assert killed.result() == 1
    return Faults(folder, code, output)


def kill_the_worker(folder: SearchFolder) -> int:
    """Wait until trial 0 has trained its base task, kill the worker; return how many there were."""
    wait_until(lambda: len(folder.trial(0).rows()) >= 1, 90, "the base task is trained")
    workers = trainables_below(os.getpid())
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    return len(workers)


def test_search_with_failing_trials_ends_well(faults: Faults) -> None:
    assert faults.code == 0, faults.output
    summary = summary_of(faults.folder)
    assert summary.trials["failed"] >= 1 and summary.trials["finished"] >= 1
    assert sum(summary.trials.values()) == 4 and summary.trials["running"] == 0


def test_failed_trials_are_those_that_diverge_and_say_so(faults: Faults) -> None:
    for trial in summary_of(faults.folder).table:
        config = faults.folder.trial(trial.trial).config.read_text()
        assert (trial.state == "failed") == ("learning_rate: 10.0" in config)
        if trial.state == "failed":
            assert trial.reason is not None and trial.reason.startswith("diverged: ")
            assert trial.reason in " ".join(faults.output.split())
            assert faults.folder.trial(trial.trial).error.read_text().startswith("Traceback")
        else:
            assert not faults.folder.trial(trial.trial).error.exists()


def test_failed_trial_is_not_the_best(faults: Faults) -> None:
    summary = summary_of(faults.folder)
    assert summary.best is not None
    assert {t.trial: t.state for t in summary.table}[summary.best.trial] == "finished"


def test_trial_whose_worker_was_killed_runs_again_to_equal_rows(faults: Faults, tmp_path: Path) -> None:
    alone = tune_cl.run_chain(faults.folder.trial(0).config, stages=tmp_path / "stages")
    rows = rows_of(faults.folder)[0]
    assert [row.comparable() for row in rows] == [row.comparable() for row in alone]
    assert summary_of(faults.folder).table[0].state == "finished"
    assert rows[-1].metrics["paid/images_trained"] == pytest.approx(rows[-1].metrics["images_trained"])


def trainables_below(ancestor: int) -> list[int]:
    """Process ids of Ray's workers that run a chain, among the descendants of a process."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(entry.name)] = (entry / "cmdline").read_text()
            except OSError:  # gone meanwhile
                continue

    def descends(pid: int) -> bool:
        while pid in parents and pid != ancestor:
            pid = parents[pid]
        return pid == ancestor

    return [pid for pid, name in names.items() if name.startswith("ray::") and "Trainable" in name and descends(pid)]


@pytest.mark.slow
def test_failed_trials_are_begun_anew_where_that_is_asked_for(faults: Faults, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(faults.folder.path.parent, results)
    folder = SearchFolder(results / "s")
    failed = [trial.trial for trial in summary_of(folder).table if trial.state == "failed"]
    kept = {number: rows for number, rows in rows_of(folder).items() if number not in failed}
    code, output = search_here(*OPTIONS, "--results", results, "--retry-failed")
    assert code == 0 and "failed trials that run again: " + ", ".join(f"{n:04d}" for n in failed) in output
    for number in failed:
        trial = folder.trial(number)
        assert (trial.path / "attempt-1" / "failure.json").exists() and trial.failure.exists(), "it diverges again"
        assert "taken up again, attempt 2" in trial.log.read_text()
        assert [row.stages[0].key for row in trial.rows()][:1] == [kept[0][0].stages[0].key], "of the stored base"
    assert {number: rows for number, rows in rows_of(folder).items() if number not in failed} == kept
    assert summary_of(folder).trials == summary_of(faults.folder).trials
    code, output = search_here(*OPTIONS, "--results", results)
    assert code == 0 and not (folder.trial(failed[0]).path / "attempt-2").exists(), "only where it is asked for"
