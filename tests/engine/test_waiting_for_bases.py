"""What the driver does while a base is being trained: avoid it, open another, or let the slot wait and count it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from search_cli import CHEAP, SPACE, rows_of, search, states_of, summary_of

from tune_cl.engine import Conductor
from tune_cl.engine._adapters import StudySearcher
from tune_cl.engine._idle import IdleClock
from tune_cl.records import (
    Failure,
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    SearchSeeds,
    StreamRecord,
    read_record,
)
from tune_cl.study import Deferred, Study
from tune_cl.tracking import Event, SlotDeferred, TrialStarted

sys.path.insert(0, str(Path(__file__).parent.parent / "study"))

from search_trees import BASE_LR, LR, resolved, settings, space_dict

pytestmark = pytest.mark.ray

FIXED = {LR: {"log": [1e-5, 1e-1]}}
SEARCHED = {BASE_LR: {"log": [1e-3, 1]}, **FIXED}


class Listener:
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def close(self, timeout: float) -> None:
        pass

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Driver:
    """A conductor over a toy search in a folder, as one process of the driver has it."""

    def __init__(self, folder: Path, parameters: dict[str, Any], *, slots: int = 2, **changes: Any) -> None:
        space = resolved(folder, space_dict(parameters))
        how = settings(**{"sampler": "random", **changes})
        self.study = Study.open(folder / "s.journal", "s", space, how)
        record = SearchRecord(
            name="s",
            method="toy",
            stream=StreamRecord(name="fashion-b4-t3"),
            scale="small28",
            budget="quick",
            protocol="stream",
            horizon=how.horizon,
            objective=how.objective,
            seeds=SearchSeeds(),
            sampler=how.sampler,
            scheduler="none",
            base_configurations=how.base_configurations,
            threads=1,
            device="cpu",
            fixed=dict(space.fixed),
            ranges=space.written_ranges(),
            default=dict(space.default),
            data_fingerprint="0",
            trials=how.trials,
        )
        self.heard = Listener()
        self.conductor = Conductor(self.study, space, record, SearchFolder(folder / "s"), self.heard, slots=slots)
        self.conductor.begin()

    def begin(self) -> int:
        trial = self.conductor.next_trial()
        assert isinstance(trial, tuple)
        return trial[0]

    def waits(self) -> bool:
        return isinstance(self.conductor.next_trial(), Deferred)

    def report(self, trial: int, increment: int, value: float = 0.5) -> None:
        objective = "val/average_incremental_accuracy"
        row = IncrementRow(
            trial=trial,
            increment=increment,
            metrics={"val/accuracy": value, objective: value},
            accuracy_row=[value] * (increment + 1),
            losses={},
            stages=[],
            node="here",
        )
        self.conductor.on_increment(row, None)


def test_with_a_fixed_base_the_others_wait_until_the_first_trial_has_reported_it(tmp_path: Path) -> None:
    driver = Driver(tmp_path, FIXED)
    assert driver.begin() == 0
    assert driver.waits() and driver.waits()
    driver.report(0, 0)
    assert [driver.begin(), driver.begin()] == [1, 2]


def test_a_trial_that_fails_leaves_its_base_to_the_next_one(tmp_path: Path) -> None:
    driver = Driver(tmp_path, FIXED)
    driver.begin()
    assert driver.waits()
    driver.conductor.on_failure(0, Failure(reason="it broke", increment=0))
    assert driver.begin() == 1
    assert driver.waits()
    assert driver.heard.of(SlotDeferred) == [SlotDeferred((0,)), SlotDeferred((1,))]


def test_another_base_is_opened_instead_of_waiting_while_fewer_than_k_are_open(tmp_path: Path) -> None:
    driver = Driver(tmp_path, SEARCHED, slots=3, base_configurations=2)
    assert [driver.begin(), driver.begin()] == [0, 1]
    assert driver.waits()
    driver.report(1, 0)
    assert driver.begin() == 2
    started = driver.heard.of(TrialStarted)
    rates = [event.config.parameters["base"]["classifier"]["learning_rate"] for event in started]
    assert rates[0] != rates[1] == rates[2]


def test_bases_on_disk_are_ready_when_a_search_goes_on(tmp_path: Path) -> None:
    before = Driver(tmp_path, FIXED)
    before.begin()
    before.report(0, 0)
    before.begin()
    again = Driver(tmp_path, FIXED)
    assert [again.begin(), again.begin(), again.begin()] == [0, 1, 2]
    assert not again.heard.of(SlotDeferred)


def test_trials_left_running_wait_for_each_other_s_base(tmp_path: Path) -> None:
    before = Driver(tmp_path, FIXED)
    before.begin()
    again = Driver(tmp_path, FIXED)
    assert again.begin() == 0
    assert again.waits()


def test_a_wait_is_told_once_however_often_ray_asks(tmp_path: Path) -> None:
    driver = Driver(tmp_path, FIXED, slots=3)
    driver.begin()
    journal = tmp_path / "s.journal"
    assert driver.waits()
    before = journal.read_bytes()
    assert all(driver.waits() for _ in range(20))
    assert driver.heard.of(SlotDeferred) == [SlotDeferred((0,))]
    assert journal.read_bytes() == before
    driver.report(0, 0)
    assert [driver.begin(), driver.begin()] == [1, 2]
    assert len(driver.heard.of(SlotDeferred)) == 1


def test_a_driver_without_running_trials_never_waits(tmp_path: Path) -> None:
    for number, (parameters, k) in enumerate([(FIXED, None), (SEARCHED, None), (SEARCHED, 1), (SEARCHED, 3)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        driver = Driver(folder, parameters, base_configurations=k, trials=8)
        begun = 0
        while (trial := driver.conductor.next_trial()) is not None:
            assert isinstance(trial, tuple), "asked with no trial running"
            beside = driver.conductor.next_trial()
            for one in (trial, beside):
                if isinstance(one, tuple):
                    begun += 1
                    driver.conductor.on_failure(one[0], Failure(reason="it broke", increment=0))
        assert begun == 8


def test_ray_is_told_to_ask_again_and_not_that_the_search_is_over(tmp_path: Path) -> None:
    driver = Driver(tmp_path, FIXED, trials=2)
    searcher = StudySearcher(driver.conductor)
    first = searcher.suggest("a")
    assert isinstance(first, dict) and first["trial"] == 0
    assert searcher.suggest("b") is None
    driver.report(0, 0)
    second = searcher.suggest("b")
    assert isinstance(second, dict) and second["trial"] == 1
    assert searcher.suggest("c") == StudySearcher.FINISHED


def test_waiting_slots_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tune_cl.engine._conductor.IdleClock", lambda keep: IdleClock(keep, lambda: now[0]))
    driver = Driver(tmp_path, FIXED, slots=4, trials=6)
    driver.begin()
    now[0] += 50  # nobody asked for a trial
    assert driver.waits()
    now[0] += 1
    assert driver.waits()
    now[0] += 1
    driver.report(0, 0)
    driver.begin()
    assert driver.study.idle_seconds() == 3 * 2, "three slots of four for two seconds"
    now[0] += 50
    driver.begin()
    assert driver.study.idle_seconds() == 6


def test_slots_that_have_nothing_to_run_do_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("tune_cl.engine._conductor.IdleClock", lambda keep: IdleClock(keep, lambda: now[0]))
    driver = Driver(tmp_path, FIXED, slots=8, trials=2)
    driver.begin()
    driver.waits()
    now[0] += 5
    driver.report(0, 0)
    driver.begin()
    assert driver.study.idle_seconds() == 5, "one trial is left"


def test_a_crash_loses_little_of_a_long_wait_and_an_end_nothing() -> None:
    now, kept = [0.0], [0.0]
    clock = IdleClock(lambda seconds: kept.__setitem__(0, kept[0] + seconds), lambda: now[0])
    clock.waiting(2)
    for _ in range(1000):
        now[0] += 0.1
        clock.waiting(2)
        assert 2 * now[0] - kept[0] < 10.01
    now[0] += 0.1
    clock.waiting(2)
    now[0] += 30  # Ray ends its trials
    clock.close()
    assert kept[0] == pytest.approx(2 * 100.1)
    clock.waiting(0)
    assert kept[0] == pytest.approx(2 * 100.1)


@pytest.mark.slow
def test_two_trials_at_a_time_train_two_bases_once_each(tmp_path: Path) -> None:
    rate = "--set=base.classifier.learning_rate={log: [1e-4, 1e-1]}"
    options = (*SPACE, *CHEAP, rate, "--trials=6", "--concurrency=2", "--base-configurations=2", "--name=s")
    done = search(*options, "--results", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = SearchFolder(tmp_path / "s")
    assert sum(summary_of(folder).trials.values()) == 6
    assert "failed" not in states_of(folder)
    first = [rows[0].stages[0] for rows in rows_of(folder).values()]
    assert len({use.key for use in first}) == 2
    assert [use.origin for use in first].count("trained") == 2
    runs = [read_record(trial.config, RunConfig) for trial in folder.trials().values()]
    assert len({run.parameters["base"]["classifier"]["learning_rate"] for run in runs}) == 2
    assert runs[0].parameters["base"] != runs[1].parameters["base"], "opened ahead, since the default's was busy"


@pytest.mark.slow
def test_a_search_with_a_fixed_base_says_that_a_slot_waits_and_goes_on(tmp_path: Path) -> None:
    done = search(*SPACE, *CHEAP, "--trials=3", "--concurrency=2", "--name=s", "--results", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("a slot waits for the base of trial 0000") == 1
    folder = SearchFolder(tmp_path / "s")
    assert [rows[0].stages[0].origin for rows in rows_of(folder).values()] == ["trained", "reused", "reused"]
    assert "tune_cl:idle_seconds" in folder.study.read_text()
