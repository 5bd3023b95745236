"""Finalists under further train seeds: over the base tasks as they are, resumed, counted, and never trained twice."""

import os
import signal
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from search_cli import (
    CHEAP,
    LAUNCH,
    SPACE,
    comparable,
    end_group,
    environment,
    rows_of,
    search_here,
    start,
    summary_of,
    wait_until,
)

import tune_cl
from tune_cl.engine import FinalistsConductor, finals_of
from tune_cl.engine._summary import summarise
from tune_cl.options import Numerics
from tune_cl.records import (
    Failure,
    Finalists,
    IncrementRow,
    SearchFolder,
    SearchRecord,
    SearchSeeds,
    StreamRecord,
    read_record,
)
from tune_cl.study import Deferred
from tune_cl.testing._searches import HORIZON, open_study, run_trial, small_space

FINALISTS = [1, 3, 0]  # of the search below, in the order of their values: two, and the default
RUNS = {
    1: FINALISTS,
    2: [1, 0],
    3: [1, 0],
}  # by seed: one chooses, two judge the winner
VALUE = {0: 0.5, 1: 0.6, 3: 0.55}  # of each under every further seed


def record_of(**changes: Any) -> SearchRecord:
    values: dict[str, Any] = {
        "name": "s",
        "method": "finetune",
        "stream": StreamRecord(name="fashion-b4-t3"),
        "scale": "small28",
        "budget": "quick",
        "protocol": "stream",
        "horizon": HORIZON,
        "objective": "val/accuracy",
        "seeds": SearchSeeds(),
        "sampler": "random",
        "scheduler": "none",
        **asdict(Numerics(device="cpu", threads=1, precision="float32", memory_format="contiguous")),
        "fixed": {},
        "ranges": {},
        "default": {},
        "data_fingerprint": "0" * 64,
        "trials": 4,
        "race": "finalists=2,top=0.25,fresh=2",
    }
    return SearchRecord.model_validate(values | changes)


class Race:
    """A race after a search of four trials, in a folder; its runs take no training."""

    def __init__(self, place: Path, **changes: Any) -> None:
        self.record, self.folder, self.told = record_of(**changes), SearchFolder(place), list[str]()
        self.study = open_study(place, small_space(), trials=4)
        for proposal in iter(self.study.ask, None):
            assert not isinstance(proposal, Deferred)
            run_trial(self.study, proposal)

    def conductor(self, **options: Any) -> FinalistsConductor:
        finals = finals_of(self.study, self.record)
        assert finals is not None
        search = self.study, small_space(), self.record, self.folder
        return FinalistsConductor(finals, *search, self.told.append, **options)

    def report(self, conductor: FinalistsConductor, number: int, value: float, upto: int = HORIZON) -> None:
        for t in range(upto + 1):
            conductor.on_increment(row(number, t, value), None)

    def summary(self) -> Finalists:
        found = summarise(self.study, self.record, self.folder).finalists
        assert found is not None
        return found


def row(number: int, increment: int, value: float) -> IncrementRow:
    metrics = {"val/accuracy": value}
    return IncrementRow(
        trial=number, increment=increment, metrics=metrics, accuracy_row=[], losses={}, stages=[], node="n"
    )


@pytest.fixture
def race(tmp_path: Path) -> Race:
    made = Race(tmp_path)
    assert sorted((0, 1, 3), key=lambda n: -(made.study.trials()[n].value or 0)) == FINALISTS
    return made


def go_on(race: Race, value: dict[int, float], most: int = 100, **options: Any) -> list[str]:
    """Run at most so many runs, one at a time; returns their names."""
    conductor, done = race.conductor(**options), []
    while len(done) < most and (given := conductor.next_trial()) is not None:
        assert not isinstance(given, Deferred), "one at a time, nothing is waited for"
        number, config = given
        run = conductor.runs[number]
        assert (config.train_seed, config.base_seed) == (run.seed, 0)
        race.report(conductor, number, value[run.trial])
        done.append(run.name)
    return done


def test_a_race_goes_on_where_it_was_and_ends_with_the_same_choice(race: Race, tmp_path: Path) -> None:
    whole = Race(tmp_path / "whole")
    everything = go_on(whole, VALUE)
    assert everything == [f"{trial:04d}-seed{seed}" for seed, trials in RUNS.items() for trial in trials]
    parts = go_on(race, VALUE, 1) + go_on(race, VALUE, 4) + go_on(race, VALUE)
    assert parts == everything and go_on(race, VALUE) == []
    assert race.told[0] == "finalist 0001, train seed 1: 0.6000; at most 6 runs left"
    assert race.told[-1] == "finalist 0000, train seed 3: 0.5000"
    assert race.summary() == whole.summary() and race.summary().missing == 0 and race.summary().runs == 7
    assert {run.path.name for run in race.folder.finalists()} == set(everything)


def test_while_runs_that_choose_are_in_flight_the_next_one_is_deferred(race: Race) -> None:
    conductor = race.conductor()
    assert conductor.missing == 3 + 4
    given = [conductor.next_trial() for _ in FINALISTS]
    assert isinstance(conductor.next_trial(), Deferred)
    for number in (0, 2):
        race.report(conductor, number, 0.5)
        assert isinstance(conductor.next_trial(), Deferred)
    assert all(isinstance(run, tuple) for run in given)
    assert conductor.in_flight.in_words() == ["run 0003-seed1, between two phases"]
    race.report(conductor, 1, 0.4)
    assert isinstance(conductor.next_trial(), tuple)


def test_a_half_run_keeps_its_rows_and_a_failed_one_is_tried_again_on_request_alone(race: Race) -> None:
    conductor = race.conductor()
    given = conductor.next_trial()
    assert isinstance(given, tuple)
    race.report(conductor, given[0], 0.5, upto=1)
    run = conductor.runs[given[0]]
    again = race.conductor()
    assert again.next_trial() == given, "killed, it comes again"
    again.on_failure(given[0], Failure(reason="the loss became NaN", increment=2))
    assert len(race.folder.finalist(run.trial, run.seed).rows()) == 2
    go_on(race, VALUE)
    assert race.summary().failed == {run.name: "the loss became NaN"} and race.summary().winner != run.trial
    assert go_on(race, VALUE) == []
    assert run.name in go_on(race, VALUE, retry_failed=True)
    assert race.summary().failed == {} and race.summary().winner == 1


def test_a_value_that_is_no_number_fails_the_run(race: Race) -> None:
    conductor = race.conductor()
    given = conductor.next_trial()
    assert isinstance(given, tuple)
    for t in range(HORIZON):
        assert conductor.on_increment(row(given[0], t, 0.5), None) == "continue"
    nothing = row(given[0], HORIZON, 0.5).model_copy(update={"metrics": {"val/accuracy": None}})
    assert conductor.on_increment(nothing, None) == "fail"
    assert "val/accuracy is not a number" in "".join(race.summary().failed.values())


def test_the_mean_chooses_the_winner_and_without_the_option_nothing_changes(race: Race) -> None:
    before = summarise(race.study, race.record.model_copy(update={"race": None}), race.folder)
    assert before.best is not None and before.best.trial == 1 and before.finalists is None
    go_on(race, {0: 0.9, 1: 0.2, 3: 0.2})
    after = summarise(race.study, race.record, race.folder)
    assert after.best is not None and after.best.trial == 0 and after.best.gain_error is None
    assert after.table == before.table and after.images_trained == before.images_trained
    unchanged = summarise(race.study, race.record.model_copy(update={"race": None}), race.folder)
    assert unchanged == before


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_killed_in_its_race_goes_on_and_trains_nothing_twice(tmp_path: Path) -> None:
    options = (*SPACE, *CHEAP, "--trials=2", "--scheduler=none", "--concurrency=1", "--name=s")
    options = (*options, "--seeds=finalists=2,fresh=2")
    assert search_here(*options, f"--results={tmp_path / 'whole'}")[0] == 0
    killed = SearchFolder(tmp_path / "killed" / "s")
    command = [LAUNCH / "search.py", *options, f"--results={tmp_path / 'killed'}"]
    process = start(command, tmp_path / "log", env=environment())
    try:
        wait_until(lambda: any(run.rows() for run in killed.finalists()[1:]), 200, "a second finalist has begun")
        os.killpg(process.pid, signal.SIGKILL)
    finally:
        end_group(process)
    assert not killed.summary.exists()
    code, text = search_here(*options, f"--results={tmp_path / 'killed'}")
    assert code == 0, text
    whole = SearchFolder(tmp_path / "whole" / "s")
    assert comparable(rows_of(killed)) == comparable(rows_of(whole))
    runs = [{run.path.name: run.rows() for run in folder.finalists()} for folder in (killed, whole)]
    assert comparable(runs[0]) == comparable(runs[1])  # type: ignore[arg-type]
    rows = [row for of_run in (*rows_of(killed).values(), *runs[0].values()) for row in of_run]
    trained = Counter(use.key for row in rows for use in row.stages if use.origin == "trained")
    assert set(trained) == {use.key for row in rows for use in row.stages} and set(trained.values()) == {1}
    assert all(of_run[0].stages[0].origin == "reused" for of_run in runs[0].values()), "base tasks are shared"
    ours, theirs = summary_of(killed).finalists, summary_of(whole).finalists
    assert ours is not None and theirs is not None and ours.missing == 0
    assert ours.model_copy(update={"seconds": 0}) == theirs.model_copy(update={"seconds": 0})
    assert "Finalists, by the mean over 2 train seeds" in text and "Beside the trials:" in text
    result = tune_cl.open_result(killed.path)
    assert result.finalists == ours and result.gain == ours.gain and result.best.number == ours.winner
    assert read_record(killed.search, SearchRecord).race == "finalists=2,top=0.25,fresh=2"
    untouched = search_here(*options[:-1], f"--results={tmp_path / 'killed'}")
    assert untouched[0] == 0 and summary_of(killed).finalists is None, "without the option, as it was"
