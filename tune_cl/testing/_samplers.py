"""What every sampler owes."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from tune_cl.plugins import load_plugins
from tune_cl.study import Proposal, find_sampler
from tune_cl.testing._searches import (
    ALL_RANGES,
    BASE_RATE,
    LABELS,
    LOSS,
    RATE,
    STEPS,
    WEIGHT,
    open_study,
    run_trial,
    searched,
    small_space,
)


class SamplerContract:
    """The contract of a sampler; derive a test class from it.

    Attributes:
        sampler: as a search names it, with options or without.
        plugins: the plug-ins that bring it.
        trials: of each search; more than it begins with at random.

    Example:
        >>> class TestGreedy(SamplerContract):
        ...     sampler = "greedy(good=3)"
        ...     plugins = ("plugins/greedy.py",)
    """

    sampler: ClassVar[str]
    plugins: ClassVar[Sequence[str]] = ()
    trials: ClassVar[int] = 14

    @pytest.fixture(autouse=True)
    def _loaded(self) -> None:
        load_plugins(self.plugins)

    def test_its_written_form_names_it_again(self) -> None:
        found = find_sampler(self.sampler, "sampler")
        assert find_sampler(str(found), "sampler") == found

    def test_proposals_lie_in_their_ranges_and_have_the_parameters_that_count(self, tmp_path: Path) -> None:
        space = small_space()
        for trial in searched(tmp_path, sampler=self.sampler, stopping="halving", trials=self.trials):
            assert trial.state in ("finished", "stopped")
            found = trial.parameters
            assert all(space.ranges[path].contains(value) for path, value in found.items())
            assert found.keys() - {WEIGHT} == ALL_RANGES.keys() - {WEIGHT}
            assert (WEIGHT in found) == (found[LOSS] == "kd")
            assert (found[LOSS], found[LABELS]) != ("balanced", "soft"), "the method does not allow this pair"

    def test_the_same_search_twice_is_the_same_and_another_seed_is_another(self, tmp_path: Path) -> None:
        one, two, other = (
            searched(tmp_path / name, sampler=self.sampler, stopping="halving", trials=self.trials, search_seed=seed)
            for name, seed in (("one", 0), ("two", 0), ("other", 1))
        )
        assert one == two
        assert one[0].parameters == other[0].parameters, "trial 0 is the default"
        assert [trial.parameters for trial in one[1:]] != [trial.parameters for trial in other[1:]]

    def test_a_search_interrupted_after_every_trial_equals_an_uninterrupted_one(self, tmp_path: Path) -> None:
        whole = searched(tmp_path / "whole", sampler=self.sampler, stopping="halving", trials=self.trials)
        (tmp_path / "cut").mkdir()
        for _ in range(self.trials):
            study = open_study(
                tmp_path / "cut", small_space(), sampler=self.sampler, stopping="halving", trials=self.trials
            )
            proposal = study.ask()
            assert isinstance(proposal, Proposal)
            run_trial(study, proposal)
        assert study.trials() == whole

    def test_it_goes_on_beside_running_and_failed_trials(self, tmp_path: Path) -> None:
        study = open_study(tmp_path, small_space(), sampler=self.sampler, trials=self.trials)
        running = []
        for number in range(self.trials):
            proposal = study.ask()
            assert isinstance(proposal, Proposal) and proposal.number == number
            running.append(proposal)
            if number % 4 == 3:
                study.tell_failed(running.pop(0).number, "no reason")
            elif len(running) > 2:
                run_trial(study, running.pop(0))
        assert study.ask() is None

    def test_it_keeps_to_the_bases_that_a_search_may_train(self, tmp_path: Path) -> None:
        trials = searched(tmp_path, sampler=self.sampler, trials=self.trials, base_configurations=2)
        assert len({trial.parameters[BASE_RATE] for trial in trials}) == 2
        assert len({trial.parameters[RATE] for trial in trials}) > 2

    def test_one_parameter_is_enough(self, tmp_path: Path) -> None:
        space = small_space({STEPS: {"int": [10, 200]}})
        values = {
            trial.parameters[STEPS] for trial in searched(tmp_path, space, sampler=self.sampler, trials=self.trials)
        }
        assert len(values) > 2 and all(10 <= value <= 200 for value in values)

    def test_it_leaves_global_random_numbers_alone(self, tmp_path: Path) -> None:
        before = _global_states()
        searched(tmp_path, sampler=self.sampler, trials=self.trials)
        assert before == _global_states()


def _global_states() -> tuple[object, ...]:
    numpy: Any = np.random.get_state(legacy=False)
    return random.getstate(), numpy["state"]["key"].tolist(), torch.get_rng_state().tolist()
