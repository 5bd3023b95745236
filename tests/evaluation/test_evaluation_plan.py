"""What is evaluated, refusals, merged streams, and statistics over runs that share a class order."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluations import EVALUATION
from scipy import stats

from tune_cl.api.evaluate import warnings
from tune_cl.cli.main import main
from tune_cl.errors import TuneCLError
from tune_cl.evaluation import EvaluationConductor, class_orders, plan_evaluation
from tune_cl.evaluation._examination import Examined, by_increment
from tune_cl.heldout import open_test_set
from tune_cl.records import (
    Reading,
    SearchFolder,
    SearchRecord,
    SearchSeeds,
    StreamRecord,
    Summary,
    exclusive_lock,
    read_lines,
    read_record,
    write_json,
    write_run,
)
from tune_cl.reports import statistic, within_noise
from tune_cl.streams import DATASETS, class_order, open_stream

pytestmark = pytest.mark.ray


def record_of(folder: Path) -> SearchRecord:
    return read_record(SearchFolder(folder).search, SearchRecord)


def test_held_out_class_orders_are_all_different_and_none_is_the_searches(searched: Path) -> None:
    record = record_of(searched)
    orders = [class_order("seed", 10, seed) for seed in class_orders(20, record)]
    assert len(set(orders)) == 20 and class_order("seed", 10, record.stream.order_seed) not in orders
    by_a_held_out_seed = record.model_copy(update={"stream": StreamRecord(name="fashion-b4-t3", order_seed=1001)})
    assert 1001 not in class_orders(20, by_a_held_out_seed)


def test_no_seed_of_the_searches_finalists_is_held_out_and_an_open_race_is_told(searched: Path) -> None:
    changes = {"seeds": SearchSeeds(train=1000), "race": "finalists=2,top=0.25,fresh=2"}
    record = record_of(searched).model_copy(update=changes)
    settings = {"orders": (1001,), "with_default": False, "threads": 1, "device": "cpu"}
    plan = plan_evaluation(SearchFolder(searched), record, seeds=2, **settings)  # type: ignore[arg-type]
    assert plan.seeds == (1004, 1005)
    several = plan.summary.model_copy(update={"trials": {**plan.summary.trials, "finished": 2}})
    assert "finalists have not all run" in " ".join(warnings(dataclasses.replace(plan, summary=several)))
    alone = plan_evaluation(SearchFolder(searched), record_of(searched), seeds=2, **settings)  # type: ignore[arg-type]
    assert "finalists" not in " ".join(warnings(dataclasses.replace(alone, summary=several)))


def test_a_published_order_is_evaluated_as_such_and_told_when_the_search_has_seen_it(searched: Path) -> None:
    folder = SearchFolder(searched)
    settings = {"seeds": 2, "with_default": False, "threads": 1, "device": "cpu"}
    plan = plan_evaluation(folder, record_of(searched), orders=("numpy-1993", 1001), **settings)  # type: ignore[arg-type]
    assert plan.held_out and plan.orders == ("numpy-1993", "seed-1001") and len(plan.runs) == 4
    searched_there = record_of(searched).model_copy(
        update={"stream": StreamRecord(name="fashion-b4-t3", class_order="numpy-1993")}
    )
    seen = plan_evaluation(folder, searched_there, orders=("numpy-1993",), **settings)  # type: ignore[arg-type]
    assert not seen.held_out


def test_a_search_over_the_first_increments_is_evaluated_on_the_whole_stream(searched: Path) -> None:
    record = record_of(searched).model_copy(update={"protocol": "first_1", "horizon": 1})
    plan = plan_evaluation(
        SearchFolder(searched), record, orders=(1001,), seeds=1, with_default=False, threads=1, device="cpu"
    )
    assert plan.runs[0].config.horizon == 3


def test_a_merged_stream_trains_on_all_training_files_and_has_nothing_to_validate_on() -> None:
    stream = open_stream(StreamRecord(name="fashion-b4-t3"))
    order = tuple(reversed(stream.class_order))
    merged = stream.merge(order)
    assert merged.class_order == order and merged.class_names == tuple(reversed(stream.class_names))
    for t in range(4):
        whole = merged.training(t)
        labels = np.array(order)[whole.labels.numpy()]
        assert set(labels) == {order[c] for c in stream.classes(t)}
        assert len(whole) == merged.n_training(t) == np.isin(stream.raw_labels, list(set(labels))).sum()
    parts = [part(t) for t in range(4) for part in (stream.training, stream.validation)]
    together = sorted(image.tobytes() for part in parts for image in part.gather(torch.arange(len(part))).numpy())
    every = [merged.training(t) for t in range(4)]
    assert together == sorted(i.tobytes() for part in every for i in part.gather(torch.arange(len(part))).numpy())
    with pytest.raises(ValueError, match="merged"):
        merged.validation(0)


def test_stages_of_merged_streams_have_keys_of_their_own_and_depend_on_no_split() -> None:
    stream = open_stream(StreamRecord(name="fashion-b4-t3"))
    other_split = open_stream(StreamRecord(name="fashion-b4-t3", split_seed=5))
    assert stream.identity(0) != stream.merge(stream.class_order).identity(0)
    assert stream.merge(stream.class_order).identity(2) == other_split.merge(stream.class_order).identity(2)


def test_test_images_are_cut_into_increments_by_the_class_order_of_the_run() -> None:
    merged = open_stream(StreamRecord(name="fashion-b4-t3")).merge((9, 3, 1, 0, 2, 4, 5, 6, 7, 8))
    test = open_test_set(DATASETS["fashion"])
    parts = by_increment(test, merged)
    assert [sorted(set(part.labels.tolist())) for part in parts] == [[0, 1, 2, 3], [4, 5], [6, 7], [8, 9]]
    assert sum(len(part) for part in parts) == len(test.images)
    bags = test.images.gather(torch.nonzero(test.images.labels == 3).flatten())
    ours = parts[0].gather(torch.nonzero(parts[0].labels == 1).flatten())
    assert torch.equal(ours, bags), "label 3 is the second to arrive"


def test_test_images_of_other_classes_than_the_training_images_are_refused() -> None:
    merged = open_stream(StreamRecord(name="fashion-b4-t3")).merge(tuple(range(10)))
    test = open_test_set(DATASETS["fashion"])
    first, second, *rest = test.class_names
    for names in ((second, first, *rest), test.class_names[:9]):
        with pytest.raises(TuneCLError, match=r"^fashion: training and test images are not of the same classes: label"):
            by_increment(dataclasses.replace(test, class_names=names), merged)


def test_an_interval_is_over_class_orders_where_there_are_several() -> None:
    values, orders = [0.50, 0.52, 0.60, 0.62, 0.70, 0.72], ["a", "a", "b", "b", "c", "c"]
    found = statistic(values, orders)
    interval = stats.ttest_1samp([0.51, 0.61, 0.71], 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.mean == pytest.approx(0.61) and found.std == pytest.approx(np.std(values, ddof=1))
    too_narrow = stats.ttest_1samp(values, 0).confidence_interval()
    assert found.high - found.low > too_narrow.high - too_narrow.low  # type: ignore[operator]


def test_an_interval_over_one_class_order_is_over_its_seeds_and_one_run_has_none() -> None:
    values = [0.5, 0.6, 0.55]
    found, interval = statistic(values, ["a"] * 3), stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    single = statistic([0.5], ["a"])
    assert (single.mean, single.std, single.low, single.high) == (0.5, None, None, None)
    assert within_noise(single) and within_noise(statistic([-0.1, 0.2], "ab")) and not within_noise(found)


def test_a_published_class_order_is_evaluated_alone_where_no_held_out_ones_are_asked_for(
    searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(searched), "--class-order", "numpy-1993", "--seeds", "2", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "2 runs" in shown and "numpy-1993" in shown and "seed-1001" not in shown


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert main(["evaluate", *map(str, argv)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_refusals_are_one_sentence(searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beside = "--results", searched.parent
    assert "no search of that name" in refused(capsys, "ss", *beside)
    assert "not the folder of a search" in refused(capsys, tmp_path)
    assert "--orders 0: must be at least 1" in refused(capsys, searched, "--orders", 0)
    assert "--gpus-per-trial 1.5: must be" in refused(capsys, searched, "--gpus-per-trial", 1.5)
    assert "did you mean numpy-1993" in refused(capsys, searched, "--class-order", "numpy-1994").replace("'", "")
    assert "orders CIFAR-100's 100 labels, but here are 10" in refused(capsys, searched, "--class-order", "podnet")
    assert "unknown option --order; did you mean '--orders'" in refused(capsys, searched, "--order", 3)
    folder = Path(shutil.copytree(searched, tmp_path / "s"))
    write_json(folder / "search.json", record_of(folder).model_copy(update={"method": "my_own"}))
    assert "one of your own needs --plugin" in refused(capsys, folder, *EVALUATION)
    write_json(folder / "search.json", record_of(searched).model_copy(update={"data_fingerprint": 64 * "0"}))
    others = refused(capsys, folder, *EVALUATION)
    assert "a search on other images: the training files of fashion are not those of then (fingerprint 0000" in others
    assert "install the tune_cl of then" in others  # they came with the package
    write_json(folder / "search.json", record_of(searched))
    (folder / "summary.json").unlink()
    assert "has chosen nothing yet" in refused(capsys, folder, *EVALUATION)
    assert not (folder / "evaluation").exists()


def test_a_search_that_was_killed_after_it_chose_is_not_evaluated(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SearchFolder(Path(shutil.copytree(searched, tmp_path / "s")))
    summary = read_record(folder.summary, Summary)
    before = [t.model_copy(update={"increment": 1, "state": "running"}) if t.trial == 1 else t for t in summary.table]
    write_json(folder.summary, summary.model_copy(update={"table": before}))
    assert "trial 0001 has reported since the search last chose" in refused(capsys, folder.path)
    assert not folder.evaluation.path.exists()


def test_trials_that_have_not_ended_are_told_before_test_data_are_read(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SearchFolder(Path(shutil.copytree(searched, tmp_path / "s")))
    write_json(folder.search, record_of(searched).model_copy(update={"trials": 5}))
    for path, told in ((folder.path, True), (searched, False)):
        assert main(["evaluate", str(path), "--dry-run"]) == 0
        assert ("3 of the search's 5 trials have not ended" in capsys.readouterr().out.replace("\n", " ")) == told


def test_a_folder_that_cannot_be_written_is_said_so(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SearchFolder(Path(shutil.copytree(searched, tmp_path / "s")))
    folder.lock.unlink(missing_ok=True)
    folder.lock.mkdir()  # a right that is lacking would not stop root
    assert ".lock: a folder, where a file is to be written; move it away" in refused(capsys, folder.path, "--dry-run")


class Unwatched:
    """Nobody is told."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


def test_runs_on_other_test_data_are_not_taken_together(searched: Path, tmp_path: Path) -> None:
    folder = SearchFolder(Path(shutil.copytree(searched, tmp_path / "s")))
    plan = plan_evaluation(
        folder, record_of(searched), orders=(1001,), seeds=2, with_default=False, threads=1, device="cpu"
    )
    conductor = EvaluationConductor(plan, Unwatched())
    rows = [
        row.model_copy(update={"metrics": {"test/accuracy": 0.5, "test/average_incremental_accuracy": 0.5}})
        for row in folder.trial(0).rows()
    ]
    for fingerprint in "ab":
        begun = conductor.next_trial()
        assert begun is not None
        conductor.on_examined(begun[0], Examined(rows=rows, fingerprint=fingerprint * 64, images=10).model_dump_json())
    summary = conductor.conclude()
    (configuration,) = summary.configurations
    assert configuration.runs == [plan.runs[0].name]
    assert (summary.readings, summary.readings_complete) == (1, False), "no opening was recorded, and one led to rows"
    assert "not those of the earlier runs" in summary.missing[plan.runs[1].name]
    scored = [r.fingerprint for r in read_lines(folder.evaluation.readings, Reading)]
    assert scored == ["a" * 64, "b" * 64], "the reading is in the record all the same"


def test_runs_on_both_kinds_of_device_are_told(searched: Path, tmp_path: Path) -> None:
    folder = SearchFolder(Path(shutil.copytree(searched, tmp_path / "s")))
    plan = plan_evaluation(
        folder, record_of(searched), orders=(1001,), seeds=2, with_default=False, threads=1, device="cpu"
    )
    assert plan.devices() == {"cpu"} and not list(warnings(plan))
    elsewhere = folder.evaluation.run(plan.runs[0].name)
    write_run(elsewhere.config, plan.runs[0].config.model_copy(update={"device": "cuda"}))
    assert plan.devices() == {"cpu"}, "it has no results yet and will be trained here"
    for row in folder.trial(0).rows():
        elsewhere.add_row(row)
    assert plan.devices() == {"cpu", "cuda"} and any("others on a GPU" in w for w in warnings(plan))


def test_a_search_that_still_runs_is_not_evaluated(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(searched, tmp_path / "s"))
    with exclusive_lock(SearchFolder(folder)):
        assert "another process is running this search" in refused(capsys, folder)
