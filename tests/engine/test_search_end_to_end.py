"""A search from one command: what it leaves, that it can be continued, and that it comes out the same again."""

import json
import re
import shutil
import sys
from pathlib import Path

import optuna
import pytest
import torch
from installed_wheel import OneMachine
from search_cli import (
    LAUNCH,
    Reference,
    comparable,
    configurations_of,
    environment,
    rows_of,
    start,
    states_of,
    summary_of,
)

import tune_cl
from tune_cl.api.provenance import command_line
from tune_cl.cli.main import main
from tune_cl.outcome import never_trained_again
from tune_cl.records import (
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    Summary,
    TrialFolder,
    exclusive_lock,
    read_lines,
    read_record,
)
from tune_cl.reports import compare, read_search
from tune_cl.streams import Pixels, open_stream

sys.path.insert(0, str(Path(__file__).parent.parent / "tracking"))

from wandb_records import offline_runs, same_value

pytestmark = pytest.mark.ray


def test_search_ends_well_and_leaves_what_is_promised(reference: Reference) -> None:
    assert reference.done.returncode == 0, reference.done.stderr
    assert reference.done.stderr == ""
    folder = reference.folder
    for file in ("search.json", "study.journal", "best.yaml", "best/classifier.pt", "summary.json"):
        assert (folder.path / file).is_file(), file
    trials = folder.trials()
    assert list(trials) == [0, 1, 2]
    for trial in trials.values():
        assert trial.config.is_file() and trial.increments.is_file() and trial.log.is_file()
        assert not trial.error.exists()
    assert read_record(folder.search, SearchRecord).trials == 3


def test_summary_counts_what_the_rows_say(reference: Reference) -> None:
    summary, rows = summary_of(reference.folder), rows_of(reference.folder)
    horizon = read_record(reference.folder.search, SearchRecord).horizon
    full = [number for number, of_trial in rows.items() if of_trial[-1].increment == horizon]
    assert summary.trials == {"finished": len(full), "stopped": 3 - len(full), "failed": 0, "running": 0}
    origins = [use.origin for of_trial in rows.values() for row in of_trial for use in row.stages]
    assert summary.stages == {"trained": origins.count("trained"), "reused": origins.count("reused")}
    paid = [u.images_trained for of in rows.values() for row in of for u in row.stages if u.origin == "trained"]
    assert summary.images_trained == sum(paid) < summary.images_trained_as_if_alone


def test_best_is_the_best_of_the_finished_and_can_be_run_again(reference: Reference) -> None:
    summary, rows = summary_of(reference.folder), rows_of(reference.folder)
    at_horizon = {
        number: of_trial[3].metrics["val/average_incremental_accuracy"]
        for number, of_trial in rows.items()
        if len(of_trial) == 4
    }
    assert summary.best is not None
    assert at_horizon[summary.best.trial] == max(at_horizon.values()) == summary.best.value
    assert summary.best.default_value == at_horizon[0]
    best = reference.folder.best_config.read_text()
    assert re.match(r"# tune-cl train (--results[ =]\S+ )?(--stages[ =]\S+ )?--config ", best)
    winner = read_record(reference.folder.trial(summary.best.trial).config, RunConfig)
    assert read_record(reference.folder.best_config, RunConfig) == winner


def test_never_training_again_is_told_of_the_best_trials_base_with_every_caution(reference: Reference) -> None:
    summary = summary_of(reference.folder)
    assert summary.best is not None and summary.never_trained_again is not None
    rows = reference.folder.trial(summary.best.trial).rows()
    images = rows[-1].images_scored
    assert images == [800, 400, 400, 400]
    found = summary.never_trained_again.model_dump()
    assert found.pop("trial") == summary.best.trial and found.pop("nearest_mean") is False
    assert found == never_trained_again(rows[0].accuracy_row[0], images)
    out = " ".join(reference.done.stdout.split())
    assert f"Never training again: {found['average_incremental_accuracy']:.4f} average incremental accuracy" in out
    kinds = [caution.kind for caution in summary.cautions]
    assert "below frozen" in kinds, "it is fine-tuning"
    assert ("below frozen" in kinds) == (summary.best.value < found["average_incremental_accuracy"])
    for caution in summary.cautions:
        assert f"Caution: {caution.sentence}" in out
    [compared] = compare([read_search(reference.folder)]).searches
    assert (compared.cautions, compared.never_trained_again) == (summary.cautions, summary.never_trained_again)
    shown = offline_runs(reference.folder.wandb)[f"s-{summary.best.trial:04d}"].summary()
    for name, value in found.items():
        assert shown[f"never_training_again/val/{name}"] == value


def test_trial_0_is_the_default_and_runs_to_the_end(reference: Reference) -> None:
    changes = {"base.classifier.epochs": 1, "base.classifier.batch_size": 256, "base.classifier.width": 4}
    changes |= {"increment.classifier.epochs": 2, "increment.classifier.batch_size": 256}
    trial = reference.folder.trial(0)
    assert read_record(trial.config, RunConfig) == tune_cl.configure("finetune", overrides=changes)
    assert [row.increment for row in trial.rows()] == [0, 1, 2, 3]


def test_base_that_the_space_fixes_is_trained_once(reference: Reference) -> None:
    origins = [trial.rows()[0].stages[0].origin for trial in reference.folder.trials().values()]
    assert sorted(origins) == ["reused", "reused", "trained"]


def test_output_says_what_came_out_and_what_to_type_next(reference: Reference) -> None:
    out = reference.done.stdout
    assert "best.yaml" in out and str(reference.folder.path) in out
    assert "launch/evaluate.py" in out and "--trials 6" in out
    assert "default" in out
    assert "tuner's luxury, not the method's" in " ".join(out.split())


def test_winner_can_be_loaded_and_scores_as_its_last_row_says(reference: Reference) -> None:
    summary = summary_of(reference.folder)
    assert summary.best is not None
    classifier = tune_cl.load(reference.folder.path)
    row = reference.folder.trial(summary.best.trial).rows()[-1]
    stream = open_stream(read_record(reference.folder.best_config, RunConfig).stream)
    pixels = Pixels(stream.preprocessing, torch.device("cpu"))
    right = total = 0
    for t in range(stream.horizon + 1):
        part = stream.validation(t)
        with torch.no_grad():
            predicted = classifier(pixels.normalise(part.images)).argmax(1)
        right, total = right + int((predicted == part.labels).sum()), total + len(part.labels)
    assert right / total == pytest.approx(row.metrics["val/accuracy"], abs=1e-9)
    assert classifier.about["class_names"] == list(stream.class_names)
    assert not classifier.training


def test_offline_wandb_holds_one_run_per_trial_and_one_row_per_increment(reference: Reference) -> None:
    assert "kept offline" in reference.done.stdout
    runs = offline_runs(reference.folder.wandb)
    whole = runs.pop("s")
    assert whole.starts()[0].job_type == "search" and whole.artifacts()["s-best"] == ["best.yaml", "classifier.pt"]
    assert whole.summary()["best/trial"] == summary_of(reference.folder).best.trial
    rows = rows_of(reference.folder)
    assert sorted(int("".join(c for c in name if c.isdigit())[-4:]) for name in runs) == sorted(rows)
    for name, run in runs.items():
        on_disk = rows[int("".join(c for c in name if c.isdigit())[-4:])]
        logged = [row for row in run.rows() if "increment" in row]
        assert [row["increment"] for row in logged] == [row.increment for row in on_disk]
        for row, expected in zip(logged, on_disk, strict=True):
            for metric, value in expected.metrics.items():
                assert same_value(row[metric], value), metric


def test_same_command_again_trains_nothing_and_json_is_all_that_a_script_gets(
    reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = copied(reference, tmp_path)
    before = rows_of(SearchFolder(results / "s"))
    stages = published(results)
    assert main(["search", *reference.options, "--results", str(results), "--json"]) == 0
    assert Summary.model_validate_json(capsys.readouterr().out) == summary_of(SearchFolder(results / "s"))
    assert rows_of(SearchFolder(results / "s")) == before
    assert published(results) == stages


def test_more_trials_go_on_with_the_search(reference: Reference, tmp_path: Path) -> None:
    results = copied(reference, tmp_path)
    folder = SearchFolder(results / "s")
    before, states = rows_of(folder), states_of(folder)
    wandb = sorted(folder.wandb.rglob("*"))
    assert main(["search", *reference.options, "--results", str(results), "--trials", "4"]) == 0
    after = rows_of(folder)
    assert {number: after[number] for number in before} == before
    assert list(after) == [0, 1, 2, 3]
    assert states_of(folder)[:3] == states
    assert after[3][0].stages[0].origin == "reused"
    assert sorted(folder.wandb.rglob("*")) == wandb, "W&B was disabled"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--set=increment.classifier.learning_rate={log: [1e-4, 1e-1]}"], "increment.classifier.learning_rate"),
        (["--set=increment.classifier.batch_size=128"], "increment.classifier.batch_size was 256, is 128"),
        (["--search-seed", "1"], "search was 0, is 1"),
        (["--scheduler", "none"], "scheduler was halving, is none"),
        (["--split-seed", "3"], "split_seed was 0, is 3"),
        (["--cpus-per-trial", "2"], "threads was 1, is 2"),
    ],
)
def test_changed_search_under_the_same_name_is_refused(
    reference: Reference, capfd: pytest.CaptureFixture[str], change: list[str], words: str
) -> None:
    before = reference.folder.search.read_bytes()
    assert main(["search", *reference.options, *change, "--results", str(reference.results)]) == 2
    sentence = capfd.readouterr().err
    assert words in sentence and "another --name" in sentence and sentence.count("\n") == 1
    assert reference.folder.search.read_bytes() == before


def test_second_process_on_a_running_search_is_refused(
    reference: Reference, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = copied(reference, tmp_path)
    with exclusive_lock(SearchFolder(results / "s")):
        assert main(["search", *reference.options, "--results", str(results)]) == 2
    assert "another process is running this search" in capfd.readouterr().err


@pytest.mark.slow
def test_whole_search_comes_out_the_same_again(reference: Reference, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert main(["search", *reference.options, "--results", str(results)]) == 0
    again = SearchFolder(results / "s")
    assert comparable(rows_of(again)) == comparable(rows_of(reference.folder))
    assert states_of(again) == states_of(reference.folder)
    assert configurations_of(again) == configurations_of(reference.folder)
    assert summary_of(again).best == summary_of(reference.folder).best


@pytest.mark.slow
def test_configuration_of_a_trial_run_again_gives_its_rows_also_beside_others(
    reference: Reference, tmp_path: Path
) -> None:
    """Two trials at a time in processes of their own, each with an empty stage store."""
    processes = {}
    for number in (0, 1):
        config = reference.folder.trial(number).config
        options = ["--config", config, "--output", tmp_path / f"out{number}", "--stages", tmp_path / f"stages{number}"]
        processes[number] = start([LAUNCH / "train.py", *options], tmp_path / f"log{number}", env=environment())
    for number, process in processes.items():
        assert process.wait(timeout=120) == 0, (tmp_path / f"log{number}").read_text()
        again = TrialFolder(tmp_path / f"out{number}")
        rows = reference.folder.trial(number).rows()
        assert [r.comparable() for r in again.rows()][: len(rows)] == [r.comparable() for r in rows]
        assert all(use.origin == "trained" for row in again.rows() for use in row.stages)
        assert again.config.read_text().split("\n", 1)[1] == configurations_of(reference.folder)[number]


def test_rows_on_disk_are_plain_json_lines(reference: Reference) -> None:
    file = reference.folder.trial(0).increments
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["increment"] for line in lines] == [0, 1, 2, 3]
    assert [len(line["accuracy_row"]) for line in lines] == [1, 2, 3, 4]
    assert list(read_lines(file, IncrementRow)) == reference.folder.trial(0).rows()


def published(results: Path) -> dict[str, int]:
    """Each stage's files in the store, and when they were written."""
    return {str(path): path.stat().st_mtime_ns for path in (results / "stages").glob("??/*/*")}


def copied(reference: Reference, to: Path) -> Path:
    """A copy of the results folder, to go on in."""
    return Path(shutil.copytree(reference.results, to / "results"))


def test_study_may_live_in_a_database(one_machine: OneMachine) -> None:
    assert one_machine.done.returncode == 0, one_machine.done.stderr
    folder = one_machine.folder
    objective = read_record(folder.search, SearchRecord).objective
    study = optuna.load_study(study_name="s", storage=one_machine.storage)
    assert [trial.value for trial in study.trials] == [rows[-1].metrics[objective] for rows in rows_of(folder).values()]
    assert not folder.study.exists()


@pytest.mark.parametrize(
    ("url", "recorded"),
    [
        ("postgresql://me:s3cret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me@work:s3/c@ret@host/db", "postgresql://me@work:***@host/db"),
        ("postgresql://host/db?user=me&password=s3cret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("mysql://me@host:3306/db?ssl_Passwd=s3cret", "mysql://me@host:3306/db?ssl_Passwd=***"),
    ],
)
def test_password_of_a_database_is_not_recorded(url: str, recorded: str) -> None:
    typed = command_line(["--storage", url, f"--storage={url}", "--set", "a=1"])
    assert typed[1:] == ["--storage", recorded, f"--storage={recorded}", "--set", "a=1"]
