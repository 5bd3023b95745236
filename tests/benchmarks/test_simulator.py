import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from made_recordings import (
    BASE,
    BASE_GAMMA,
    BASE_LR,
    HORIZON,
    INCREMENTS,
    LR,
    RANGES,
    SECONDS,
    WEIGHT,
    made_recording,
)
from simulator import NearestTrial, Recording, SimulatedSearch, Simulation, recorded_space, simulate

from tune_cl.errors import TuneCLError
from tune_cl.study import Proposal, Study, StudySettings

AIA = "val/average_incremental_accuracy"
CONTINUOUS = {BASE_LR: {"log": [0.001, 0.01]}, BASE_GAMMA: {"log": [0.01, 0.1]}}
ONE_BASE = {BASE_LR: 0.001, BASE_GAMMA: 0.01}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return made_recording(24)


def driven_alone(folder: Path, recording: Recording, ranges: Mapping[str, Any], **settings: Any) -> Study:
    """The study asked and told by a plain loop: no conductor, no adapters, no clock."""
    space = recorded_space(recording, ranges)
    defaults: dict[str, Any] = {"objective": AIA, "direction": "max", "horizon": HORIZON, "search_seed": 5}
    study = Study.open(folder / "alone.journal", "alone", space, StudySettings(**{**defaults, **settings}))
    while isinstance(proposal := study.ask(), Proposal):
        curve = NearestTrial(recording)(proposal.configuration).increments
        for increment in range(HORIZON + 1):
            if study.report(proposal.number, increment, curve[increment].metrics[AIA]) == "stop":
                study.tell_stopped(proposal.number)
                break
        else:
            study.tell_finished(proposal.number)
    return study


def outcome(search: SimulatedSearch) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.state, trial.parameters, trial.values) for trial in search.trials]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("scheduler", ["halving", "none"])
@pytest.mark.parametrize(("ranges", "k"), [({}, None), (CONTINUOUS, None), (CONTINUOUS, 3)])
def test_one_worker_proposes_and_decides_as_the_study_does_alone(
    tmp_path: Path, recording: Recording, sampler: str, scheduler: Any, ranges: Any, k: int | None
) -> None:
    simulation = Simulation(
        trials=20, sampler=sampler, search_seed=5, scheduler=scheduler, ranges=ranges, base_configurations=k
    )
    search = simulate(recording, simulation)
    study = driven_alone(
        tmp_path, recording, ranges, trials=20, sampler=sampler, stopping=scheduler, base_configurations=k
    )
    assert outcome(search) == [(view.number, view.state, view.parameters, view.values) for view in study.trials()]
    best = study.best()
    assert best is not None and search.best_value == best.value
    if scheduler == "halving":
        assert {trial.state for trial in search.trials} == {"finished", "stopped"}


def test_an_expression_decides_and_is_a_column_of_every_row(tmp_path: Path, recording: Recording) -> None:
    simulation = Simulation(trials=12, search_seed=5, objective=f"0.5*{AIA} + 0.25*val/accuracy+1")
    search = simulate(recording, simulation)
    assert len(search.trials) == 12 and {trial.state for trial in search.trials} <= {"finished", "stopped"}
    space = recorded_space(recording, {})
    for trial in search.trials:
        metrics = NearestTrial(recording)(space.configuration(trial.parameters)).increments[0].metrics
        assert trial.values[0] == pytest.approx(0.5 * metrics[AIA] + 0.25 * metrics["val/accuracy"] + 1)  # type: ignore[operator]


def cost_of(values: Mapping[int, float]) -> int:
    """Of a chain trained alone as far as it reported."""
    return sum(seconds for (increment, _), seconds in SECONDS.items() if increment in values)


@pytest.mark.parametrize("scheduler", ["halving", "none"])
def test_sharing_changes_the_costs_by_what_is_shared_and_no_value(recording: Recording, scheduler: Any) -> None:
    apart, shared = (
        simulate(recording, Simulation(trials=16, scheduler=scheduler, sharing=sharing)) for sharing in (False, True)
    )
    assert outcome(apart) == outcome(shared)
    alone = sum(cost_of(trial.values) for trial in shared.trials)
    classifiers = {trial.parameters[BASE_LR] for trial in shared.trials}
    bases = {(trial.parameters[BASE_LR], trial.parameters[BASE_GAMMA]) for trial in shared.trials}
    spared = (16 - len(classifiers)) * SECONDS[0, "classifier"] + (16 - len(bases)) * SECONDS[0, "generator"]
    assert len(bases) == 4
    assert apart.paid == apart.alone == shared.alone == alone
    assert shared.paid == alone - spared
    assert shared.makespan == shared.paid and shared.idle == 0
    assert shared.base_configurations == apart.base_configurations == 4
    assert shared.base_share == 16 * BASE / alone
    assert apart.saving == 1


def test_the_saving_with_whole_bases_is_its_bound(recording: Recording) -> None:
    one = simulate(recording, Simulation(trials=12, scheduler="none", ranges=ONE_BASE))
    assert one.base_configurations == 1
    assert one.saving == pytest.approx(12 * (BASE + INCREMENTS) / (12 * INCREMENTS + BASE))
    assert one.saving == pytest.approx(one.bound)
    unaware = simulate(recording, Simulation(trials=12, scheduler="none", ranges=CONTINUOUS))
    assert unaware.base_configurations == 12
    assert unaware.saving == unaware.bound == 1


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_bases_are_opened_than_allowed(recording: Recording, k: int, workers: int) -> None:
    simulation = Simulation(trials=20, base_configurations=k, workers=workers, ranges=CONTINUOUS, scheduler="none")
    search = simulate(recording, simulation)
    assert search.base_configurations == k
    assert len({(trial.parameters[BASE_LR], trial.parameters[BASE_GAMMA]) for trial in search.trials}) == k
    assert search.saving == pytest.approx(search.bound)


def test_a_worker_waits_for_a_stage_in_training_elsewhere(recording: Recording) -> None:
    two = simulate(recording, Simulation(trials=2, workers=2, scheduler="none", ranges={BASE_LR: 0.001}))
    assert {trial.parameters[BASE_GAMMA] for trial in two.trials} == {0.01, 0.1}  # one classifier, two generators
    assert [trial.waited for trial in two.trials] == [0, SECONDS[0, "classifier"]]
    assert two.deferred == 0
    assert two.idle == SECONDS[0, "classifier"]
    assert two.paid == 2 * (BASE + INCREMENTS) - SECONDS[0, "classifier"]
    assert two.makespan == BASE + INCREMENTS


def test_a_deferred_trial_begins_when_its_base_is_there_and_the_worker_was_idle(recording: Recording) -> None:
    two = simulate(recording, Simulation(trials=3, workers=2, scheduler="none", ranges=ONE_BASE))
    assert [(trial.began, trial.ended) for trial in two.trials] == [
        (0, BASE + INCREMENTS),
        (BASE, BASE + INCREMENTS),
        (BASE + INCREMENTS, BASE + 2 * INCREMENTS),
    ]
    assert two.deferred == two.idle == BASE
    assert [trial.waited for trial in two.trials] == [0, 0, 0]


@pytest.mark.parametrize("workers", [1, 4])
def test_the_same_simulation_again_gives_the_same_search(recording: Recording, workers: int) -> None:
    simulation = Simulation(trials=24, workers=workers, base_configurations=4, ranges=CONTINUOUS)
    assert simulate(recording, simulation) == simulate(recording, simulation)
    other = simulate(recording, Simulation(trials=24, workers=workers, search_seed=1))
    assert other != simulate(recording, Simulation(trials=24, workers=workers))


def test_time_is_spent_on_paid_stages_or_idly(recording: Recording) -> None:
    search = simulate(recording, Simulation(trials=24, workers=4))
    at_work = sum(trial.ended - trial.began - trial.waited for trial in search.trials)
    assert at_work == pytest.approx(search.paid)
    assert search.makespan < search.paid
    assert max(trial.paid_by_all for trial in search.trials) == pytest.approx(search.paid)
    assert at_work + search.idle <= 4 * search.makespan
    for begun in (trial.began for trial in search.trials):
        assert sum(trial.began <= begun < trial.ended for trial in search.trials) <= 4


def test_the_trajectory_holds_the_best_finished_value_so_far(recording: Recording) -> None:
    search = simulate(recording, Simulation(trials=24))
    finished = [trial for trial in search.trials if trial.state == "finished"]
    assert 1 < len(finished) < 24
    expected = list(itertools.accumulate((trial.values[HORIZON] for trial in finished), max))
    assert [best for _, best in search.trajectory] == expected
    assert [paid for paid, _ in search.trajectory] == [trial.paid_by_all for trial in finished]
    assert search.best_value == expected[-1]
    assert search.best_at(finished[1].paid_by_all) == expected[1]
    assert search.best_at(finished[0].paid_by_all - 1) is None


def test_images_and_functions_are_costs_like_seconds(recording: Recording) -> None:
    seconds, images, own = (
        simulate(recording, Simulation(trials=12, cost=cost))
        for cost in ("cpu_seconds", "images_trained", lambda increment, phase: 2.0 * SECONDS[increment, phase])
    )
    assert images.paid == 10 * seconds.paid and images.saving == seconds.saving
    assert own.paid == 2 * seconds.paid
    assert outcome(images) == outcome(own) == outcome(seconds)


def test_beyond_the_recorded_horizon_the_last_increment_is_repeated(recording: Recording) -> None:
    search = simulate(recording, Simulation(trials=12, horizon=5, cost=lambda increment, phase: 1.0, scheduler="none"))
    assert all(list(trial.values) == [0, 1, 2, 3, 4, 5] for trial in search.trials)
    assert all(trial.values[5] == trial.values[HORIZON] for trial in search.trials)
    assert search.alone == 12 * 11  # two phases at each increment, one at the last
    with pytest.raises(TuneCLError, match="generator phase of increment 2: it was not recorded"):
        simulate(recording, Simulation(trials=12, horizon=5))


def test_a_shorter_horizon_leaves_out_what_only_a_later_increment_needs(recording: Recording) -> None:
    search = simulate(recording, Simulation(trials=1, horizon=1))
    assert search.alone == BASE + SECONDS[1, "classifier"]


def test_no_trial_begins_when_the_budget_is_spent(recording: Recording) -> None:
    search = simulate(recording, Simulation(trials=24, budget=100, scheduler="none", ranges=CONTINUOUS))
    assert [trial.paid_by_all for trial in search.trials] == [35, 70, 105]


def test_another_objective_is_searched_for(recording: Recording) -> None:
    search = simulate(recording, Simulation(trials=6, objective="val/accuracy"))
    assert search.best_value == max(trial.values[HORIZON] for trial in search.trials if trial.state == "finished")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trials": 0}, "trials: 0, but it must be at least 1"),
        ({"sampler": "gird"}, "sampler: 'gird' is unknown"),
        ({"scheduler": "asha"}, "scheduler: 'asha' is unknown"),
        ({"objective": "accuracy"}, "objective: 'accuracy' is unknown"),
        ({"workers": 0}, "workers: 0 workers run nothing"),
        ({"horizon": 0}, "horizon: 0"),
        ({"ranges": {"increment.classifier.weight": 1}}, "increment.classifier.weight: the recorded trials"),
        ({"ranges": {WEIGHT: {"log": [1, 0.1]}}}, "reversed"),
        ({"cost": lambda increment, phase: -1.0}, "cost of the classifier phase of increment 0: -1.0"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(recording: Recording, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TuneCLError, match=message):
        simulate(recording, Simulation(**wrong))


def test_the_recording_by_hand_is_what_it_says() -> None:
    assert SECONDS[0, "classifier"] + SECONDS[0, "generator"] == BASE
    assert sum(SECONDS.values()) - BASE == INCREMENTS
    assert {WEIGHT, LR, BASE_LR, BASE_GAMMA} == RANGES.keys()
