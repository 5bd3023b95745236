"""The console's tables, and the JSON."""

import json
from pathlib import Path

import jsonschema
import pytest
from made_searches import OBJECTIVE, made
from rich.console import Console
from test_comparison_page import evaluated

from tune_cl.reports import Comparison, compare, console_parts, page
from tune_cl.reports._tables import per_class, tables


def console_text(comparison: Comparison, width: int = 160) -> str:
    console = Console(record=True, width=width, highlight=False, soft_wrap=True)
    with console.capture() as captured:
        for part in console_parts(comparison):
            console.print(part)
    return captured.get()


def test_console_says_what_is_best_what_it_cost_and_what_is_noise(tmp_path: Path) -> None:
    text = console_text(evaluated(tmp_path))
    for words in (
        "Comparison of genifer, lwf and finetune",
        f"Best of each search, by {OBJECTIVE}",
        "val/accuracy after each increment",
        "Test data, after the last increment",
        "genifer against lwf, test/average_incremental_accuracy: +0.1",
        "genifer is better (paired by class order and seed; interval over class orders)",
        "finetune is not evaluated, so it cannot be told from noise",
        "finetune-fashion-b4-t3-quick --with-default",
        "Different numbers of trials",
    ):
        assert words in text, words
    [line] = [line for line in text.splitlines() if line.startswith("genifer") and "0001" in line and "+" in line]
    assert line.split() == ["genifer", "0001", "0.8000", "0.6000", "+0.2000", "3", "1", "0"]
    assert "genifer: Never training again: 0.6096 average incremental accuracy, 0.3800 accuracy after" in text


def test_tables_have_a_cell_for_every_column(tmp_path: Path) -> None:
    for comparison in (evaluated(tmp_path), compare([made(tmp_path / "none", {}, failed=[0])])):
        for table in tables(comparison):
            assert all(len(row) == len(table.columns) for row in table.rows), table.name
            assert len(set(table.columns)) == len(table.columns), table.name


def test_classes_are_compared_on_test_data_where_there_is_an_evaluation_the_worst_first(tmp_path: Path) -> None:
    comparison = evaluated(tmp_path)
    tested = comparison.searches[0].search.evaluation
    assert tested is not None
    tested.configurations[0].class_accuracy.update({"class 0": 0.9, "class 1": 0.05})
    table = per_class(comparison)
    assert table.columns == ("class", "genifer, test", "lwf, validation", "finetune, validation")
    last = made(tmp_path / "again", {0: 0.55, 1: 0.6}).trials[1].class_accuracy
    assert table.rows[0] == ("class 1", "0.0500", f"{last['class 1']:.4f}", table.rows[0][3])
    assert [row[0] for row in table.rows[1:9]] == [f"class {c}" for c in range(9, 1, -1)], "by finetune, the worst"
    html = page(comparison)
    assert '<span class="share" style="--share: 5.0%">0.0500</span>' in html
    assert '<td><span class="share" style="--share: 0">-</span></td>' in html, "the evaluation names two classes"


def test_json_holds_everything_and_fits_its_schema(tmp_path: Path) -> None:
    comparison = evaluated(tmp_path)
    found = json.loads(comparison.model_dump_json())
    jsonschema.validate(found, Comparison.model_json_schema(mode="serialization"))
    assert found["schema_version"] == 1
    assert Comparison.model_validate_json(json.dumps(found)).model_dump() == comparison.model_dump()
    first = found["searches"][0]
    assert (first["label"], first["best"], first["value"]) == ("genifer", 1, pytest.approx(0.8))
    assert first["search"]["trials"][1]["by_increment"][-1][OBJECTIVE] == pytest.approx(0.8)
    assert [difference["verdict"] for difference in found["differences"]][2:] == ["real", "unknown", "unknown"]
