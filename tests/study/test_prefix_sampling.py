"""Proposals that share base configurations, and that keep away from bases in training."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from search_trees import BASE_LR, BASE_STEPS, LR, STEPS, Config, quality, resolved, settings, space_dict, write_space

from tune_cl.errors import TuneCLError
from tune_cl.methods import get_method
from tune_cl.study import Deferred, Proposal, Study, check_option, load_space, resolve
from tune_cl.study._prefix import bases_due

REST = {LR: {"log": [1e-5, 1e-1]}, STEPS: {"int": [10, 200]}}
BOTH = {BASE_LR: {"log": [1e-3, 1]}, BASE_STEPS: {"int": [10, 1000]}, **REST}
# A base parameter below another one, and a parameter of the increments below the base.
CONDITIONAL = {
    BASE_STEPS: {"choice": [50, 100, 200]},
    BASE_LR: {"log": [1e-3, 1], "when": {BASE_STEPS: [100, 200]}},
    LR: {"log": [1e-5, 1e-1]},
    STEPS: {"int": [10, 200], "when": {BASE_STEPS: [50, 200]}},
}
SAMPLERS = pytest.mark.parametrize("sampler", ["tpe", "random"])


@pytest.fixture
def opener(tmp_path: Path) -> Any:
    def open_study(name: str = "s", parameters: dict[str, Any] = BOTH, **changes: Any) -> Study:
        return Study.open(
            tmp_path / f"{name}.journal", name, resolved(tmp_path, space_dict(parameters)), settings(**changes)
        )

    return open_study


def ask(study: Study, *busy: str) -> Proposal:
    proposal = study.ask(busy)
    assert isinstance(proposal, Proposal)
    return proposal


def finish(study: Study, proposal: Proposal, value: Callable[[dict[str, Any], int], float] = quality) -> None:
    for increment in range(4):
        if study.report(proposal.number, increment, value(proposal.configuration, increment)) == "stop":
            study.tell_stopped(proposal.number)
            return
    study.tell_finished(proposal.number)


def run_all(study: Study, value: Callable[[dict[str, Any], int], float] = quality) -> list[Proposal]:
    proposals = []
    while isinstance(proposal := study.ask(), Proposal):
        finish(study, proposal, value)
        proposals.append(proposal)
    return proposals


def bases(proposals: list[Proposal]) -> list[str]:
    """The base of each trial, told apart by its configuration alone."""
    return [str(proposal.configuration["base"]) for proposal in proposals]


@SAMPLERS
@pytest.mark.parametrize("stopping", ["none", "halving"])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_search_has_k_bases_and_opens_them_in_its_first_half(
    opener: Any, sampler: str, stopping: Any, k: int
) -> None:
    trials = run_all(opener(sampler=sampler, stopping=stopping, trials=16, base_configurations=k))
    assert len(trials) == 16
    assert len(set(bases(trials))) == len(set(bases(trials[:8]))) == k
    assert len({trial.parameters[LR] for trial in trials}) == 16, "the rest is drawn anew for each trial"
    assert [a.base == b.base for a in trials for b in trials] == [a == b for a in bases(trials) for b in bases(trials)]


@SAMPLERS
def test_more_bases_than_the_first_half_has_trials_are_opened_one_after_the_other(opener: Any, sampler: str) -> None:
    trials = run_all(opener(sampler=sampler, trials=8, base_configurations=6))
    assert len(set(bases(trials[:6]))) == len(set(bases(trials))) == 6


@SAMPLERS
def test_one_base_configuration_is_the_default_s_and_draws_the_rest_as_if_the_base_were_fixed(
    opener: Any, sampler: str
) -> None:
    fixed = run_all(opener("fixed", REST, sampler=sampler))
    one = run_all(opener("one", sampler=sampler, base_configurations=1))
    assert set(bases(one)) == {str(Config().model_dump()["base"])}
    assert [trial.configuration for trial in one] == [trial.configuration for trial in fixed]


@SAMPLERS
@pytest.mark.parametrize("k", [12, 13, 1000])
def test_as_many_base_configurations_as_trials_are_no_limit(opener: Any, sampler: str, k: int) -> None:
    free = run_all(opener("free", sampler=sampler))
    assert run_all(opener("limited", sampler=sampler, base_configurations=k)) == free
    assert len(set(bases(free))) == 12


def test_openings_are_spread_evenly_over_the_first_half() -> None:
    def opened(planned: int, k: int) -> list[int]:
        due = [bases_due(number, planned, k) for number in range(planned)]
        return [number for number in range(planned) if due[number] > (due[number - 1] if number else 0)]

    assert opened(16, 1) == [0]
    assert opened(16, 2) == [0, 4]
    assert opened(16, 4) == [0, 2, 4, 6]
    assert opened(100, 5) == [0, 10, 20, 30, 40]
    assert opened(8, 6) == [0, 1, 2, 3, 4, 5]
    assert opened(8, 8) == opened(8, 100) == list(range(8))
    for planned in range(2, 40):
        for k in range(1, planned // 2 + 1):
            numbers = opened(planned, k)
            gaps = [b - a for a, b in pairwise(numbers)]
            assert len(numbers) == k and numbers[-1] < planned / 2
            assert not gaps or max(gaps) - min(gaps) <= 1


def test_asking_for_more_trials_opens_no_base_later_than_planned_at_first(opener: Any) -> None:
    whole = run_all(opener("whole", trials=8, base_configurations=3))
    part = opener("part", trials=8, base_configurations=3)
    for _ in range(2):
        finish(part, ask(part))
    more = run_all(opener("part", trials=20, base_configurations=3))
    assert more[:6] == whole[2:]
    assert len(set(bases(whole + more))) == 3


@SAMPLERS
@pytest.mark.parametrize("parameters", [BOTH, CONDITIONAL])
def test_a_search_reopened_after_every_trial_proposes_what_an_uninterrupted_one_does(
    opener: Any, sampler: str, parameters: dict[str, Any]
) -> None:
    changes = {"parameters": parameters, "sampler": sampler, "base_configurations": 3}
    whole = opener("whole", **changes)
    run_all(whole)
    for _ in range(12):
        study = opener("cut", **changes)
        finish(study, ask(study))
    assert opener("cut", **changes).trials() == whole.trials()


def test_random_sampling_takes_each_open_base_about_as_often(opener: Any) -> None:
    trials = run_all(opener(sampler="random", trials=20, base_configurations=4))
    more = run_all(opener(sampler="random", trials=120, base_configurations=4))
    counts = Counter(bases(more))
    assert len(counts) == 4 and counts.keys() == set(bases(trials))
    assert all(12 <= count <= 38 for count in counts.values()), "100 trials: 25 each, give or take 3 deviations"


def test_tpe_learns_which_base_is_good_and_random_sampling_does_not(opener: Any) -> None:
    def response(configuration: dict[str, Any], increment: int) -> float:
        steps = configuration["base"]["classifier"]["steps"]
        return 1 - abs(steps - 700) / 1000 - abs(configuration["increment"]["classifier"]["steps"] - 120) / 1000

    def share_of_best(sampler: str, seed: int) -> float:
        study = opener(f"{sampler}{seed}", sampler=sampler, search_seed=seed, trials=40, base_configurations=4)
        trials = run_all(study, response)
        best = max(trials, key=lambda trial: -abs(trial.configuration["base"]["classifier"]["steps"] - 700))
        return sum(trial.base == best.base for trial in trials[20:]) / 20

    tpe = [share_of_best("tpe", seed) for seed in range(4)]
    at_random = [share_of_best("random", seed) for seed in range(4)]
    assert sum(at_random) / 4 < 0.4, "one in four"
    assert sum(tpe) / 4 > 0.6
    assert min(tpe) > sum(at_random) / 4


@SAMPLERS
def test_conditional_parameters_follow_the_base_that_is_reused(opener: Any, sampler: str) -> None:
    seen = set()
    for seed in range(6):
        study = opener(f"s{seed}", CONDITIONAL, sampler=sampler, search_seed=seed, trials=16, base_configurations=3)
        trials = run_all(study)
        # Two draws may give one base (50 steps have nothing else to draw): then fewer are open, never more.
        assert len(set(bases(trials))) <= 3
        for trial in trials:
            steps = trial.configuration["base"]["classifier"]["steps"]
            assert (BASE_LR in trial.parameters) == (steps in (100, 200))
            assert (STEPS in trial.parameters) == (steps in (50, 200))
            flat = trial.configuration["increment"]["classifier"]
            assert flat["steps"] == trial.parameters.get(STEPS, 50)
            seen.add(steps)
    assert seen == {50, 100, 200}


def test_a_base_that_depends_on_the_increments_cannot_be_told_apart_and_is_refused(tmp_path: Path) -> None:
    parameters = {
        STEPS: {"choice": [10, 50]},
        BASE_LR: {"log": [1e-3, 1], "when": {STEPS: 50}},
    }
    space = resolved(tmp_path, space_dict(parameters))
    with pytest.raises(TuneCLError, match=rf"base_configurations: {BASE_LR} is searched only .* fix {STEPS}, or drop"):
        Study.open(tmp_path / "s.journal", "s", space, settings(base_configurations=2))
    assert not (tmp_path / "s.journal").exists()
    run_all(Study.open(tmp_path / "s.journal", "s", space, settings()))


@SAMPLERS
def test_the_study_holds_the_base_s_own_parameters(opener: Any, tmp_path: Path, sampler: str) -> None:
    run_all(opener(sampler=sampler, base_configurations=2))
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "s.journal")))
    plain = optuna.load_study(study_name="s", storage=storage)
    for trial in plain.trials:
        assert list(trial.params) == [BASE_LR, BASE_STEPS, LR, STEPS]
        assert trial.distributions == plain.trials[0].distributions
    assert len({trial.params[BASE_LR] for trial in plain.trials}) == 2


@SAMPLERS
def test_a_base_that_only_failed_is_not_reused_while_another_is_open(opener: Any, sampler: str) -> None:
    study = opener(sampler=sampler, trials=30, base_configurations=2)
    trials = []
    while isinstance(proposal := study.ask(), Proposal):
        if len(set(bases([*trials, proposal]))) == 2 and bases([proposal]) != bases(trials[:1]):
            study.tell_failed(proposal.number, "diverged in the base task")
        else:
            finish(study, proposal)
        trials.append(proposal)
    assert Counter(bases(trials)).most_common()[1][1] == 1


def test_a_base_that_has_reported_is_reused_although_its_trial_failed_later(opener: Any) -> None:
    study = opener(base_configurations=1)
    first = ask(study)
    study.report(0, 0, 0.9)
    study.tell_failed(0, "later")
    assert ask(study).base == first.base
    forgetting = opener("f", base_configurations=2, objective="val/forgetting", direction="min", trials=30)
    first = ask(forgetting)
    assert forgetting.report(0, 0, None) == "continue", "nothing to say at the base, but it is trained"
    forgetting.tell_failed(0, "later")
    assert ask(forgetting).base == first.base


def test_if_the_only_open_base_fails_another_is_opened_and_if_all_fail_the_search_goes_on(opener: Any) -> None:
    study = opener(trials=10, base_configurations=2)
    trials = []
    while isinstance(proposal := study.ask(), Proposal):
        study.tell_failed(proposal.number, "always")
        trials.append(proposal)
    assert len(trials) == 10
    assert bases(trials)[0] != bases(trials)[1]
    assert len(set(bases(trials))) == 2


@SAMPLERS
def test_busy_bases_are_not_reused(opener: Any, sampler: str) -> None:
    def good_at_first_base(configuration: dict[str, Any], increment: int) -> float:
        return 1.0 if configuration["base"] == Config().model_dump()["base"] else 0.1

    for seed in range(5):
        study = opener(f"s{seed}", sampler=sampler, search_seed=seed, trials=20, base_configurations=3)
        done = []
        for _ in range(12):
            done.append(ask(study))
            finish(study, done[-1], good_at_first_base)
        names = list(dict.fromkeys(trial.base for trial in done))
        assert len(names) == 3
        assert ask(study, names[0], names[1]).base == names[2], "even if TPE likes another one better"
        assert ask(study, names[0]).base in names[1:]


@SAMPLERS
def test_if_all_open_bases_are_busy_another_is_opened_ahead_of_the_schedule(opener: Any, sampler: str) -> None:
    calm = opener("calm", sampler=sampler, trials=40, base_configurations=3)
    first = ask(calm)
    assert ask(calm).base == first.base, "the second base is due at trial 6"
    study = opener("busy", sampler=sampler, trials=40, base_configurations=3)
    open_now: list[str] = []
    for _ in range(3):
        open_now.append(ask(study, *open_now).base)
    assert len(set(open_now)) == 3
    assert study.ask(open_now) == Deferred(left=37)
    assert ask(study, *open_now[1:]).base == open_now[0]
    finish(study, ask(study))
    rest = run_all(study)
    assert {trial.base for trial in rest} <= set(open_now)


@SAMPLERS
def test_without_a_limit_a_busy_base_changes_no_proposal_since_every_draw_has_a_base_of_its_own(
    opener: Any, sampler: str
) -> None:
    busy, calm = opener("busy", sampler=sampler), opener("calm", sampler=sampler)
    names: list[str] = []
    for _ in range(12):
        one, other = ask(busy, *names), ask(calm)
        assert one == other
        names.append(one.base)


def test_without_a_limit_a_base_of_few_values_is_drawn_again_and_deferred_once_all_are_busy(opener: Any) -> None:
    study = opener(parameters={BASE_STEPS: {"choice": [50, 100]}, **REST}, trials=10)
    first = ask(study)
    for _ in range(3):
        second = ask(study, first.base)
        assert second.base != first.base
    assert study.ask([first.base, second.base]) == Deferred(left=6)


def test_with_a_fixed_base_the_other_trials_wait_for_the_first(opener: Any, tmp_path: Path) -> None:
    study = opener(parameters=REST)
    first = ask(study)
    before = (tmp_path / "s.journal").read_bytes()
    assert study.ask([first.base]) == Deferred(left=11)
    assert study.ask([first.base]) is not None
    assert (tmp_path / "s.journal").read_bytes() == before, "a deferred trial leaves nothing behind"
    calm = opener("calm", REST)
    ask(calm)
    assert ask(study) == ask(calm)
    assert ask(study, "a base of somebody else").base == first.base


def test_nothing_left_is_told_from_deferred(opener: Any) -> None:
    study = opener(parameters=REST, trials=1)
    first = ask(study)
    assert study.ask([first.base]) is None
    alone = opener("alone", {})
    assert alone.ask([ask(alone).base]) is None


def test_of_the_trials_left_running_the_first_whose_base_is_not_busy_comes_first(opener: Any) -> None:
    study = opener(trials=4, base_configurations=2)
    a = ask(study)
    b = ask(study, a.base)
    ask(study, b.base)
    again = opener(trials=4, base_configurations=2)
    assert again.ask([a.base, b.base]) == Deferred(left=4)
    taken = ask(again, a.base)
    assert (taken.number, taken.resumed, taken.base) == (1, True, b.base)
    assert again.ask([a.base]) == Deferred(left=3), "those left running come before new ones"
    assert [ask(again).number for _ in range(3)] == [0, 2, 3]
    assert again.ask() is None


def test_a_study_begun_before_there_was_a_limit_goes_on_without_one(opener: Any, tmp_path: Path) -> None:
    whole = run_all(opener("whole"))
    study = opener()
    finish(study, ask(study))
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "s.journal")))
    study_id = storage.get_study_id_from_name("s")
    definition = storage.get_study_user_attrs(study_id)["tune_cl:definition"]
    assert definition.pop("base_configurations") is None
    storage.set_study_user_attr(study_id, "tune_cl:definition", definition)
    assert run_all(opener()) == whole[1:]
    with pytest.raises(TuneCLError, match="began with another base configurations"):
        opener(base_configurations=2)


def test_waiting_slots_are_summed_over_all_runs(opener: Any) -> None:
    assert opener().idle_seconds() == 0
    opener().add_idle(2.5)
    study = opener()
    study.add_idle(1.25)
    assert study.idle_seconds() == opener().idle_seconds() == 3.75


def test_a_space_may_limit_the_base_configurations(tmp_path: Path) -> None:
    assert write_space(tmp_path, space_dict()).base_configurations is None
    assert write_space(tmp_path, space_dict(base_configurations=4)).base_configurations == 4
    assert check_option("base_configurations", 1, "--base-configurations") == 1


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("base_configurations", 0, "toy.yaml: base_configurations: 0, but it must be at least 1"),
        ("base_configurations", -2, "base_configurations: -2, but it must be"),
        ("base_configurations", 2.0, "base_configurations: 2.0 is not a whole number"),
        ("base_configurations", True, "base_configurations: True is not a whole number"),
        ("base_configurations", "two", "base_configurations: 'two' is not a whole number"),
        ("base_configurations", None, "base_configurations: None is not a whole number"),
        ("base_configuration", 2, "base_configuration: unknown key; did you mean 'base_configurations'?"),
    ],
)
def test_a_wrong_limit_is_refused_in_a_sentence(tmp_path: Path, key: str, value: Any, complaint: str) -> None:
    with pytest.raises(TuneCLError) as error:
        write_space(tmp_path, space_dict(**{key: value}))
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_the_base_of_a_sample_is_that_of_its_configuration(tmp_path: Path) -> None:
    space = load_space("genifer")
    path = "base.classifier.learning_rate"
    ranges = {path: {"log": [1e-4, 1e-1]}, "increment.classifier.weight_ce": {"log": [0.05, 0.9]}}
    config = get_method("genifer").config
    searched = resolve(space, config=config, scale="small28", budget="quick", overrides=ranges)
    default = searched.default[path]
    assert searched.base_of({}) == searched.base_of({path: default, "increment.classifier.weight_ce": 0.2})
    assert searched.base_of({}) != searched.base_of({path: default * 1.0000001})
