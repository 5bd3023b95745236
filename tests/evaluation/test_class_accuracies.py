"""Accuracy on each class over runs that saw the classes in different orders."""

from pathlib import Path

import pytest
from tracking_fixtures import HORIZON, row, run_config, search_record

from tune_cl.evaluation._plan import EvaluationPlan, EvaluationRun
from tune_cl.evaluation._summary import _by_class
from tune_cl.records import ClassesRecord, EvaluationPlace, SearchFolder, StreamRecord, Summary, write_json
from tune_cl.streams import class_order


@pytest.mark.parametrize("objective", ["val/accuracy", "val/nme/accuracy"])
def test_each_class_has_its_mean_by_name_whatever_the_order_in_which_it_arrived(tmp_path: Path, objective: str) -> None:
    names = [f"label {label}" for label in range(10)]
    folder, record = SearchFolder(tmp_path), search_record(objective=objective)
    of_search = [names[label] for label in class_order("seed", 10, record.stream.order_seed)]
    write_json(folder.classes, ClassesRecord(names=of_search, increments=[4, 2, 2, 2], pictured=[0]))
    plan = EvaluationPlan(folder, record, Summary.model_construct(), (), (), True, {}, (), (), 0)
    difficulty = {name: 0.01 * i for i, name in enumerate(names)}  # of label i
    last = []
    for seed, shift in ((1001, 0.1), (1002, 0.3)):
        stream = StreamRecord(name="fashion-b4-t3", order_seed=seed)
        by_class = [difficulty[names[label]] + shift for label in class_order("seed", 10, seed)]
        means = [value + 0.5 for value in by_class]
        scored = row(0, HORIZON).model_copy(
            update={"class_accuracy": by_class, "nearest_mean_class_accuracy": means if "nme" in objective else None}
        )
        run = EvaluationRun(0, EvaluationPlace(str(seed), 1), run_config().model_copy(update={"stream": stream}))
        last.append((run, scored))
    found = _by_class(plan, last)
    assert list(found) == of_search
    more = 0.5 if "nme" in objective else 0.0
    assert found == pytest.approx({name: difficulty[name] + 0.2 + more for name in names})


def test_older_rows_and_older_searches_have_none(tmp_path: Path) -> None:
    plan = EvaluationPlan(
        SearchFolder(tmp_path), search_record(), Summary.model_construct(), (), (), True, {}, (), (), 0
    )
    run = EvaluationRun(0, EvaluationPlace("1001", 1), run_config())
    assert _by_class(plan, [(run, row(0, HORIZON))]) == {}
    write_json(plan.folder.classes, ClassesRecord(names=list("abcdefghij"), increments=[4, 2, 2, 2], pictured=[0]))
    assert _by_class(plan, [(run, row(0, HORIZON))]) == {}
