"""What a driver does for the store: what it needs is pinned and stays, the rest fits into the budget."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "chain"))

from small_stages import keys_in, publish, size_of, size_of_all
from tiny_chains import chain_of, rows_of, run_config, tiny_stream

from tune_cl.chain import planned_keys, settings_of
from tune_cl.engine._budget import StageBudget
from tune_cl.records import RunConfig, SearchFolder, write_atomically, write_run
from tune_cl.store import Pins, Upkeep

RATES = {0: 0.01, 1: 0.02, 2: 0.03}  # trial -> what it differs in


def run_of(trial: int) -> RunConfig:
    return run_config("finetune", {"increment.classifier.learning_rate": RATES[trial]}, horizon=2)


def planned(trial: int) -> list[str]:
    return [key for _, _, key in planned_keys(run_of(trial), tiny_stream())]


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """A search with three trials that have run, and their stages in `stages`."""
    folder = SearchFolder(tmp_path / "results" / "s")
    write_atomically(folder.search, "{}")
    for trial in RATES:
        run = run_of(trial)
        whole = run.model_copy(update={"parameters": settings_of(run).model_dump()})  # as a search writes it
        write_run(folder.trial(trial).config, whole)
        for row in rows_of(chain_of(run_of(trial), tmp_path / "stages")):
            folder.trial(trial).add_row(row.model_copy(update={"trial": trial}))
    return folder


def test_winner_default_and_running_trials_keep_their_stages(tmp_path: Path, folder: SearchFolder) -> None:
    stages = tmp_path / "stages"
    assert len(keys_in(stages)) == 1 + 3 * 2
    with StageBudget(stages, 1, folder, tiny_stream()) as budget:
        budget.update([], best=1)
        assert keys_in(stages) == {*planned(0), *planned(1)}
    assert Upkeep(stages).enforce(1).evicted == ()  # the pins of the winner outlast the driver
    assert keys_in(stages) == {*planned(0), *planned(1)}


def test_what_a_running_trial_needs_is_pinned_before_it_is_trained_and_no_longer_than_the_driver_lives(
    tmp_path: Path, folder: SearchFolder
) -> None:
    stages = tmp_path / "empty"
    with StageBudget(stages, None, folder, tiny_stream()) as budget:
        budget.update([1, 2], best=None)
        assert {*planned(1), *planned(2)} <= set(Pins(stages).pinned())
        budget.update([2], best=None)
        only_of_1 = set(planned(1)) - set(planned(2)) - set(planned(0))
        assert only_of_1 and only_of_1.isdisjoint(Pins(stages).pinned())
    assert set(Pins(stages).pinned()) == set(planned(0))


def test_another_winner_frees_the_stages_of_the_first_but_not_those_of_the_default(
    tmp_path: Path, folder: SearchFolder
) -> None:
    stages = tmp_path / "stages"
    with StageBudget(stages, 1, folder, tiny_stream(), every=0) as budget:
        budget.update([2], best=1)
        assert keys_in(stages) == {*planned(0), *planned(1), *planned(2)}
        budget.update([], best=2)
        assert keys_in(stages) == {*planned(0), *planned(2)}


def test_the_default_is_pinned_whole_though_another_trial_was_best_before_it_ended(
    tmp_path: Path, folder: SearchFolder
) -> None:
    path, stages = folder.trial(0).increments, tmp_path / "stages"
    lines = path.read_text().splitlines(keepends=True)
    with StageBudget(stages, 1, folder, tiny_stream(), every=0) as budget:
        path.write_text(lines[0])
        budget.update([0], best=1)
        path.write_text("".join(lines))
        budget.update([], best=1)
    assert keys_in(stages) == {*planned(0), *planned(1)}


def test_the_size_is_not_looked_at_again_at_once_unless_asked(tmp_path: Path, folder: SearchFolder) -> None:
    stages = tmp_path / "stages"
    with StageBudget(stages, 1, folder, tiny_stream(), every=3600) as budget:
        budget.update([], best=1)
        extra = publish(stages, "extra")
        budget.update([], best=1)
        assert extra in keys_in(stages)
        budget.update([], best=1, at_once=True)
        assert extra not in keys_in(stages)


def test_the_store_is_held_at_its_budget_while_it_grows(tmp_path: Path, folder: SearchFolder) -> None:
    stages = tmp_path / "stages"
    limit = size_of_all(stages) + 3 * size_of(stages, publish(stages, "0"))
    with StageBudget(stages, limit, folder, tiny_stream(), every=0) as budget:
        for i in range(1, 20):
            publish(stages, f"{i}", seconds=0.0)
            budget.update([1, 2], best=1)
            assert size_of_all(stages) <= limit
        assert budget.evicted_stages > 0
    assert {*planned(0), *planned(1), *planned(2)} <= keys_in(stages)


def test_a_budget_that_cannot_be_held_is_told_once(tmp_path: Path, folder: SearchFolder) -> None:
    said: list[str] = []
    with StageBudget(tmp_path / "stages", 1, folder, tiny_stream(), said.append, every=0) as budget:
        for _ in range(3):
            budget.update([2], best=1)
    complaints = [line for line in said if line.startswith("--max-store-size")]
    assert len(complaints) == 1 and "the budget is 1 B" in complaints[0]


def test_nothing_is_evicted_while_it_is_not_known_what_is_needed(tmp_path: Path, folder: SearchFolder) -> None:
    stages, said = tmp_path / "stages", list[str]()
    before = keys_in(stages)
    folder.trial(2).config.write_text("method: [")
    with StageBudget(stages, 1, folder, tiny_stream(), said.append, every=0) as budget:
        budget.update([2], best=1)
        budget.update([2], best=1)
        assert keys_in(stages) == before
    assert len(said) == 1 and "nothing is evicted" in said[0]


def test_a_store_that_cannot_be_written_fails_no_search(tmp_path: Path, folder: SearchFolder) -> None:
    stages, said = tmp_path / "stages", list[str]()
    (stages / "pins").write_text("a file where the folder should be")
    with StageBudget(stages, 1, folder, tiny_stream(), said.append, every=0) as budget:
        budget.update([2], best=1)
    assert set(planned(1)) <= keys_in(stages) and len(said) == 1
