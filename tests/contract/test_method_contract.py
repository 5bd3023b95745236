"""What every method owes under every loss: it learns, grows, resumes, repeats itself, sees no more than it says.

A chain of a base task and two increments on real images runs once per case. Its increments then run again, from the
stored stages of those before them, on a stream whose every image that they may not see is noise: an equal result shows
that it resumes, that it is deterministic, and that nothing else reached it. The last increment does so in every case.
The others have phases that it leaves out, for the sake of the next increment; these depend on what the base task sets
and not on the loss, so that they run again once for each method and base task.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import torch
from methods_under_test import (
    CASES,
    FINE_TUNING,
    FROZEN,
    MARGIN,
    METHODS,
    Case,
    run_of,
)

from tune_cl.chain import settings_of
from tune_cl.methods import get_method, leaves, method_names
from tune_cl.metrics import scored_metrics
from tune_cl.records import IncrementRow
from tune_cl.testing._chains import CHANCE, HORIZON, blinded, keep_stages, run_again, run_chain

Rows = Callable[[Case], list[IncrementRow]]

SCORES = {metric.name for metric in scored_metrics()}
COSTS = {"images_trained", "seconds", "paid/images_trained", "paid/seconds"}
LOSS = "increment.classifier.loss"
# One or two cases of each method run in the default suite, and all of those from outside the package.
AT_ONCE = {
    "finetune, ce", "frozen, ce", "lwf, ce", "lwf, relaxed", "feature_replay, ce", "image_replay, relaxed",
    "genifer, balanced", "oracle, ce", "joint, ce", "il_baseline, ce", "il_baseline, balanced", "icarl, balanced",
    "icarl, bce, finetuned", "lucir, balanced", "lucir, relaxed, no memory", "podnet, nca", "podnet, nca, finetuned",
}  # fmt: skip


def of_cases(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """A test of each case; most are slow."""
    marked = [pytest.param(case, marks=() if _at_once(case) else pytest.mark.slow) for case in cases]
    return pytest.mark.parametrize("case", marked, ids=str)


def _at_once(case: Case) -> bool:
    return str(case) in AT_ONCE or case.replays is None


each_case = of_cases(CASES)


def _base_tasks() -> list[Case]:
    """The first case of each method and of each way to set its base task, memory and generator."""
    found: dict[tuple[str, str], Case] = {}
    for case in CASES:
        base = {path: value for path, value in case.changes.items() if path.startswith("base.")}
        found.setdefault((case.method, str(base)), case)
    return list(found.values())


def _serves_the_next(case: Case) -> bool:
    """Whether an increment has phases that the last one leaves out."""
    return any(phase.for_successor for phase in get_method(case.method).increment)


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all cases: what they have in common is trained once."""
    return tmp_path_factory.mktemp("contract") / "stages"


@pytest.fixture(scope="session")
def base_again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of base tasks that ran again, where their later increments' images were noise."""
    return tmp_path_factory.mktemp("contract") / "base again"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def rows_of(stages: Path) -> Rows:
    """The rows of a case, from a chain that runs when they are first asked for."""
    known: dict[str, list[IncrementRow]] = {}

    def rows(case: Case) -> list[IncrementRow]:
        if str(case) not in known:
            known[str(case)] = run_chain(run_of(case), stages)
        return known[str(case)]

    return rows


def test_every_method_is_under_contract():
    assert sorted(METHODS) == sorted(method_names())


@pytest.mark.parametrize("method", METHODS)
def test_some_case_of_every_method_is_not_slow(method):
    assert any(_at_once(case) for case in CASES if case.method == method)
    assert {str(case) for case in CASES} >= AT_ONCE


@pytest.mark.parametrize("method", METHODS)
def test_every_loss_of_every_method_is_under_contract(method):
    loss = leaves(get_method(method).config).get(LOSS)
    held = {case.changes.get(LOSS, loss and loss.default) for case in CASES if case.method == method}
    assert held == set((loss and loss.choices) or held)


def test_fine_tuning_learns(rows_of):
    assert rows_of(FINE_TUNING)[-1].metrics["val/accuracy"] > CHANCE + 0.05


@pytest.mark.parametrize("case", FROZEN, ids=str)
def test_what_is_never_trained_again_keeps_what_it_knows_and_learns_nothing(case, rows_of):
    rows = rows_of(case)
    base = rows[0].accuracy_row[0]
    assert base > 2 / 4, "twice what guessing gives"
    assert [row.accuracy_row for row in rows] == [[base], [base, 0.0], [base, 0.0, 0.0]]
    assert [len(row.stages) for row in rows] == [1, 0, 0]
    assert rows[0].stages[0].key == rows_of(FINE_TUNING)[0].stages[0].key


@of_cases(case for case in CASES if case not in (FINE_TUNING, *FROZEN))
def test_it_learns_new_classes_and_forgets_less_than_fine_tuning(case, rows_of):
    fine_tuned, reached = (rows_of(which)[-1].metrics for which in (FINE_TUNING, case))
    for read_out in ("val/", "val/nme/") if read_by_means(case) else ("val/",):
        assert reached[f"{read_out}accuracy"] > fine_tuned["val/accuracy"] + MARGIN
        assert reached[f"{read_out}accuracy_old"] > fine_tuned["val/accuracy_old"] + MARGIN
        assert reached[f"{read_out}accuracy_new"] > CHANCE


def read_by_means(case: Case) -> bool:
    """Whether the case is read out by nearest class means, too: a method's own answer for its configuration."""
    return get_method(case.method).nearest_mean(settings_of(run_of(case)))


@each_case
def test_it_reports_every_metric(case, rows_of):
    rows = rows_of(case)
    replays = rows[-1].metrics["replay_accuracy"] is not None if case.replays is None else case.replays
    readouts = ("val/", "val/nme/") if read_by_means(case) else ("val/",)
    wanted = {f"{prefix}{name}" for prefix in readouts for name in SCORES} | COSTS | {"replay_accuracy"}
    at_base = {metric.name for metric in scored_metrics() if not metric.defined_at_base}
    for row in rows:
        assert {name for name in row.metrics if not name.startswith("generator/")} == wanted
        undefined = {name for name, value in row.metrics.items() if value is None}
        assert ("replay_accuracy" not in undefined) == (replays and row.increment > 0)
        scores = {name.rpartition("/")[2] for name in undefined - {"replay_accuracy"}}
        assert scores == (at_base if row.increment == 0 else set())
        assert len(row.accuracy_row) == row.increment + 1
        right = sum(accuracy * n for accuracy, n in zip(row.accuracy_row, row.images_scored, strict=True))
        each = sum(row.images_scored) / len(row.class_accuracy)  # every class has as many images
        assert sum(a * each for a in row.class_accuracy if a is not None) == pytest.approx(right, abs=0.5)
        assert (row.nearest_mean_class_accuracy is not None) == (row.nearest_mean_row is not None)
        assert (row.nearest_mean_row is not None) == read_by_means(case)
        assert bool(row.losses) == bool(row.stages)
        assert row.stages or (case in FROZEN and row.increment > 0)


@each_case
def test_its_head_grows_and_its_last_increment_depends_on_nothing_but_what_it_may_see(case, rows_of, stages, tmp_path):
    run_again(run_of(case), HORIZON, rows_of(case), stages, tmp_path / "again")


@of_cases(case for case in _base_tasks() if _serves_the_next(case))
def test_so_does_its_first_increment_with_the_phases_that_serve_the_next(case, rows_of, stages, tmp_path):
    run_again(run_of(case), 1, rows_of(case), stages, tmp_path / "again")


@of_cases(_base_tasks())
def test_so_does_its_base_task(case, rows_of, stages, base_again):
    run_again(run_of(case), 0, rows_of(case), stages, base_again)


@pytest.mark.parametrize("method", ["oracle", "joint"])
def test_a_control_that_sees_the_past_notices_when_it_is_noise(method, rows_of, stages, tmp_path):
    case = next(case for case in CASES if case.method == method)
    expected = rows_of(case)
    keep_stages(expected[:HORIZON], stages, tmp_path / "again")
    rows = run_chain(run_of(case), tmp_path / "again", blinded(run_of(case), HORIZON, stages, spare_past=False))
    assert rows[HORIZON].losses != expected[HORIZON].losses
