"""`--stop-when-flat`: a search ends when its later half gained less than chance does."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from tune_cl.errors import TuneCLError
from tune_cl.options import SearchOptions
from tune_cl.study import Proposal, Study, StudySettings
from tune_cl.study._flat import gain_of_last
from tune_cl.testing._searches import RATE, small_space

SETTINGS = StudySettings("random", 0, 40, "val/accuracy", "max", 4, "none", flat=0.01)


def trials(values: Sequence[float | None]) -> list[FrozenTrial]:
    """Finished trials, stopped ones for None."""
    return [
        create_trial(state=TrialState.PRUNED if value is None else TrialState.COMPLETE, value=value) for value in values
    ]


def test_the_gain_is_that_of_the_later_half_and_needs_sixteen_trials() -> None:
    assert gain_of_last(trials([0.5] * 15), "max") is None
    assert gain_of_last(trials([0.5] * 8 + [0.4, 0.53, None] + [0.5] * 5), "max") == (8, pytest.approx(0.03))
    assert gain_of_last(trials([0.5] * 8 + [0.4, 0.53, None] + [0.5] * 5), "min") == (8, pytest.approx(0.1))
    assert gain_of_last(trials([0.9] * 10 + [0.1] * 10), "max") == (10, 0.0)
    assert gain_of_last(trials([None] * 8 + [0.5] * 8), "max") is None, "no value to compare with"


def run(folder: Path, settings: StudySettings, value: float) -> int:
    """Run trials of one value until none is left; how many the study has then."""
    study = Study.open(folder / "s.journal", "s", small_space({RATE: {"log": [1e-5, 1e-1]}}), settings)
    while isinstance(proposal := study.ask(), Proposal):
        for increment in range(5):
            study.report(proposal.number, increment, value)
        study.tell_finished(proposal.number)
    return study.n_started()


def test_a_flat_search_ends_and_goes_on_without_the_option(tmp_path: Path) -> None:
    assert run(tmp_path, SETTINGS, 0.5) == 16
    assert run(tmp_path, SETTINGS, 0.5) == 16, "resumed, it is still flat"
    assert run(tmp_path, replace(SETTINGS, flat=None, trials=20), 0.5) == 20


@pytest.mark.parametrize("wrong", [0, -1.0, "much", True, float("nan")])
def test_only_a_number_above_zero_is_a_gain(wrong: object) -> None:
    with pytest.raises(TuneCLError, match=r"stop_when_flat .*: write a number above 0 and below .*, such as 0\.01"):
        SearchOptions("finetune", stop_when_flat=wrong)  # type: ignore[arg-type]
    assert SearchOptions("finetune", stop_when_flat="0.02").stop_when_flat == 0.02  # type: ignore[arg-type]
