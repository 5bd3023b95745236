import json
import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from search_trees import LR, STEPS, Config, resolved, run_all, run_next, settings, space_dict

from tune_cl.errors import TuneCLError
from tune_cl.study import Proposal, Study

HALVING = "halving"


@pytest.fixture
def opener(tmp_path: Path) -> Any:
    space = resolved(tmp_path, space_dict())

    def open_study(name: str = "s", **changes: Any) -> Study:
        return Study.open(tmp_path / f"{name}.journal", name, space, settings(**changes))

    return open_study


def ask(study: Study) -> Proposal:
    proposal = study.ask()
    assert proposal is not None
    return proposal


def plainly_loaded(path: Path, name: str = "s") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(path))))


def test_trial_0_is_exactly_the_default(opener: Any) -> None:
    for sampler in ("tpe", "random"):
        proposal = ask(opener(sampler, sampler=sampler, search_seed=7))
        assert proposal.number == 0
        assert proposal.configuration == Config().model_dump()
        assert not proposal.resumed


def test_no_more_trials_are_begun_than_wanted_and_asking_for_more_continues(opener: Any) -> None:
    study = opener(trials=3)
    run_all(study)
    assert study.n_started() == 3
    assert study.ask() is None
    more = opener(trials=5)
    run_all(more)
    assert [trial.number for trial in more.trials()] == [0, 1, 2, 3, 4]


def test_with_nothing_to_search_there_is_only_the_default(tmp_path: Path) -> None:
    study = Study.open(tmp_path / "s.journal", "s", resolved(tmp_path, space_dict({})), settings())
    assert ask(study).configuration == Config().model_dump()
    assert study.ask() is None


@pytest.mark.parametrize("stopping", ["none", HALVING])
def test_a_study_reopened_after_every_trial_equals_an_uninterrupted_one(opener: Any, stopping: str) -> None:
    whole = opener("whole", stopping=stopping)
    run_all(whole)
    while run_next(opener("cut", stopping=stopping)) is not None:
        pass
    assert opener("cut", stopping=stopping).trials() == whole.trials()
    assert {trial.state for trial in whole.trials()} <= {"finished", "stopped"}


def test_asking_for_more_midway_changes_no_proposal(opener: Any) -> None:
    whole = opener("whole", trials=8)
    run_all(whole)
    part = opener("part", trials=8)
    for _ in range(3):
        run_next(part)
    more = opener("part", trials=40)
    for _ in range(5):
        run_next(more)
    assert more.trials() == whole.trials()


def test_a_trial_left_running_is_taken_up_again_first_under_its_number_once_per_process(opener: Any) -> None:
    study = opener()
    run_next(study)
    first, second = ask(study), ask(study)
    study.report(first.number, 0, 0.9)
    again = opener()
    taken = [ask(again), ask(again)]
    assert [p.number for p in taken] == [1, 2]
    assert [p.resumed for p in taken] == [True, True]
    assert [p.configuration for p in taken] == [first.configuration, second.configuration]
    assert [p.parameters for p in taken] == [first.parameters, second.parameters]
    third = ask(again)
    assert (third.number, third.resumed) == (3, False)


def test_trials_left_running_are_taken_up_even_when_as_many_have_begun_as_wanted(opener: Any) -> None:
    study = opener(trials=1)
    ask(study)
    assert study.ask() is None
    assert ask(opener(trials=1)).number == 0


def test_a_trial_that_has_ended_meanwhile_is_not_taken_up(opener: Any) -> None:
    ask(opener())
    again = opener()
    again.tell_failed(0, "the driver gave up on it")
    assert ask(again).number == 1


def test_a_crash_between_a_value_and_its_decision_leaves_the_value_to_be_decided_on(
    opener: Any, tmp_path: Path
) -> None:
    study = opener(stopping=HALVING)
    for _ in range(4):
        ask(study)
    for number in (0, 1):
        study.report(number, 1, 0.5)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "s.journal")))
    storage.set_trial_intermediate_value(2, 1, 0.1)  # the crash came here: the trial would be stopped
    storage.set_trial_intermediate_value(3, 1, 0.1)
    storage.set_trial_intermediate_value(3, 2, 0.1)  # this one has gone on
    again = opener(stopping=HALVING)
    assert again.report(2, 1, 0.9) == "stop", "the value that was stored first counts"
    assert again.report(3, 1, 0.1) == "continue"
    assert again.trials()[2].values == {1: 0.1}


def test_a_search_cut_inside_a_trial_ends_like_an_uninterrupted_one(opener: Any) -> None:
    whole = opener("whole", stopping=HALVING)
    run_all(whole)
    cut = opener("cut", stopping=HALVING)
    for _ in range(4):
        run_next(cut)
    proposal = ask(cut)
    cut.report(proposal.number, 0, next(t for t in whole.trials() if t.number == proposal.number).values[0])
    again = opener("cut", stopping=HALVING)
    run_all(again)
    assert again.trials() == whole.trials()


def test_reports_are_idempotent(opener: Any, tmp_path: Path) -> None:
    study = opener(stopping=HALVING)
    for number in range(3):
        ask(study)
        study.report(number, 0, 0.5)
    decisions = [study.report(0, 1, 0.5), study.report(1, 1, 0.6), study.report(2, 1, 0.1)]
    assert decisions == ["continue", "continue", "stop"]
    before = (tmp_path / "s.journal").read_bytes()
    for again in (study, opener(stopping=HALVING)):
        assert [again.report(0, 1, 0.5), again.report(1, 1, 0.6), again.report(2, 1, 0.1)] == decisions
    assert (tmp_path / "s.journal").read_bytes() == before, "a repeated report writes nothing"
    assert study.trials()[1].values == {0: 0.5, 1: 0.6}


def test_a_decision_stands_whatever_is_reported_later(opener: Any) -> None:
    study = opener(stopping=HALVING)
    for _ in range(4):
        ask(study)
    assert study.report(1, 1, 0.3) == "continue", "the first at a rung"
    assert study.report(2, 1, 0.2) == "stop"
    study.tell_stopped(2)
    assert study.report(3, 1, 0.9) == "continue"
    assert study.report(0, 1, 0.8) == "continue"
    again = opener(stopping=HALVING)
    assert again.report(1, 1, 0.3) == "continue"
    assert again.report(2, 1, 0.2) == "stop"
    assert again.report(2, 1, 0.99) == "stop", "the first report counts"
    assert again.trials()[2].values == {1: 0.2}


def test_only_values_at_the_same_increment_are_compared(opener: Any) -> None:
    study = opener(stopping=HALVING)
    for number in range(3):
        ask(study)
        study.report(number, 0, 0.9)
    assert study.report(1, 1, 0.5) == "continue", "0.9 is another trial's base task"


def test_trial_0_is_never_stopped_but_counts(opener: Any) -> None:
    study = opener(stopping=HALVING)
    for _ in range(4):
        ask(study)
    study.report(1, 1, 0.9)
    study.report(2, 1, 0.8)
    assert study.report(0, 1, 0.0) == "continue"
    assert study.report(0, 2, 0.0) == "continue"
    assert study.report(3, 1, 0.8) == "continue", "second of four, the default among them"


def test_the_horizon_always_continues(opener: Any) -> None:
    study = opener(stopping=HALVING, horizon=2)
    for _ in range(3):
        ask(study)
    assert [study.report(number, 2, value) for number, value in ((0, 0.9), (1, 0.8), (2, 0.1))] == ["continue"] * 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("increment", [0, 2, 3])
def test_a_value_that_is_missing_or_not_finite_fails_the_trial_even_the_default(
    opener: Any, value: float | None, increment: int
) -> None:
    study = opener()
    ask(study)
    assert study.report(0, increment, value) == "fail"
    assert opener().report(0, increment, 0.5) == "fail", "the decision stands"
    assert study.trials()[0].values == {}


def test_an_objective_that_is_not_defined_at_the_base_task_is_no_failure_there(opener: Any) -> None:
    study = opener(objective="val/forgetting", direction="min")
    ask(study)
    assert study.report(0, 0, None) == "continue"
    assert study.report(0, 1, None) == "fail"


def test_a_stopped_trial_keeps_what_it_reported_and_is_never_the_best(opener: Any, tmp_path: Path) -> None:
    study = opener()
    ask(study), ask(study)
    for increment, value in enumerate([0.9, 0.5, 0.4, 0.3]):
        study.report(0, increment, value)
    study.tell_finished(0)
    study.report(1, 0, 0.99)
    study.report(1, 1, 0.98)
    study.tell_stopped(1)
    best = study.best()
    assert best is not None
    assert (best.number, best.value) == (0, 0.3)
    stopped = study.trials()[1]
    assert (stopped.state, stopped.values, stopped.increment, stopped.value) == ("stopped", {0: 0.99, 1: 0.98}, 1, 0.98)
    frozen = plainly_loaded(tmp_path / "s.journal").trials[1]
    assert frozen.state is TrialState.PRUNED
    assert frozen.value == 0.98
    assert frozen.intermediate_values == {0: 0.99, 1: 0.98}


def test_a_failed_trial_keeps_its_reason_and_is_never_the_best(opener: Any) -> None:
    study = opener()
    ask(study), ask(study)
    study.report(1, 3, 0.99)
    study.tell_failed(1, "the loss is not finite at step 3")
    assert study.best() is None
    assert study.default_value() is None
    study.report(0, 3, 0.2)
    study.tell_finished(0)
    best = study.best()
    assert best is not None
    assert best.number == 0
    assert study.default_value() == 0.2
    failed = opener().trials()[1]
    assert (failed.state, failed.reason, failed.values) == ("failed", "the loss is not finite at step 3", {3: 0.99})


@pytest.mark.parametrize(("direction", "winner"), [("max", 1), ("min", 3)])
def test_the_best_is_judged_at_the_horizon_and_of_equals_it_is_the_earliest(
    opener: Any, direction: str, winner: int
) -> None:
    study = opener(direction=direction)
    for number, (early, late) in enumerate([(0.1, 0.5), (0.2, 0.7), (0.9, 0.7), (0.3, 0.4), (0.2, 0.4)]):
        ask(study)
        study.report(number, 2, early)
        study.report(number, 3, late)
        study.tell_finished(number)
    best = study.best()
    assert best is not None
    assert best.number == winner


def test_the_first_telling_of_a_trial_stands(opener: Any) -> None:
    study = opener()
    ask(study)
    study.report(0, 3, 0.5)
    for _ in range(2):
        study.tell_finished(0)
    study.tell_stopped(0)
    study.tell_failed(0, "late")
    trial = study.trials()[0]
    assert (trial.state, trial.reason) == ("finished", None)
    assert study.report(0, 3, 0.5) == "continue"
    assert study.report(0, 2, 0.1) == "continue"
    assert study.trials()[0].values == {3: 0.5}


def test_what_cannot_be_told_is_an_error_of_the_caller(opener: Any) -> None:
    study = opener()
    ask(study)
    with pytest.raises(ValueError, match="no value at the horizon"):
        study.tell_finished(0)
    with pytest.raises(ValueError, match="reported nothing"):
        study.tell_stopped(0)
    for number in (1, -1):
        with pytest.raises(ValueError, match="no trial"):
            study.report(number, 0, 0.5)
    with pytest.raises(ValueError, match="not within 0 … 3"):
        study.report(0, 4, 0.5)


def test_optuna_alone_reads_the_study(opener: Any, tmp_path: Path) -> None:
    study = opener(stopping=HALVING, trials=10)
    run_all(study)
    ask(opener(stopping=HALVING, trials=11))
    plain = plainly_loaded(tmp_path / "s.journal")
    states = {"finished": "COMPLETE", "stopped": "PRUNED", "running": "RUNNING"}
    assert {trial.state for trial in study.trials()} == {"finished", "stopped", "running"}
    assert [trial.state.name for trial in plain.trials] == [states[trial.state] for trial in study.trials()]
    assert [trial.params for trial in plain.trials] == [trial.parameters for trial in study.trials()]
    assert [trial.intermediate_values for trial in plain.trials] == [trial.values for trial in study.trials()]
    best = study.best()
    assert best is not None
    assert (plain.best_trial.number, plain.best_value) == (best.number, best.value)


def test_a_trial_is_begun_in_one_line_so_that_no_crash_leaves_half_of_it(opener: Any, tmp_path: Path) -> None:
    study = opener()
    path = tmp_path / "s.journal"
    for _ in range(2):
        before = path.read_bytes()
        ask(study)
        lines = path.read_bytes()[len(before) :].splitlines()
        assert len(lines) == 1
        assert {LR, STEPS} <= json.loads(lines[0])["params"].keys()


@pytest.mark.parametrize("torn", [b'{"op_code":5,"wor', b"{", b'{"op_code":5}'])
def test_a_line_that_a_crash_tore_is_cut_off(opener: Any, tmp_path: Path, torn: bytes) -> None:
    whole = opener("whole")
    run_all(whole)
    study = opener()
    for _ in range(3):
        run_next(study)
    with (tmp_path / "s.journal").open("ab") as file:
        file.write(torn)
    run_all(opener())
    assert opener().trials() == whole.trials()


def test_a_database_keeps_the_same_study(opener: Any, tmp_path: Path) -> None:
    journal = opener(stopping=HALVING)
    run_all(journal)
    url = f"sqlite:///{tmp_path}/study.db"

    def database() -> Study:
        return Study.open(url, "s", resolved(tmp_path, space_dict()), settings(stopping=HALVING))

    while run_next(database()) is not None:
        pass
    assert database().trials() == journal.trials()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sampler": "random"}, "sampler"),
        ({"search_seed": 1}, "search seed"),
        ({"horizon": 2}, "horizon"),
        ({"objective": "val/accuracy"}, "objective"),
        ({"direction": "min"}, "direction"),
        ({"stopping": HALVING}, "stopping"),
    ],
)
def test_a_study_is_not_continued_under_another_definition(opener: Any, changes: dict[str, Any], what: str) -> None:
    opener()
    with pytest.raises(TuneCLError, match=f"study 's' began with another {what}; repeat it, or use another --name"):
        opener(**changes)


@pytest.mark.parametrize(
    ("parameters", "what"),
    [({LR: 0.5}, "fixed"), ({LR: {"log": [1e-4, 1e-2]}}, "fixed"), ({STEPS: {"int": [10, 60]}}, "ranges")],
)
def test_a_study_is_not_continued_in_another_space(tmp_path: Path, parameters: dict[str, Any], what: str) -> None:
    Study.open(tmp_path / "s.journal", "s", resolved(tmp_path, space_dict({STEPS: {"int": [10, 50]}})), settings())
    with pytest.raises(TuneCLError, match=f"began with another {what}"):
        Study.open(tmp_path / "s.journal", "s", resolved(tmp_path, space_dict(parameters)), settings())


def test_somebody_elses_study_is_left_alone(opener: Any, tmp_path: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "s.journal")))
    optuna.create_study(study_name="s", storage=storage).add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(TuneCLError, match="was not made by a search"):
        opener()


@pytest.mark.parametrize(
    "content", ["hello", "hello\nworld\n", '{"a": 1}\n', '{"op_code":77}\n', '{"op_code":0}\nx\n\n']
)
def test_a_file_that_is_no_journal_is_refused_and_not_touched(opener: Any, tmp_path: Path, content: str) -> None:
    path = tmp_path / "s.journal"
    path.write_text(content)
    with pytest.raises(TuneCLError, match=r"s\.journal: not an Optuna journal"):
        opener()
    assert path.read_text() == content
    assert not list(tmp_path.glob("*.lock"))


def test_a_place_that_cannot_be_written_is_refused_in_a_sentence(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict())
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "s.journal"):
        with pytest.raises(TuneCLError, match="the study cannot be opened"):
            Study.open(place, "s", space, settings())


@pytest.mark.parametrize(
    "url",
    ["sqlite:////no/such/folder/s.db", "nonsense://somebody:secret@host/db", "postgresql://a:b/secret@host/db"],
)
def test_a_database_that_cannot_be_opened_is_refused_without_showing_the_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(TuneCLError, match=r"://.*: the database") as error:
        Study.open(url, "s", resolved(tmp_path, space_dict()), settings())
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_failed_trial_is_begun_anew_under_its_number_and_optuna_keeps_the_failure(
    opener: Any, tmp_path: Path
) -> None:
    study = opener(trials=4)
    run_next(study)
    first = ask(study)
    study.report(first.number, 0, 0.9)
    study.tell_failed(first.number, "a damaged file")
    run_next(study)
    assert opener(trials=4).ask().number == 3, "the same command begins no failed trial"
    again = opener(trials=4)
    assert again.retry_failed() == [1]
    assert again.n_started() == 4
    retried = ask(again)
    assert (retried.number, retried.attempt, retried.resumed) == (1, 1, True)
    assert retried.configuration == first.configuration
    assert again.trials()[1].values == {}, "what the failed attempt reported is not its own"
    for increment in range(4):
        assert opener(trials=4).report(1, increment, 0.6 + increment / 100) == "continue", "and it can be interrupted"
    assert ask(opener(trials=4)).number == 1
    again.tell_finished(1)
    best = opener(trials=4).best()
    assert best is not None and (best.number, best.state) == (1, "finished")
    assert again.retry_failed() == []
    optuna_trials = plainly_loaded(tmp_path / "s.journal").trials
    assert [trial.state for trial in optuna_trials].count(TrialState.FAIL) == 1
    assert optuna_trials[1].state is TrialState.FAIL and optuna_trials[1].intermediate_values == {0: 0.9}
    assert optuna_trials[4].user_attrs["retry_of"] == 1 and optuna_trials[4].state is TrialState.COMPLETE
    rest = opener(trials=6)
    run_all(rest)
    assert [trial.number for trial in rest.trials()] == [0, 1, 2, 3, 4, 5]
    assert plainly_loaded(tmp_path / "s.journal").trials[4].user_attrs["retry_of"] == 1


def test_a_trial_that_fails_again_and_again_keeps_count_of_its_attempts(opener: Any) -> None:
    study = opener(trials=1)
    for attempt in range(3):
        proposal = ask(study)
        assert (proposal.number, proposal.attempt) == (0, attempt)
        study.tell_failed(0, f"attempt {attempt}")
        assert study.ask() is None
        assert study.trials()[0].reason == f"attempt {attempt}"
        assert study.retry_failed() == [0]
