import math
from fractions import Fraction

import numpy as np
import pytest

from tune_cl.search import StoppingRule


def decide(value: float, reported: list[float], increment: int = 1, horizon: int = 3, reduction: int = 2) -> str:
    rule = StoppingRule("halving", reduction)
    return rule.decide(increment, value, reported, horizon=horizon, direction="max")


@pytest.mark.parametrize(
    ("horizon", "reduction", "rungs"),
    [
        (1, 2, ()),
        (2, 2, (1,)),
        (3, 2, (1, 2)),
        (4, 2, (1, 2)),
        (5, 2, (1, 2, 4)),
        (9, 2, (1, 2, 4, 8)),
        (10, 3, (1, 3, 9)),
    ],
)
def test_rungs_are_powers_of_the_reduction_from_1_to_below_the_horizon(
    horizon: int, reduction: int, rungs: tuple[int, ...]
) -> None:
    assert StoppingRule("halving", reduction).rungs(horizon) == rungs


def test_the_base_task_stops_nobody() -> None:
    assert decide(0.0, [0.0, 1.0, 1.0, 1.0], increment=0) == "continue"


def test_nothing_is_stopped_at_the_horizon_or_between_rungs() -> None:
    assert decide(0.0, [0.0, 1.0, 1.0, 1.0], increment=3) == "continue"
    assert decide(0.0, [0.0, 1.0, 1.0, 1.0], increment=3, horizon=9) == "continue"


def test_the_first_value_at_a_rung_continues() -> None:
    assert decide(0.0, [0.0]) == "continue"


def test_of_two_the_better_continues_of_three_the_better_two() -> None:
    assert [decide(v, [0.1, 0.2]) for v in (0.1, 0.2)] == ["stop", "continue"]
    assert [decide(v, [0.1, 0.2, 0.3]) for v in (0.1, 0.2, 0.3)] == ["stop", "continue", "continue"]


def test_ties_continue() -> None:
    assert decide(0.5, [0.5, 0.5, 0.5, 0.5]) == "continue"
    assert decide(0.5, [0.9, 0.5, 0.5, 0.5]) == "continue"


def test_the_rule_keeps_the_share_that_it_states() -> None:
    # Independent count: with n different values, a value continues iff fewer than n/η values are strictly better.
    rng = np.random.default_rng(0)
    for reduction in (2, 3, 4):
        for n in range(1, 20):
            values = rng.permutation(n).astype(float).tolist()
            for value in values:
                better = sum(other > value for other in values)
                expected = "continue" if Fraction(better) < Fraction(n, reduction) else "stop"
                assert decide(value, values, reduction=reduction) == expected


def test_low_values_are_good_when_minimising() -> None:
    rule = StoppingRule("halving")
    assert rule.decide(1, 0.1, [0.1, 0.2], horizon=3, direction="min") == "continue"
    assert rule.decide(1, 0.2, [0.1, 0.2], horizon=3, direction="min") == "stop"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rule", ["halving", "none"])
@pytest.mark.parametrize("increment", [0, 1, 3])
def test_a_value_that_is_not_finite_fails_at_once(value: float, rule: str, increment: int) -> None:
    assert StoppingRule(rule).decide(increment, value, [0.1], horizon=3, direction="max") == "fail"  # type: ignore[arg-type]


def test_none_stops_nobody() -> None:
    assert StoppingRule("none").decide(1, 0.0, [0.0, 1.0, 1.0], horizon=3, direction="max") == "continue"


def test_a_rule_that_makes_no_sense_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        StoppingRule("halving", 1)
    with pytest.raises(ValueError, match="unknown stopping rule"):
        StoppingRule("asha")  # type: ignore[arg-type]
