"""Evaluations as a person runs them: what is read, what is written, and what happens when they are disturbed."""

import json
import math
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluations import EVALUATION, SHORT, Evaluated
from scipy import stats
from search_cli import LAUNCH, end_group, environment, here, run, start, wait_until

from tune_cl.nets import build_classifier
from tune_cl.records import (
    ClassesRecord,
    EvaluationSummary,
    IncrementRow,
    Reading,
    RunConfig,
    SearchFolder,
    StageUse,
    Summary,
    append_line,
    read_lines,
    read_record,
)
from tune_cl.store import StageStore
from tune_cl.streams import open_stream

pytestmark = pytest.mark.ray

TEST_FILE = Path(__file__).parents[2] / "tune_cl" / "heldout" / "data" / "fashion_test.npz"


def readings_of(folder: Path) -> list[Reading]:
    return list(read_lines(SearchFolder(folder).evaluation.readings, Reading))


def rows_of(folder: Path) -> dict[str, list[IncrementRow]]:
    runs = SearchFolder(folder).evaluation.path / "runs"
    return {path.name: SearchFolder(folder).evaluation.run(path.name).rows() for path in sorted(runs.iterdir())}


def comparable(folder: Path) -> dict[str, list[dict[str, object]]]:
    return {name: [row.comparable() for row in rows] for name, rows in rows_of(folder).items()}


def summary_of(folder: Path) -> EvaluationSummary:
    return read_record(SearchFolder(folder).evaluation.summary, EvaluationSummary)


def test_every_opening_of_a_test_file_is_in_the_record_and_there_is_one_for_each_run(evaluated: Evaluated) -> None:
    readings = readings_of(evaluated.folder)
    opened = [reading.run for reading in readings if reading.event == "opened"]
    assert len(evaluated.opened) == len(opened) == 4
    assert sorted(opened) == sorted(rows_of(evaluated.folder)), "once in each run"
    scored = [reading for reading in readings if reading.event == "scored"]
    assert sorted(reading.run for reading in scored) == sorted(opened)
    for reading in scored:
        assert readings.index(reading) > next(i for i, r in enumerate(readings) if r.run == reading.run)
        assert reading.images == 2000 and reading.fingerprint
    summary = summary_of(evaluated.folder)
    assert summary.readings == 4 and summary.test_fingerprint == scored[0].fingerprint


def test_a_search_opens_no_test_file_while_the_same_watcher_looks(tmp_path: Path) -> None:
    log = tmp_path / "opened.txt"
    log.touch()
    watcher = Path(__file__).parent / "watcher_path"
    look = [LAUNCH / "search.py", "--space", "finetune", "--dry-run"]
    done = run(look, env=environment(PYTHONPATH=str(watcher), OPENED_TEST_FILES=str(log)), cwd=tmp_path)
    assert done.returncode == 0 and not log.read_text()
    reader = "import numpy; numpy.load(r'%s')" % TEST_FILE  # noqa: UP031
    run(["-c", reader], env=environment(PYTHONPATH=str(watcher), OPENED_TEST_FILES=str(log)))
    assert log.read_text().splitlines() == [str(TEST_FILE)], "the watcher does see it when it happens"


def test_the_accuracies_are_those_of_the_trained_classifiers_on_the_test_images(evaluated: Evaluated) -> None:
    folder = SearchFolder(evaluated.folder).evaluation
    name, rows = next(iter(rows_of(evaluated.folder).items()))
    config = read_record(folder.run(name).config, RunConfig)
    with np.load(TEST_FILE) as archive:
        images, labels = archive["images"], archive["labels"]
    stream = open_stream(config.stream)
    position = {label: c for c, label in enumerate(stream.class_order)}
    targets = torch.tensor([position[int(label)] for label in labels])
    mean, std = stream.preprocessing.mean[0], stream.preprocessing.std[0]
    for t, row in enumerate(rows):
        classifier = build_classifier(stage_of(folder.stages, row.stages[0]).changed["classifier"]).eval()
        with torch.no_grad():
            guesses = classifier((torch.tensor(images[:, None]) / 255 - mean) / std).argmax(1)
        known = targets < stream.n_seen(t)
        assert row.metrics["test/accuracy"] == pytest.approx(
            (guesses == targets)[known].float().mean().item(), abs=1e-3
        )
        for i, accuracy in enumerate(row.accuracy_row):
            of_i = (targets >= stream.classes(i).start) & (targets < stream.classes(i).stop)
            assert accuracy == pytest.approx((guesses == targets)[of_i].float().mean().item(), abs=3e-3)
        for c, accuracy in enumerate(row.class_accuracy):
            of_c = (guesses == targets)[targets == c].float().mean().item()
            assert accuracy == pytest.approx(of_c, abs=6e-3), "200 images: at most one tie"
        assert len(row.class_accuracy) == stream.n_seen(t)
        assert row.nearest_mean_row is not None and len(row.nearest_mean_row) == t + 1
        assert not [metric for metric in row.metrics if metric.startswith("val/")]


def test_the_accuracy_on_each_class_is_the_mean_over_runs_of_different_class_orders(evaluated: Evaluated) -> None:
    folder = SearchFolder(evaluated.folder)
    chosen = next(one for one in summary_of(evaluated.folder).configurations if one.role == "chosen")
    found: dict[str, list[float]] = {}
    for place in map(folder.evaluation.run, chosen.runs):
        order = open_stream(read_record(place.config, RunConfig).stream).class_names
        for name, accuracy in zip(order, place.rows()[-1].class_accuracy, strict=True):
            found.setdefault(name, []).append(accuracy or 0.0)
    assert set(found) == set(read_record(folder.classes, ClassesRecord).names)
    assert chosen.class_accuracy == pytest.approx({name: sum(each) / len(each) for name, each in found.items()})


def stage_of(stages: Path, use: StageUse):  # type: ignore[no-untyped-def]
    stage = StageStore(stages).load(use.key)
    assert stage is not None
    return stage


def test_runs_train_on_training_and_validation_images_on_held_out_orders_and_seeds(evaluated: Evaluated) -> None:
    search = SearchFolder(evaluated.folder)
    searched = {use.key for trial in search.trials().values() for row in trial.rows() for use in row.stages}
    of_the_search = read_record(search.trial(0).config, RunConfig)
    images = search.trial(0).rows()[0].stages[0].images_trained
    orders = set()
    for name, rows in rows_of(evaluated.folder).items():
        config = read_record(search.evaluation.run(name).config, RunConfig)
        order = open_stream(config.stream).class_order
        orders.add(order)
        assert order != open_stream(of_the_search.stream).class_order
        assert config.train_seed != of_the_search.train_seed
        assert rows[0].stages[0].images_trained == pytest.approx(images / 0.8, rel=0.02), "a fifth is for validation"
        assert not searched & {use.key for row in rows for use in row.stages}
    assert len(orders) == 2


def test_the_summary_has_every_value_and_intervals_over_class_orders(evaluated: Evaluated) -> None:
    summary, rows = summary_of(evaluated.folder), rows_of(evaluated.folder)
    best = read_record(SearchFolder(evaluated.folder).summary, Summary).best
    assert best is not None
    assert next((c.role, c.trial) for c in summary.configurations) == ("chosen", best.trial)
    for configuration in summary.configurations:
        for metric in ("test/accuracy", "test/forgetting", "test/nme/accuracy"):
            values = [rows[run][-1].metrics[metric] for run in configuration.runs]
            found = configuration.metrics[metric]
            assert found.values == values and found.mean == pytest.approx(np.mean(values))
            assert found.std == pytest.approx(np.std(values, ddof=1))
            interval = stats.ttest_1samp(values, 0).confidence_interval()
            least = -1 if metric == "test/forgetting" else 0  # an interval holds nothing that cannot be
            assert (found.low, found.high) == pytest.approx((max(interval.low, least), min(interval.high, 1)))
        matrix = np.mean([rows[run][-1].accuracy_row for run in configuration.runs], axis=0)
        assert configuration.accuracy_matrix[-1] == pytest.approx(matrix)
        untrained = configuration.never_trained_again
        for name, share in (("test/accuracy", 0.4), ("test/nme/accuracy", 0.4)):
            bases = [rows[run][0].metrics[name] for run in configuration.runs]
            assert untrained[name].values == pytest.approx([base * share for base in bases])
    if len(summary.configurations) == 2:
        chosen, default = (c.metrics["test/accuracy"].values for c in summary.configurations)
        assert summary.difference is not None
        assert summary.difference["test/accuracy"].values == pytest.approx(np.subtract(chosen, default))


def test_the_report_says_what_never_training_again_gives_and_every_caution(evaluated: Evaluated) -> None:
    summary = summary_of(evaluated.folder)
    text = " ".join(evaluated.output.split())
    for configuration in summary.configurations:
        untrained = configuration.never_trained_again[summary.objective].mean
        assert f"Never training again: {untrained:.4f} average incremental accuracy, " in text
        assert f"(base task of trial {configuration.trial:04d})." in text
    for caution in summary.cautions:
        assert caution.sentence in text
    below = summary.configurations[0].metrics[summary.objective].mean < (
        summary.configurations[0].never_trained_again[summary.objective].mean
    )
    assert ("below frozen" in [caution.kind for caution in summary.cautions]) == below


def test_the_same_command_again_runs_nothing_and_reads_nothing(evaluated: Evaluated, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated.folder, tmp_path / "s"))
    before = readings_of(folder)
    code, output = here("evaluate", folder, *EVALUATION)
    assert code == 0 and "4 runs, 4 of them done before" in output
    assert readings_of(folder) == before and summary_of(folder) == summary_of(evaluated.folder)


def test_a_smaller_evaluation_later_leaves_no_result_out_and_accuses_nobody(
    evaluated: Evaluated, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(evaluated.folder, tmp_path / "s"))
    code, output = here("evaluate", folder, "--orders", "1", "--seeds", "1")
    assert code == 0 and "3 more runs of these configurations have results" in output
    assert "were read before" not in output
    assert summary_of(folder) == summary_of(evaluated.folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_a_disturbed_evaluation_goes_on_to_the_same_rows(
    searched: Path, evaluated: Evaluated, tmp_path: Path, number: signal.Signals
) -> None:
    folder = Path(shutil.copytree(searched, tmp_path / "s"))
    command = [str(LAUNCH / "evaluate.py"), str(folder), *SHORT, "--concurrency", "1"]
    process = start(command, tmp_path / "log", env=environment())
    try:
        wait_until(lambda: len(readings_of(folder)) >= 1, 90, "the first run is about to read test data")
        process.send_signal(number)
        process.wait(60)
    finally:
        end_group(process)
    assert len(rows_of(folder)) < 2 or not all(rows_of(folder).values())
    if number == signal.SIGINT:
        assert process.returncode == 130
    code, output = here("evaluate", *command[1:])
    assert code == 0, output
    whole = comparable(evaluated.folder)
    assert comparable(folder) == {name: whole[name] for name in rows_of(folder)} and len(rows_of(folder)) == 2
    opened = [reading.run for reading in readings_of(folder) if reading.event == "opened"]
    assert set(opened) == set(rows_of(folder)) and 2 <= len(opened) <= 3, "a second reading is in the record, too"


@pytest.mark.slow
def test_missing_test_files_end_in_a_sentence_and_lose_no_training(searched: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(searched, tmp_path / "s"))
    package = tmp_path / "site"
    shutil.copytree(TEST_FILE.parents[2], package / "tune_cl")
    (package / "tune_cl" / "heldout" / "data" / "fashion_test.npz").unlink()
    command = ["-m", "tune_cl.cli.main", "evaluate", folder, "--orders", "1", "--seeds", "1"]
    without = environment(PYTHONPATH=str(package))
    done = run(
        ["-c", "import sys; from tune_cl.cli.main import main; sys.exit(main(sys.argv[1:]))", *command[2:]],
        env=without,
        cwd=package,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (why,) = summary_of(folder).missing.values()
    assert "fashion_test.npz" in why and "missing" in why
    stages = sorted(path.name for path in (folder / "evaluation" / "stages").glob("??/*"))
    again = run([LAUNCH / "evaluate.py", folder, "--orders", "1", "--seeds", "1"])
    assert again.returncode == 0 and not summary_of(folder).missing
    assert sorted(path.name for path in (folder / "evaluation" / "stages").glob("??/*")) == stages


def test_another_winner_after_a_reading_is_told_as_a_second_look(evaluated: Evaluated, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated.folder, tmp_path / "s"))
    search = SearchFolder(folder)
    summary = json.loads(search.summary.read_text())
    chosen = summary["best"]["trial"]
    lines = search.evaluation.readings.read_text()
    search.evaluation.readings.write_text(lines.replace(f'"trial":{chosen},', '"trial":7,'))
    code, output = here("evaluate", folder, *EVALUATION)
    assert code == 0
    assert "Test data were read before for what this search had chosen then (trial 0007)" in output


def test_readings_that_were_deleted_are_counted_by_what_came_of_them(evaluated: Evaluated, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated.folder, tmp_path / "s"))
    assert summary_of(folder).readings_complete
    place = SearchFolder(folder).evaluation
    place.readings.unlink()
    for also in (None, place.summary):  # without the earlier summary, too
        if also is not None:
            also.unlink()
        code, output = here("evaluate", folder, *EVALUATION)
        assert code == 0 and output.count("lacks readings that results prove") == 2, "before and after"
        assert "Test data were opened at least 4 times" in output
        summary = summary_of(folder)
        assert (summary.readings, summary.readings_complete) == (4, False)
        assert summary.trials_read == summary_of(evaluated.folder).trials_read
        assert summary.test_fingerprint == (summary_of(evaluated.folder).test_fingerprint if also is None else None)


def test_a_reading_that_the_summary_counted_is_not_forgotten_with_its_line(
    evaluated: Evaluated, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(evaluated.folder, tmp_path / "s"))
    place = SearchFolder(folder).evaluation
    opened = readings_of(folder)[0].model_copy(update={"time": "2026-01-01T00:00:00+00:00"})
    append_line(place.readings, opened)  # of a run that died, and ran again
    here("evaluate", folder, *EVALUATION)
    assert (summary_of(folder).readings, summary_of(folder).readings_complete) == (5, True)
    place.readings.write_text("".join(place.readings.read_text().splitlines(keepends=True)[:-1]))
    here("evaluate", folder, *EVALUATION)
    assert (summary_of(folder).readings, summary_of(folder).readings_complete) == (5, False)


def test_a_configuration_that_the_search_did_not_have_is_not_evaluated(searched: Path, tmp_path: Path) -> None:
    folder = SearchFolder(Path(shutil.copytree(searched, tmp_path / "s")))
    best = read_record(folder.summary, Summary).best
    assert best is not None

    def told() -> str:
        code, output = here("evaluate", folder.path, *EVALUATION, "--dry-run")
        assert code == 2 and output.count("\n") == 1, output
        return output

    for file in (folder.trial(best.trial).config, folder.best_config):
        whole = file.read_text()
        lines = whole.splitlines(keepends=True)
        last = len(lines) - 1 - next(i for i, line in enumerate(reversed(lines)) if "learning_rate" in line)
        file.write_text("".join([*lines[:last], *lines[last + 1 :]]))
        sentence = told()
        assert f"{file}: parameters.increment." in sentence and ".learning_rate: missing; " in sentence
        key, value = lines[last].split(":")
        other = 0.004 if float(value) == 0.005 else 0.005
        file.write_text("".join([*lines[:last], f"{key}: {other}\n", *lines[last + 1 :]]))
        sentence = told()
        assert f"{file}: parameters.increment." in sentence and f".learning_rate is {other}, and " in sentence
        file.write_text(whole)
    assert here("evaluate", folder.path, *EVALUATION, "--dry-run")[0] == 0


def test_a_dry_run_names_the_runs_and_writes_nothing(searched: Path) -> None:
    code, output = here("evaluate", searched, *EVALUATION, "--dry-run")
    assert code == 0 and "4 runs" in output and "Nothing was written" in output
    assert not (searched / "evaluation").exists()


def test_the_report_shows_both_averages_and_the_verdict(evaluated: Evaluated) -> None:
    for words in (
        "average incremental accuracy",
        "without the base task",
        "forgetting",
        "every value",
        "Chosen against default, test/average_incremental_accuracy",
        "Test data were opened 4 times",
    ):
        assert words in evaluated.output
    assert not math.isnan(summary_of(evaluated.folder).configurations[0].metrics["test/accuracy"].mean)
