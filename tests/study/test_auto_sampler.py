"""The sampler `auto`, which chooses among samplers, and the grid."""

import itertools
import random
import time
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial

from tune_cl.study import Proposal, SearchSpace, Study
from tune_cl.study._sampler import Gp, Random, Tpe
from tune_cl.study._samplers import draw, drawn_distributions
from tune_cl.study._scratch import SamplerSettings
from tune_cl.testing._searches import ALL_RANGES, LABELS, LOSS, RATE, STEPS, WEIGHT, open_study, searched, small_space

NUMBERS = {RATE: {"log": [1e-4, 1e-1]}, STEPS: {"int": [10, 300]}}


def proposers(folder: Path, sampler: str, trials: int) -> list[str | None]:
    return [trial.proposer for trial in searched(folder, small_space(NUMBERS), sampler=sampler, trials=trials)]


def test_auto_is_random_then_tpe_then_a_gaussian_process_and_every_trial_names_its_proposer(tmp_path: Path) -> None:
    found = proposers(tmp_path, "auto(startup=3, gp=5, most=7)", 9)
    assert found == ["default", "random", "random", "tpe", "tpe", "gp", "gp", "tpe", "tpe"]


def test_without_options_the_gaussian_process_proposes_once_twelve_trials_have_reported(tmp_path: Path) -> None:
    study = open_study(tmp_path, small_space(NUMBERS), sampler="auto", trials=30)
    for number in range(14):
        proposal = study.ask()
        assert isinstance(proposal, Proposal)
        wanted = "default" if number == 0 else "random" if number < 10 else "tpe" if number < 12 else "gp"
        assert proposal.proposer == wanted
        study.report(number, 0, 0.1 * number)
        study.tell_stopped(number) if number % 2 else _finish(study, number)


def _finish(study: Study, number: int) -> None:
    for increment in range(1, 5):
        study.report(number, increment, 0.1 * number)
    study.tell_finished(number)


def test_a_search_in_which_every_trial_fails_stays_random(tmp_path: Path) -> None:
    study = open_study(tmp_path, small_space(NUMBERS), sampler="auto", trials=16)
    while isinstance(proposal := study.ask(), Proposal):
        study.tell_failed(proposal.number, "no reason")
    assert {trial.proposer for trial in study.trials()} == {"default", "random"}


def test_a_gaussian_process_models_a_parameter_that_only_some_trials_have() -> None:
    """What the sampler sees of a trial without it is the default."""
    space = small_space({LOSS: ALL_RANGES[LOSS], WEIGHT: ALL_RANGES[WEIGHT]})
    seen = _history(space, [{LOSS: "ce"}, {LOSS: "kd", WEIGHT: 0.1}, {LOSS: "kd", WEIGHT: 0.12}, {LOSS: "ce"}])
    chosen = [
        found.parameters[WEIGHT]
        for seed in range(4)
        if (found := _drawn(space, Gp(startup=2), seen, seed)).parameters.get(LOSS) == "kd"
    ]
    free = _drawn(space, Random(), seen, 0).parameters
    assert len(chosen) >= 2
    assert max(chosen) - min(chosen) < 0.3, f"they go where the value was best, not anywhere ({free})"


def _history(space: SearchSpace, points: list[dict[str, Any]]) -> list[Any]:
    found = drawn_distributions(space, limited=False)
    return [
        create_trial(
            state=TrialState.COMPLETE,
            params=point,
            distributions={path: found[path] for path in point},
            value=0.9 if WEIGHT in point else 0.1,
        )
        for point in points
    ]


def _drawn(space: SearchSpace, sampler: Any, history: list[Any], seed: int) -> Any:
    found = drawn_distributions(space, limited=False)
    drawn = draw(space, SamplerSettings(sampler, seed, 2, "max", {}, found, space.default), history)
    assert drawn is not None
    return drawn


def test_a_grid_tries_each_combination_once_less_those_that_the_method_refuses(tmp_path: Path) -> None:
    ranges = {
        LOSS: ALL_RANGES[LOSS],
        LABELS: ALL_RANGES[LABELS],
        RATE: {"log": [1e-4, 1e-2]},
        WEIGHT: ALL_RANGES[WEIGHT],
    }
    # Five of the six pairs are allowed; the weight counts for kd alone: 3 x (2 x 1 + 2 x 3 + 1); the default is one.
    trials = searched(tmp_path, small_space(ranges), sampler="grid", trials=27)
    points = [tuple(sorted(trial.parameters.items())) for trial in trials]
    assert len(set(points)) == 27
    assert {round(trial.parameters[RATE], 9) for trial in trials} == {1e-4, 1e-3, 1e-2}
    weights = {trial.parameters[WEIGHT] for trial in trials if trial.parameters[LOSS] == "kd"}
    assert weights == {0.0, 0.5, 1.0}


def test_the_first_points_of_a_grid_lie_far_apart_and_depend_on_the_search_seed(tmp_path: Path) -> None:
    def first(seed: int) -> list[float]:
        found = searched(
            tmp_path / str(seed), small_space({RATE: {"log": [1e-5, 1e-1]}}), sampler="grid(points=17)", trials=6,
            search_seed=seed,
        )  # fmt: skip
        return sorted(trial.parameters[RATE] for trial in found[1:])

    assert all(high / low > 5 for low, high in itertools.pairwise(first(0)))
    assert first(0) != first(1)


def test_tpe_proposes_within_50_ms_of_cpu_after_a_thousand_trials() -> None:
    space = small_space(NUMBERS)
    found, rng = drawn_distributions(space, limited=False), random.Random(0)
    history = [
        create_trial(
            state=TrialState.COMPLETE,
            params={RATE: 10 ** rng.uniform(-4, -1), STEPS: rng.randint(10, 300)},
            distributions=found,
            value=rng.random(),
        )
        for _ in range(1000)
    ]

    def drawing(seed: int) -> float:
        began = time.process_time()
        _drawn(space, Tpe(), history, seed)
        return time.process_time() - began

    assert min(drawing(seed) for seed in range(6)) < 0.05


@pytest.mark.slow
def test_auto_ends_better_than_random_sampling(tmp_path: Path) -> None:
    def best(sampler: str, seed: int) -> float:
        folder = tmp_path / sampler / str(seed)
        found = searched(folder, small_space(NUMBERS), sampler=sampler, trials=24, search_seed=seed)
        return max(trial.values[4] for trial in found)

    assert sum(best("auto", seed) - best("random", seed) for seed in range(3)) > 0
