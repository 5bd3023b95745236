from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from search_trees import quality, resolved, settings, space_dict

from tune_cl.errors import TuneCLError
from tune_cl.study import STOPPING_RULES, Proposal, Report, StoppingRule, Study, find_stopping_rule
from tune_cl.study._stopping import Halving, register_stopping_rule


def stops(rule: str, score: float, others: list[float], increment: int = 1, horizon: int = 3, trial: int = 99) -> bool:
    """Whether a trial stops whose score, at one increment, stands beside those of trials 0, 1, ..."""
    curves = {number: {increment: other} for number, other in enumerate(others)} | {trial: {increment: score}}
    return find_stopping_rule(rule, "here").stops(Report(trial, increment, horizon, curves))


@pytest.mark.parametrize(
    ("horizon", "factor", "first", "rungs"),
    [
        (1, 2, 1, ()),
        (2, 2, 1, (1,)),
        (3, 2, 1, (1, 2)),
        (4, 2, 1, (1, 2)),
        (9, 2, 1, (1, 2, 4, 8)),
        (10, 3, 1, (1, 3, 9)),
        (10, 3, 2, (2, 6)),
        (5, 2, 0, (0, 1, 2, 4)),
    ],
)
def test_rungs_are_first_times_powers_of_the_factor_below_the_horizon(
    horizon: int, factor: int, first: int, rungs: tuple[int, ...]
) -> None:
    assert Halving(factor=factor, first=first).rungs(horizon) == rungs


def test_halving_stops_at_its_rungs_alone() -> None:
    worst = [0.5, 1.0, 1.0, 1.0]
    assert stops("halving", 0.0, worst)
    assert not stops("halving", 0.0, worst, increment=0), "the base task says nothing of forgetting"
    assert not stops("halving", 0.0, worst, increment=3, horizon=9), "between rungs"
    assert not stops("halving(first=2)", 0.0, worst) and stops("halving(first=2)", 0.0, worst, increment=2)


def test_the_first_value_at_a_rung_continues_and_so_do_ties() -> None:
    assert not stops("halving", 0.0, [])
    assert not stops("halving", 0.5, [0.5, 0.5, 0.5])
    assert not stops("halving", 0.5, [0.9, 0.5, 0.5])


def test_of_two_the_better_continues_of_three_the_better_two() -> None:
    assert stops("halving", 0.1, [0.2]) and not stops("halving", 0.2, [0.1])
    assert [stops("halving", v, sorted({0.1, 0.2, 0.3} - {v})) for v in (0.1, 0.2, 0.3)] == [True, False, False]


def test_halving_keeps_the_share_that_it_states() -> None:
    # Independent count: with n different values, a value continues iff fewer than n/factor are strictly better.
    rng = np.random.default_rng(0)
    for factor in (2, 3, 4):
        for n in range(1, 20):
            values = rng.permutation(n).astype(float).tolist()
            for value in values:
                better = sum(other > value for other in values)
                others = [other for other in values if other != value]
                assert stops(f"halving(factor={factor})", value, others) == (Fraction(better) >= Fraction(n, factor))


def test_hyperband_compares_within_brackets_of_which_one_never_stops() -> None:
    # Horizon 3: rungs 1 and 2, so trials 0, 3, 6, ... begin at 1, trials 1, 4, ... at 2, and 2, 5, ... never stop.
    better = [0.9] * 9
    assert stops("hyperband", 0.1, better, increment=1, trial=9)
    assert not stops("hyperband", 0.1, better, increment=1, trial=10)
    assert stops("hyperband", 0.1, better, increment=2, trial=10)
    assert not any(stops("hyperband", 0.1, better, increment=t, trial=11) for t in (1, 2))
    others = [0.1, 0.9, 0.9] * 3  # those of its own bracket are worse
    assert not stops("hyperband", 0.2, others, increment=1, trial=9)


def test_median_waits_for_enough_others_and_stops_below_their_median() -> None:
    assert not stops("median", 0.0, [1.0, 1.0, 1.0])
    assert stops("median", 0.54, [0.1, 0.5, 0.6, 0.9]) and not stops("median", 0.56, [0.1, 0.5, 0.6, 0.9])
    assert not stops("median", 0.0, [1.0] * 4, increment=0) and stops("median(first=0)", 0.0, [1.0] * 4, increment=0)
    assert stops("median(startup=1)", 0.0, [1.0])


def test_patience_stops_what_was_below_the_median_several_times_in_a_row() -> None:
    rule = find_stopping_rule("patience(increments=2)", "here")
    others = {number: dict.fromkeys(range(5), 0.5) for number in range(4)}

    def decided(curve: dict[int, float]) -> bool:
        return rule.stops(Report(9, max(curve), 6, {**others, 9: curve}))

    assert not decided({0: 0.1, 1: 0.1}), "increment 0 does not count"
    assert decided({0: 0.1, 1: 0.1, 2: 0.1})
    assert not decided({1: 0.9, 2: 0.1}) and decided({1: 0.9, 2: 0.1, 3: 0.1})


def test_none_stops_nothing() -> None:
    assert not stops("none", 0.0, [1.0] * 9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("halvin", ["'halvin' is unknown", "'halving', 'hyperband'", "did you mean 'halving'?"]),
        ("halving(factr=3)", ["halving has no option 'factr'", "did you mean 'factor'?"]),
        ("halving(factor=1)", ["halving: factor: should be greater than or equal to 2, not 1"]),
        ("halving(factor='3')", ["factor: should be a valid integer, not '3'"]),
        ("none(factor=3)", ["none has no option 'factor'; it has none"]),
        ("halving(3)", ["write a name, or a name with options such as halving(option=2)"]),
        ("halving(factor=open('x'))", ["values are numbers"]),
        ("halving(", ["write a name"]),
        ("", ["not a name"]),
    ],
)
def test_an_unknown_rule_or_option_is_refused_in_a_sentence(text: str, words: list[str]) -> None:
    with pytest.raises(TuneCLError) as refused:
        find_stopping_rule(text, "--scheduler")
    for word in ("--scheduler: ", *words):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("halving", "halving"),
        (" halving ( factor = 2 ) ", "halving"),
        ("halving(first=2, factor=3)", "halving(factor=3, first=2)"),
        ("patience( increments=3)", "patience(increments=3)"),
    ],
)
def test_a_rule_has_one_written_form(written: str, read: str) -> None:
    rule = find_stopping_rule(written, "here")
    assert str(rule) == read and find_stopping_rule(read, "here") == rule


def curves_of(study: Study) -> list[tuple[str, dict[int, float]]]:
    while isinstance(proposal := study.ask(), Proposal):
        for increment in range(4):
            decision = study.report(proposal.number, increment, quality(proposal.configuration, increment))
            if decision == "stop":
                study.tell_stopped(proposal.number)
                break
        else:
            study.tell_finished(proposal.number)
    return [(view.state, view.values) for view in study.trials()]


@pytest.mark.parametrize("rule", STOPPING_RULES.names())
def test_trial_0_is_never_stopped_and_the_best_is_a_finished_one(tmp_path: Path, rule: str) -> None:
    space = resolved(tmp_path, space_dict())
    study = Study.open(tmp_path / "s.journal", "s", space, settings(stopping=rule, trials=24))
    found = curves_of(study)
    assert found[0][0] == "finished"
    stopped = [values for state, values in found if state == "stopped"]
    assert bool(stopped) == (rule != "none")
    assert all(0 < max(values) < 3 for values in stopped)
    best = study.best()
    assert best is not None and best.value == max(values[3] for state, values in found if state == "finished")


def test_minimising_stops_high_values(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict())
    study = Study.open(tmp_path / "s.journal", "s", space, settings(stopping="halving", direction="min", trials=3))
    decisions = []
    for value in (0.1, 0.2, 0.15):
        proposal = study.ask()
        assert isinstance(proposal, Proposal)
        decisions.append(study.report(proposal.number, 1, value))
    assert decisions == ["continue", "stop", "continue"]


def test_a_study_of_an_earlier_version_goes_on_and_another_rule_is_refused(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict())
    study = Study.open(tmp_path / "s.journal", "s", space, settings(stopping="halving"))
    key = "tune_cl:definition"
    definition = study._storage.get_study_user_attrs(study._study_id)[key]
    definition["stopping"] = {"name": "halving", "reduction": 2}  # as it was written once
    study._storage.set_study_user_attr(study._study_id, key, definition)
    Study.open(tmp_path / "s.journal", "s", space, settings(stopping="halving"))
    for other in ("none", "halving(factor=3)"):
        with pytest.raises(TuneCLError, match="began with another stopping"):
            Study.open(tmp_path / "s.journal", "s", space, settings(stopping=other))


def test_a_rule_without_a_decision_or_with_a_taken_name_is_not_registered() -> None:
    class Empty(StoppingRule):
        name = "empty"

    class Median(StoppingRule):
        name = "median"

        def stops(self, report: Report) -> bool:
            return True

    with pytest.raises(TuneCLError, match="Empty: it defines no `stops"):
        register_stopping_rule(Empty)
    with pytest.raises(TuneCLError, match="another stopping rule of that name"):
        register_stopping_rule(Median)
    assert STOPPING_RULES.names() == ["halving", "hyperband", "median", "patience", "none"]
