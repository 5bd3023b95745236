"""Whatever hits one chain in a named moment, the same chain run again ends as if nothing had happened."""

from pathlib import Path

import pytest
from chain_runs import ChainRun, ChainServer, Uninterrupted
from fault_tools import SmallDisk, damage, published, small_disk
from grid import DAMAGED_CHECKPOINTS, DAMAGED_STAGES, FREED, FULL, KILLED, READ_ONLY, Case, each
from tripwire import Moment, let_go, log_of

DONE_BEFORE = {  # where -> the stages that are published when the chain is there
    "classifier": {(0, "classifier"), (0, "generator")},
    "generator": {(0, "classifier"), (0, "generator"), (1, "classifier")},
    "writing": {(0, "classifier"), (0, "generator"), (1, "classifier")},
    "publishing": {(0, "classifier"), (0, "generator"), (1, "classifier")},
    "between": {(0, "classifier"), (0, "generator"), (1, "classifier"), (1, "generator")},
}


def keys(whole: Uninterrupted, places: set[tuple[int, str]]) -> set[str]:
    return {whole.stages[place] for place in places}


@pytest.fixture
def disk(tmp_path: Path) -> SmallDisk:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@each(KILLED)
def test_a_killed_chain_goes_on_from_what_was_published(
    case: Case, server: ChainServer, whole: Uninterrupted, tmp_path: Path
) -> None:
    every = "0" if case.what.endswith("checkpoint") else "inf"
    run = ChainRun(server, tmp_path, tmp_path / "stages", case.moment, checkpoint_every=every)
    run.start_and_await()
    before = published(run.stages)
    assert before == keys(whole, DONE_BEFORE[case.where])
    assert len(list(run.stages.glob("drafts/*"))) == (case.where in ("writing", "publishing"))
    run.kill_in_the_moment()
    rows = run.again()
    run.assert_equal(rows, whole)
    assert set(run.began()) == set(whole.stages.values()) - before
    if case.moment.place == "phase":
        # Step n was being reported and not saved yet, so that with checkpoints the first step again is n.
        in_flight = whole.stages[case.moment.increment, case.moment.phase]
        assert run.began()[in_flight] == (case.moment.step if every == "0" else 1)


@each(DAMAGED_STAGES)
def test_a_damaged_stage_is_set_aside_and_it_alone_is_trained_again(
    case: Case, server: ChainServer, whole: Uninterrupted, tmp_path: Path
) -> None:
    how, name = case.what.split()
    run = ChainRun(server, tmp_path, tmp_path / "stages", case.moment)
    run.start_and_await()
    before = published(run.stages)
    ancestor = whole.stages[0, "classifier" if name == "state.pt" else "generator"]
    damage(run.stages / ancestor[:2] / ancestor / name, how)
    run.kill_in_the_moment()
    rows = run.again()
    run.assert_equal(rows, whole)
    assert set(run.began()) == set(whole.stages.values()) - before | {ancestor}
    assert [path.name.split("-")[0] for path in run.stages.glob("damaged/*")] == [ancestor]


@each(DAMAGED_CHECKPOINTS)
def test_a_phase_whose_checkpoint_is_damaged_begins_anew(
    case: Case, server: ChainServer, whole: Uninterrupted, tmp_path: Path
) -> None:
    run = ChainRun(server, tmp_path, tmp_path / "stages", case.moment, checkpoint_every="0")
    run.start_and_await()
    before = published(run.stages)
    in_flight = whole.stages[case.moment.increment, case.moment.phase]
    damage(run.stages / "checkpoints" / f"{in_flight}.pt", case.what.split()[0])
    run.kill_in_the_moment()
    rows = run.again()
    run.assert_equal(rows, whole)
    assert set(run.began()) == set(whole.stages.values()) - before
    assert run.began()[in_flight] == 1


@each(FULL)
def test_a_full_disk_ends_the_chain_with_its_reason_and_space_lets_it_go_on(
    case: Case, server: ChainServer, whole: Uninterrupted, disk: SmallDisk, tmp_path: Path
) -> None:
    # A checkpoint would be removed once its stage is published, and leave room for what comes next.
    every = "0" if case.moment.place == "phase" else "inf"
    run = ChainRun(server, tmp_path, disk.path / "stages", case.moment, checkpoint_every=every)
    run.start_and_await()
    disk.fill()
    let_go(run.wires)
    assert "No space left on device" in ending(run)
    in_flight = whole.stages[1, case.moment.phase or "generator"]
    before = published(run.stages)
    # A rename needs no space: what had been written was published, and the next stage found none for its lease.
    came_through = {(1, "generator")} if case.where == "publishing" else set()
    assert before == keys(whole, DONE_BEFORE[case.where] | came_through)
    # A checkpoint that could not be written did not end the phase: it came through and failed to publish.
    assert in_flight in {line["key"] for line in log_of(run.wires, "trained")}
    disk.free()
    rows = run.again()
    run.assert_equal(rows, whole)
    assert set(run.began()) == set(whole.stages.values()) - before
    if case.moment.place == "phase":
        assert run.began()[in_flight] == case.moment.step, "it goes on from the last checkpoint that there was room for"


@each(FREED)
def test_a_disk_that_is_full_for_some_steps_is_not_noticed(
    case: Case, server: ChainServer, whole: Uninterrupted, disk: SmallDisk, tmp_path: Path
) -> None:
    full, free = case.moment, Moment("phase", 1, case.moment.phase, case.moment.step + 2)
    run = ChainRun(server, tmp_path, disk.path / "stages", full, free, checkpoint_every="0")
    run.start_and_await(0)
    disk.fill()
    checkpoint = next((run.stages / "checkpoints").iterdir())
    saved = checkpoint.read_bytes()
    let_go(run.wires, 0)
    run.await_moment(1)
    assert checkpoint.read_bytes() == saved, "two more steps could not be saved"
    disk.free()
    let_go(run.wires, 1)
    code, output = run.end()
    assert code == 0, output
    run.assert_equal(run.rows(), whole)
    assert set(run.began()) == set(whole.stages.values())


@each(READ_ONLY)
def test_a_store_that_becomes_read_only_ends_the_chain_with_its_reason(
    case: Case, server: ChainServer, whole: Uninterrupted, disk: SmallDisk, tmp_path: Path
) -> None:
    run = ChainRun(server, tmp_path, disk.path / "stages", case.moment, checkpoint_every="0")
    run.start_and_await()
    disk.remount("ro")
    let_go(run.wires)
    assert "Read-only file system" in ending(run)
    before = published(run.stages)
    assert before == keys(whole, DONE_BEFORE[case.where])
    in_flight = whole.stages[1, case.moment.phase or "generator"]
    assert in_flight in {line["key"] for line in log_of(run.wires, "trained")}
    disk.remount("rw")
    rows = run.again()
    run.assert_equal(rows, whole)
    assert set(run.began()) == set(whole.stages.values()) - before


def ending(run: ChainRun) -> str:
    """The last line of a run that left its moment and failed."""
    code, output = run.end()
    assert code == 1, output
    (left,) = log_of(run.wires, "left")
    assert left["pid"] == run.pid
    return output.strip().splitlines()[-1]
