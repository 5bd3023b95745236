"""Samplers by name and options: what is refused and why, and what those learn that know finished trials alone."""

import importlib.util
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tune_cl.errors import TuneCLError
from tune_cl.study import Proposal, Sampler, Study, find_sampler, register_sampler
from tune_cl.study._scratch import as_finished
from tune_cl.testing._searches import LOSS, RATE, STEPS, made_value, open_study, searched, small_space

CMAES = pytest.mark.skipif(importlib.util.find_spec("cmaes") is None, reason="the package cmaes is optional")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpp", ["'gpp' is unknown", "did you mean 'gp'?", "optuna:NAME is any sampler of Optuna"]),
        ("tpe(startup=0)", ["tpe: startup: should be greater than or equal to 1, not 0"]),
        ("random(seed=1)", ["random has no option 'seed'"]),
        ("optuna:GpSampler", ["no sampler 'GpSampler'", "did you mean 'GPSampler'"]),
        ("optuna:TPESampler(n_startup=4)", ["has no argument 'n_startup'", "did you mean 'n_startup_trials'"]),
        ("optuna:TPESampler(seed=4)", ["the seed comes from --search-seed"]),
        ("optuna:TPESampler(4)", ["write a name, or a name with options"]),
        ("optuna:TPESampler(gamma=__import__('os'))", ["values are numbers"]),
        ("optuna:NSGAIISampler(population_size=1)", ["cannot be made so", "population_size"]),
        (
            "optuna:GridSampler(search_space={'a': [1]})",
            ["GridSampler cannot search here", "use --sampler grid"],
        ),
        ("optuna:QMCSampler", ["use qmc"]),
        ("optuna:PartialFixedSampler", ["use --set"]),
        ("optuna:BaseSampler", ["is a base class"]),
        ("optuna:", ["write a name"]),
        ("optuna:os", ["no sampler 'os'"]),
    ],
)
def test_an_unknown_or_unfit_sampler_is_refused_in_a_sentence(text: str, words: list[str]) -> None:
    with pytest.raises(TuneCLError) as refused:
        find_sampler(text, "--sampler")
    for word in ("--sampler: ", *words):
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_sampler_of_optuna_is_taken_or_refused_with_a_reason() -> None:
    for name in set(optuna.samplers.__all__) - {"nsgaii"}:
        try:
            assert str(find_sampler(f"optuna:{name}", "here")) == f"optuna:{name}"
        except TuneCLError as error:
            assert "cannot search here" in str(error), error


@pytest.mark.parametrize("sampler", ["optuna:BruteForceSampler", "cmaes", "optuna:CmaEsSampler"])
def test_a_space_that_a_sampler_cannot_search_is_refused_before_anything_begins(tmp_path: Path, sampler: str) -> None:
    wrong = {RATE: {"log": [1e-5, 1e-1]}} if "Brute" in sampler else {LOSS: {"choice": ["ce", "kd"]}}
    with pytest.raises(TuneCLError, match=r"^small space: sampler .*(continuous|choices alone|not installed)"):
        open_study(tmp_path, small_space(wrong), sampler=sampler)
    assert not (tmp_path / "study.journal").exists()


def test_brute_force_tries_each_value_once(tmp_path: Path) -> None:
    space = small_space({LOSS: {"choice": ["ce", "kd"]}, STEPS: {"int": [48, 52]}})
    trials = searched(tmp_path, space, sampler="optuna:BruteForceSampler", trials=10)
    assert len({(trial.parameters[LOSS], trial.parameters[STEPS]) for trial in trials}) == 10


def test_points_of_qmc_cover_more_evenly_than_random_ones(tmp_path: Path) -> None:
    space = small_space({RATE: {"log": [1e-4, 1e-2]}})

    def filled(sampler: str) -> int:
        """In how many of 16 equal parts of the range 17 trials have a point, less the default's."""
        trials = searched(tmp_path / sampler, space, sampler=sampler, trials=17)[1:]
        return len({int(8 * (4 + math.log10(t.parameters[RATE]))) for t in trials})

    assert filled("qmc") == 16 > filled("random")


@pytest.mark.parametrize(
    "sampler",
    [
        "tpe",
        "gp",
        "nsga2(population=6)",
        pytest.param("cmaes", marks=CMAES),
    ],
)
@pytest.mark.slow
def test_later_proposals_are_better_than_random_ones_although_many_trials_are_stopped(
    tmp_path: Path, sampler: str
) -> None:
    space = small_space({RATE: {"log": [1e-4, 1e-1]}, STEPS: {"int": [10, 300]}})

    def late(name: str) -> float:
        found = []
        for seed in range(3):
            study_of = {"sampler": name, "stopping": "halving", "search_seed": seed, "trials": 40}
            trials = searched(tmp_path / name / str(seed), space, **study_of)
            assert sum(trial.state == "stopped" for trial in trials) > 10
            found += [made_value(space.configuration(trial.parameters), 4) for trial in trials[25:]]
        return statistics.mean(found)

    assert late(sampler) > late("random") + 0.03


def stopped_at(increment: int, value: float) -> FrozenTrial:
    return _trial(TrialState.PRUNED, {t: value + 0.1 * (increment - t) for t in range(increment + 1)})


def finished(*values: float) -> FrozenTrial:
    return _trial(TrialState.COMPLETE, dict(enumerate(values)))


def _trial(state: TrialState, values: dict[int, float]) -> FrozenTrial:
    return create_trial(
        state=state,
        value=values[max(values)],
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
        intermediate_values=values,
    )


def finals(history: Sequence[FrozenTrial], direction: str = "max") -> list[float | None]:
    seen = as_finished(history, direction)  # type: ignore[arg-type]
    assert all(trial.state is TrialState.COMPLETE for trial in seen)
    return [trial.value for trial in seen]


def by_hand(pairs: Sequence[tuple[float, float]], score: float) -> float:
    """Least squares through the middle of (at an increment, at the end), and one more trial as far off on both axes."""
    at, final = np.array(pairs).T
    more = np.std([*at, score])
    x, y = np.append(at - at.mean(), more), np.append(final - final.mean(), more)
    return float(final.mean() + np.linalg.lstsq(x[:, None], y, rcond=None)[0][0] * (score - at.mean()))


def test_a_stopped_trial_counts_as_finished_with_the_score_that_finished_ones_let_expect() -> None:
    line = [finished(0.9, v, 2 * v - 0.4) for v in (0.5, 0.6, 0.7)]  # final = 2 * (at increment 1) - 0.4
    pairs = [(0.5, 0.6), (0.6, 0.8), (0.7, 1.0)]
    assert finals([*line, stopped_at(1, 0.55)])[-1] == pytest.approx(by_hand(pairs, 0.55))
    assert by_hand(pairs, 0.55) == pytest.approx(0.7, abs=0.02), "nearly on the line"
    assert finals([*line, stopped_at(1, 0.9)])[-1] == pytest.approx(1.0), "never better than the best finished one"
    two, pairs = [finished(0.9, 0.5, 0.3), finished(0.9, 0.7, 0.6)], [(0.5, 0.3), (0.7, 0.6)]
    assert finals([*two, stopped_at(1, 0.4)])[-1] == pytest.approx(by_hand(pairs, 0.4))
    assert finals([*two, stopped_at(1, 0.9)], "min")[-1] == pytest.approx(by_hand(pairs, 0.9))
    assert finals([*two, stopped_at(1, 0.1)], "min")[-1] == pytest.approx(0.3), "the best when less is better"


def test_where_finished_trials_are_all_alike_a_lead_is_expected_to_stay() -> None:
    alike = [finished(0.9, 0.6, 0.5) for _ in range(4)]
    assert finals([*alike, stopped_at(1, 0.2)])[-1] == pytest.approx(0.1)
    nearly = [finished(0.9, 0.6 + 0.001 * i, 0.5) for i in range(4)]
    assert finals([*nearly, stopped_at(1, 0.2)])[-1] == pytest.approx(0.1, abs=0.01)


def test_without_a_finished_trial_there_is_nothing_to_expect() -> None:
    history = [stopped_at(1, 0.5)]
    assert as_finished(history, "max") == history


def test_a_gaussian_process_knows_of_stopped_trials(tmp_path: Path) -> None:
    space = small_space({RATE: {"log": [1e-5, 1e-1]}})

    def next_rate(name: str, low_is_good: bool) -> float:
        """Four finished trials that are all alike, then eight stopped ones whose scores depend on the rate."""
        study = open_study(tmp_path / name, space, sampler="gp(startup=12)", trials=20)
        for number in range(12):
            proposal = study.ask()
            assert isinstance(proposal, Proposal)
            good = (proposal.parameters[RATE] < 1e-3) == low_is_good
            if number < 4:
                _report(study, number, [0.9, 0.6 + 0.001 * number, 0.5 + 0.001 * number, 0.5, 0.5])
                study.tell_finished(number)
            else:
                _report(study, number, [0.9, 0.6 if good else 0.2])
                study.tell_stopped(number)
        proposal = study.ask()
        assert isinstance(proposal, Proposal)
        return float(proposal.parameters[RATE])

    for name in ("low", "high"):
        (tmp_path / name).mkdir()
    assert next_rate("low", True) < 1e-3 < next_rate("high", False)


def _report(study: Study, number: int, values: Sequence[float]) -> None:
    for increment, value in enumerate(values):
        study.report(number, increment, value)


def test_a_sampler_without_a_proposal_or_with_a_taken_name_is_not_registered() -> None:
    class Empty(Sampler):
        name = "empty"

    class Tpe(Sampler):
        name = "tpe"

        def make(self, context: object) -> optuna.samplers.BaseSampler:
            return optuna.samplers.RandomSampler()

    with pytest.raises(TuneCLError, match="Empty: it defines no `make"):
        register_sampler(Empty)
    with pytest.raises(TuneCLError, match="another sampler of that name"):
        register_sampler(Tpe)
