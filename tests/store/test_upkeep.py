"""A store is held within a size: what is worth least goes, what somebody needs stays, and nobody is harmed."""

import json
import multiprocessing
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from small_stages import HOUR, age, keys_in, publish, size_of, size_of_all
from tiny_chains import METHODS, chain_of, comparable, origins, rows_of, run_config, tiny_stream

from tune_cl.chain import planned_keys
from tune_cl.store import Pins, StageStore, Upkeep
from tune_cl.text import bytes_text

FAR = 2**50  # bytes: a budget that holds anything


def must_stay(stages: Path, facts: dict[str, tuple[str | None, float]], budget: int, pinned: set[str]) -> set[str]:
    """The stages that are left, worked out anew after each that goes. Facts: key -> (parent, seconds), oldest first."""
    order, sizes = list(facts), {key: size_of(stages, key) for key in facts}
    left = set(facts)

    def family(key: str) -> int:
        return 1 + sum(family(child) for child in left if facts[child][0] == key)

    while sum(sizes[key] for key in left) > budget and left - pinned:
        left.remove(min(left - pinned, key=lambda k: (facts[k][1] * family(k) / sizes[k], order.index(k))))
    return left


def forest(stages: Path, seed: int, n: int = 24) -> dict[str, tuple[str | None, float]]:
    """A store of random trees; few distinct costs, so that there are ties."""
    draw, facts = random.Random(seed), dict[str, tuple[str | None, float]]()
    for i in range(n):
        parent = draw.choice([None, *facts])
        seconds = draw.choice([1.0, 2.0, 30.0])
        key = publish(stages, f"{i}", parent, seconds=seconds, kilobytes=draw.choice([1, 1, 8]), made=1e9 + i)
        facts[key] = (parent, seconds)
    return facts


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.8, 0.4])
def test_what_is_worth_least_goes_until_the_rest_fits(tmp_path: Path, seed: int, share: float) -> None:
    facts = forest(tmp_path, seed)
    pinned = set(random.Random(seed).sample(list(facts), 4))
    budget = int(share * size_of_all(tmp_path))
    expected = must_stay(tmp_path, facts, budget, pinned)
    with Pins(tmp_path).hold(pinned):
        planned = Upkeep(tmp_path).enforce(budget, dry_run=True)
        assert keys_in(tmp_path) == set(facts)
        pruned = Upkeep(tmp_path).enforce(budget)
    assert keys_in(tmp_path) == expected and pinned <= expected
    assert planned == pruned and {item.key for item in pruned.evicted} == set(facts) - expected
    assert pruned.after == size_of_all(tmp_path) <= budget and pruned.complaint is None


def test_a_stage_loses_value_with_those_that_build_on_it(tmp_path: Path) -> None:
    # With its two cheap children the base is worth 3 x 4 seconds, more than `other`; without them 4, less than it.
    base = publish(tmp_path, "base", seconds=4)
    children = {publish(tmp_path, f"child {i}", base, seconds=1) for i in range(2)}
    other = publish(tmp_path, "other", seconds=6)
    one = size_of(tmp_path, other)
    pruned = Upkeep(tmp_path).enforce(int(1.5 * one))
    assert keys_in(tmp_path) == {other}
    assert [item.key for item in pruned.evicted][2] == base and {i.key for i in pruned.evicted[:2]} == children


def test_of_equals_the_oldest_goes_first(tmp_path: Path) -> None:
    keys = [publish(tmp_path, f"{i:03}", made=1e9 + i) for i in (3, 1, 2)]
    Upkeep(tmp_path).enforce(int(1.5 * size_of(tmp_path, keys[0])))
    assert keys_in(tmp_path) == {keys[0]}


def test_a_store_within_its_budget_is_left_alone(tmp_path: Path) -> None:
    facts = forest(tmp_path, 0, 5)
    pruned = Upkeep(tmp_path).enforce(size_of_all(tmp_path))
    assert keys_in(tmp_path) == set(facts) and pruned.evicted == ()


def test_a_budget_smaller_than_what_is_pinned_is_told_in_a_sentence(tmp_path: Path) -> None:
    pinned, other = publish(tmp_path, "a"), publish(tmp_path, "b")
    with Pins(tmp_path).hold([pinned]):
        pruned = Upkeep(tmp_path).enforce(10)
    assert keys_in(tmp_path) == {pinned} and [item.key for item in pruned.evicted] == [other]
    assert pruned.complaint is not None and "\n" not in pruned.complaint
    assert bytes_text(size_of(tmp_path, pinned)) in pruned.complaint and "10 B" in pruned.complaint


def test_a_stage_that_is_being_trained_or_kept_stays(tmp_path: Path) -> None:
    leased, kept, other = (publish(tmp_path, name) for name in ("leased", "kept", "other"))
    lease = StageStore(tmp_path).lease(leased)
    assert lease is not None
    with lease:
        Upkeep(tmp_path).enforce(1, keep={kept})
        assert keys_in(tmp_path) == {leased, kept}
    Upkeep(tmp_path).enforce(1)
    assert keys_in(tmp_path) == set() != {other}


def test_a_pin_that_comes_during_the_eviction_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {publish(tmp_path, name) for name in "ab"}
    upkeep = Upkeep(tmp_path)
    scan, pins = upkeep.inventory.scan, []

    def scan_then_pin() -> Any:
        holdings = scan()
        pins.append(Pins(tmp_path).hold(keys))
        return holdings

    monkeypatch.setattr(upkeep.inventory, "scan", scan_then_pin)
    assert upkeep.enforce(1).evicted == ()
    assert keys_in(tmp_path) == keys
    pins[0].release()


def test_an_evicted_stage_is_trained_again_and_the_rows_are_the_same(tmp_path: Path) -> None:
    run = run_config("genifer", horizon=1)
    before = rows_of(chain_of(run, tmp_path))
    used = [use.key for row in before for use in row.stages]
    with Pins(tmp_path).hold([used[0]]):
        Upkeep(tmp_path).enforce(1)
    assert keys_in(tmp_path) == {used[0]}
    after = rows_of(chain_of(run, tmp_path))
    assert origins(after) == ["reused", "trained", "trained"]
    assert comparable(after) == comparable(before)


@pytest.mark.parametrize("method", METHODS)
def test_planned_keys_are_those_of_the_chain_and_of_its_stages(tmp_path: Path, method: str) -> None:
    run = run_config(method, horizon=2, train_seed=5)
    planned = planned_keys(run, tiny_stream())
    assert planned == chain_of(run, tmp_path).planned_keys()
    rows = rows_of(chain_of(run, tmp_path))
    assert [key for _, _, key in planned] == [use.key for row in rows for use in row.stages]


def _prune(stages: Path, budget: int, gate: Any) -> None:
    gate.wait()
    Upkeep(stages).enforce(budget)


def test_two_processes_that_prune_at_once_remove_no_more_than_one_would(tmp_path: Path) -> None:
    facts = forest(tmp_path, 7, 60)
    budget = size_of_all(tmp_path) // 2
    expected = must_stay(tmp_path, facts, budget, set())
    forked = multiprocessing.get_context("fork")
    gate = forked.Barrier(2)
    pruners = [forked.Process(target=_prune, args=(tmp_path, budget, gate)) for _ in range(2)]
    for pruner in pruners:
        pruner.start()
    for pruner in pruners:
        pruner.join()
    assert [pruner.exitcode for pruner in pruners] == [0, 0]
    assert keys_in(tmp_path) == expected
    assert list((tmp_path / "drafts").iterdir()) == []


def test_a_reader_finds_a_stage_whole_or_not_at_all(tmp_path: Path) -> None:
    keys = [publish(tmp_path, f"{i}", kilobytes=64) for i in range(40)]
    found: list[bool] = []
    begun, over = threading.Event(), threading.Event()

    def read() -> None:
        while not over.is_set():
            found.extend(StageStore(tmp_path).load(key) is not None for key in keys)
            begun.set()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    begun.wait()
    Upkeep(tmp_path).enforce(1)
    over.set()
    for reader in readers:
        reader.join()
    assert any(found) and keys_in(tmp_path) == set()
    assert list(tmp_path.glob("damaged/*")) == []


def test_an_inventory_that_lives_long_sees_what_comes_and_goes(tmp_path: Path) -> None:
    upkeep = Upkeep(tmp_path)
    assert upkeep.inventory.scan().entries == {}
    first, second = publish(tmp_path, "1"), publish(tmp_path, "2")
    assert set(upkeep.inventory.scan().entries) == {first, second}
    third = publish(tmp_path, "3", first)
    Upkeep(tmp_path).enforce(2 * size_of(tmp_path, first), keep={first, third})
    holdings = upkeep.inventory.scan()
    assert set(holdings.entries) == {first, third} and holdings.bytes == size_of_all(tmp_path)
    assert holdings.descendants() == {first: 1, third: 0}


def test_a_stage_is_read_once_however_often_one_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, "1")
    upkeep = Upkeep(tmp_path)
    upkeep.inventory.scan()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read again"))
    assert len(upkeep.inventory.scan().entries) == 1


# What is no stage.


def leave_draft(stages: Path, key: str, name: str = "") -> Path:
    """A draft as a killed process leaves it."""
    draft = stages / "drafts" / f"{name}{key[:16]}-{'0' * 32}"
    draft.mkdir(parents=True)
    (draft / "state.pt").write_bytes(b"x" * 5000)
    return draft


def leave_checkpoint(stages: Path, key: str) -> Path:
    path = stages / "checkpoints" / f"{key}.pt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * 5000)
    return path


def test_what_is_worth_nothing_goes_before_any_stage(tmp_path: Path) -> None:
    key = publish(tmp_path, "a")
    old, fresh, evicted = leave_draft(tmp_path, "1" * 64), leave_draft(tmp_path, "2" * 64), None
    age(old, 2 * HOUR)
    evicted = leave_draft(tmp_path, "3" * 64, "evicted-")
    done = leave_checkpoint(tmp_path, key)
    pruned = Upkeep(tmp_path).enforce(size_of(tmp_path, key) + 5000)
    assert [item.kind for item in pruned.evicted] == ["draft", "draft", "checkpoint"]
    assert not old.exists() and not evicted.exists() and not done.exists()
    assert fresh.exists() and keys_in(tmp_path) == {key} and pruned.after == size_of_all(tmp_path)


def test_checkpoints_that_somebody_may_go_on_from_go_last_and_pinned_ones_never(tmp_path: Path) -> None:
    stage = publish(tmp_path, "a")
    older, newer, pinned = (leave_checkpoint(tmp_path, digit * 64) for digit in "123")
    age(older, HOUR)
    with Pins(tmp_path).hold(["3" * 64]):
        Upkeep(tmp_path).enforce(11_000)
        assert keys_in(tmp_path) == set() != {stage}
        assert (older.exists(), newer.exists(), pinned.exists()) == (False, True, True)
        Upkeep(tmp_path).enforce(1)
    assert pinned.exists() and not newer.exists()


def test_clearing_takes_what_nobody_needs_and_nothing_else(tmp_path: Path) -> None:
    published, damaged = publish(tmp_path, "a"), publish(tmp_path, "b")
    (tmp_path / damaged[:2] / damaged / "state.pt").write_bytes(b"")
    assert StageStore(tmp_path).load(damaged) is None  # sets it aside
    wanted, forgotten = leave_checkpoint(tmp_path, "1" * 64), leave_checkpoint(tmp_path, "2" * 64)
    age(forgotten, 8 * 24 * HOUR)
    done = leave_checkpoint(tmp_path, published)
    writing = leave_draft(tmp_path, "4" * 64)
    planned = Upkeep(tmp_path).clear(dry_run=True)
    assert done.exists() and forgotten.exists()
    pruned = Upkeep(tmp_path).clear()
    assert planned == pruned and sorted(item.kind for item in pruned.evicted) == ["checkpoint", "checkpoint", "damaged"]
    assert wanted.exists() and writing.exists() and not done.exists() and not forgotten.exists()
    assert keys_in(tmp_path) == {published} and list((tmp_path / "damaged").iterdir()) == []


def test_files_that_are_none_of_the_stores_are_never_touched(tmp_path: Path) -> None:
    mine = [tmp_path / place for place in ("checkpoints/model.pt", "drafts/thesis/a.tex", "damaged/goods", "ab/notes")]
    for path in mine:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
        age(path.parent, 1000 * HOUR)
    Upkeep(tmp_path).clear()
    Upkeep(tmp_path).enforce(1)
    assert all(path.read_text() == "mine" for path in mine)


@pytest.mark.parametrize("content", ["", "{", json.dumps({"key": "no record"})])
def test_a_stage_with_a_damaged_record_is_told_as_damaged_and_goes_first(tmp_path: Path, content: str) -> None:
    good, bad = publish(tmp_path, "a"), publish(tmp_path, "b", seconds=1e6)
    (tmp_path / bad[:2] / bad / "stage.json").write_text(content)
    entries = Upkeep(tmp_path).inventory.scan().entries
    assert (entries[good].damaged, entries[bad].damaged) == (False, True)
    Upkeep(tmp_path).enforce(size_of(tmp_path, good))
    assert keys_in(tmp_path) == {good}


def test_a_record_that_names_itself_as_its_parent_hangs_nobody(tmp_path: Path) -> None:
    key = publish(tmp_path, "a")
    file = tmp_path / key[:2] / key / "stage.json"
    record = {**json.loads(file.read_text()), "parent": key, "record_checksum": None}
    file.write_text(json.dumps(record))
    assert Upkeep(tmp_path).inventory.scan().descendants() == {key: 0}
    assert Upkeep(tmp_path).enforce(FAR).evicted == ()


def test_there_is_nothing_in_a_store_that_is_not_there(tmp_path: Path) -> None:
    assert Upkeep(tmp_path / "none").enforce(1).before == 0
    assert not (tmp_path / "none").exists()
