"""What speaks against a search's choice, and what its base task gives by itself, wherever a comparison is shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from browser import needs_chromium, opened
from made_searches import FROZEN, OBJECTIVE, RATE, SCORED, evaluation, made, write_search
from playwright.sync_api import Browser
from test_comparison_text import console_text

from tune_cl.records import Caution, EvaluationPlace, SearchFolder
from tune_cl.reports import Comparison, EvaluatedRun, compare, evaluation_cautions, page, read_search
from tune_cl.reports._tables import tables

AT_AN_END = 9  # the trial whose rate is the upper end of the range


def doubtful(tmp_path: Path, **changes: Any) -> Comparison:
    """A search whose best trial is below never training again, at an end of the range, and has lost what was old."""
    return compare([made(tmp_path / "lwf-fashion-b4-t3-quick", {0: 0.10, AT_AN_END: 0.20}, **changes)])


def kinds(comparison: Comparison) -> list[str]:
    return [caution.kind for caution in comparison.searches[0].cautions]


def test_never_training_again_is_that_of_the_best_trials_own_base(tmp_path: Path) -> None:
    [entry] = compare([made(tmp_path / "a", {0: 0.5, 1: 0.7})]).searches
    assert entry.never_trained_again is not None and entry.never_trained_again.trial == 1
    assert entry.never_trained_again.average_incremental_accuracy == pytest.approx((0.7 + 0.15) * FROZEN)
    assert entry.never_trained_again.accuracy == pytest.approx((0.7 + 0.15) * SCORED[0] / sum(SCORED))


def test_each_kind_of_doubt_is_found(tmp_path: Path) -> None:
    assert kinds(doubtful(tmp_path)) == ["below frozen", "old classes", "edge of range"]
    assert kinds(compare([made(tmp_path / "sound", {0: 0.6, 1: 0.7})])) == []


def test_the_default_was_not_searched_for_so_its_place_in_a_range_tells_nothing(tmp_path: Path) -> None:
    ranges = {RATE: {"log": [1e-3, 1e-1]}}
    assert kinds(compare([made(tmp_path / "a", {0: 0.7, 1: 0.6}, ranges=ranges)])) == []
    assert kinds(compare([made(tmp_path / "b", {1: 0.7}, ranges={RATE: {"log": [2e-3, 1e-1]}})])) == ["edge of range"]


def test_it_is_in_the_tables_and_in_a_sentence_on_the_console(tmp_path: Path) -> None:
    comparison = doubtful(tmp_path)
    text = console_text(comparison)
    for caution in comparison.searches[0].cautions:
        assert f"lwf, validation data: {caution.sentence}" in text
    found = {table.name: table for table in tables(comparison)}
    untrained = f"{0.35 * FROZEN:.4f}"
    assert f"lwf: Never training again: {untrained} average incremental accuracy" in text
    curve = [f"{0.35 * 40 / seen:.4f}" for seen in (40, 60, 80, 100)]
    assert ("lwf", "frozen", *curve) in found["increments"].rows
    assert found["averages"].rows[1][:3] == ("lwf", "frozen", untrained)


def test_it_is_in_json(tmp_path: Path) -> None:
    found = json.loads(doubtful(tmp_path).model_dump_json())["searches"][0]
    assert [caution["kind"] for caution in found["cautions"]] == ["below frozen", "old classes", "edge of range"]
    assert found["never_trained_again"]["average_incremental_accuracy"] == pytest.approx(0.35 * FROZEN)


@needs_chromium
def test_it_is_on_the_page(chromium: Browser, tmp_path: Path) -> None:
    on_test = [Caution(kind="old classes", sentence="<b>On test data</b> it is so, too.")]
    places = [(order, 1001) for order in (1001, 1002)]
    tested = evaluation(dict.fromkeys(places, 0.2), cautions=on_test, trial=AT_AN_END)
    comparison = doubtful(tmp_path, evaluation=tested)
    path = tmp_path / "comparison.html"
    path.write_text(page(comparison))
    with opened(chromium, path.as_uri(), viewport={"width": 400, "height": 800}) as shown:
        said = shown.page.locator("section.cautions li").all_text_contents()
        expected = [f"lwf, validation data: {caution.sentence}" for caution in comparison.searches[0].cautions]
        assert said == [*expected, "lwf, test data: <b>On test data</b> it is so, too."]
        card = shown.page.locator(".card").first.text_content() or ""
        assert f"never training again: {0.35 * FROZEN:.4f}" in card
        assert shown.overflow() <= 0
    assert shown.complaints == []


def test_a_sound_search_has_no_such_section(tmp_path: Path) -> None:
    comparison = compare([made(tmp_path / "a", {0: 0.6, 1: 0.7})])
    assert 'class="bear cautions"' not in page(comparison) and "Cautions" not in console_text(comparison)


def test_rows_of_earlier_versions_are_read_and_nothing_is_told_of_them(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "a", {0: 0.5, 1: 0.15})
    for trial in folder.trials().values():
        older = [row.model_dump(mode="json", exclude={"images_scored"}) for row in trial.rows()]
        trial.increments.write_text("".join(json.dumps(row) + "\n" for row in older))
    comparison = compare([read_search(folder)])
    assert comparison.searches[0].never_trained_again is None and kinds(comparison) == []
    assert comparison.searches[0].value == pytest.approx(0.5)
    assert all(row[1] != "frozen" for table in tables(comparison) for row in table.rows)


def test_an_evaluation_is_judged_by_the_means_over_its_runs(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "a", {0: 0.7, 1: 0.2})
    high, low = (_on_test(folder, trial) for trial in (0, 1))
    objective = OBJECTIVE.replace("val/", "test/")

    def found(chosen: list[EvaluatedRun], default: list[EvaluatedRun]) -> list[str]:
        return [caution.kind for caution in evaluation_cautions(chosen, default, objective, 4)]

    assert found([low], [high]) == ["below frozen", "new classes", "old classes"]
    assert found([low], []) == ["below frozen", "old classes"]
    assert found([low, high, high], [high]) == [], "one alone would be doubted; with the others it is not"
    assert found([], []) == []


def _on_test(folder: SearchFolder, trial: int) -> EvaluatedRun:
    """A trial's rows as if of test data."""
    rows = [
        row.model_copy(update={"metrics": {k.replace("val/", "test/"): v for k, v in row.metrics.items()}})
        for row in folder.trial(trial).rows()
    ]
    return EvaluatedRun(EvaluationPlace("seed-1", 1), rows)
