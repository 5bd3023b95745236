"""What every stopping rule owes."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tune_cl.plugins import load_plugins
from tune_cl.study import Proposal, Report, find_stopping_rule
from tune_cl.testing._searches import HORIZON, made_value, open_study, run_trial, searched, small_space


class StoppingRuleContract:
    """The contract of a stopping rule; derive a test class from it.

    Attributes:
        rule: as a search names it, with options or without.
        plugins: the plug-ins that bring it.

    Example:
        >>> class TestFloor(StoppingRuleContract):
        ...     rule = "floor(least=0.3)"
        ...     plugins = ("plugins/floor.py",)
    """

    rule: ClassVar[str]
    plugins: ClassVar[Sequence[str]] = ()

    @pytest.fixture(autouse=True)
    def _loaded(self) -> None:
        load_plugins(self.plugins)

    def test_its_written_form_names_it_again(self) -> None:
        found = find_stopping_rule(self.rule, "rule")
        assert find_stopping_rule(str(found), "rule") == found

    def test_trial_0_is_never_stopped_and_the_best_is_a_finished_one(self, tmp_path: Path) -> None:
        trials = searched(tmp_path, stopping=self.rule, trials=20)
        assert trials[0].state == "finished"
        for trial in trials:
            assert trial.increment == HORIZON if trial.state == "finished" else (trial.increment or 0) < HORIZON
        best = open_study(tmp_path, small_space(), stopping=self.rule, trials=20).best()
        assert best is not None
        assert best.value == max(trial.values[HORIZON] for trial in trials if trial.state == "finished")

    def test_a_search_interrupted_within_its_trials_equals_an_uninterrupted_one(self, tmp_path: Path) -> None:
        whole = searched(tmp_path / "whole", stopping=self.rule, trials=12)
        (tmp_path / "cut").mkdir()
        for _ in range(12):
            study = open_study(tmp_path / "cut", small_space(), stopping=self.rule, trials=12)
            proposal = study.ask()
            assert isinstance(proposal, Proposal)
            for increment in range(2):  # the first decisions, then the process is gone
                if study.report(proposal.number, increment, made_value(proposal.configuration, increment)) == "stop":
                    break
            study = open_study(tmp_path / "cut", small_space(), stopping=self.rule, trials=12)
            again = study.ask()
            assert isinstance(again, Proposal) and again.number == proposal.number
            run_trial(study, again)
        assert study.trials() == whole

    def test_it_decides_without_others_and_beside_trials_that_lack_increments(self) -> None:
        rule = find_stopping_rule(self.rule, "rule")
        alone: dict[int, dict[int, float]] = {3: {1: 0.5}}
        beside = {**alone, 0: {}, 1: {0: 0.9}, 2: {0: 0.9, 1: 0.8, 2: 0.7}}
        for curves in (alone, beside):
            report = Report(3, 1, HORIZON, copy.deepcopy(curves))
            decided: Any = rule.stops(report)
            assert decided in (True, False) and rule.stops(report) == decided
            assert report.curves == curves, "it changes nothing"
