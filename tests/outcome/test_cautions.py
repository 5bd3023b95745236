"""Each caution is said on one side of its limit and not on the other."""

import math
from typing import Any

import pytest

from tune_cl.outcome import Achieved, cautions, edges
from tune_cl.outcome._cautions import FEW_VALUES, LEARNED, NEAR_ZERO

AVERAGE = "average_incremental_accuracy"
OBJECTIVE = f"val/{AVERAGE}"


def reached(*new: float, base: float = 0.9, old: float = 0.5, final: float = 0.6, **changes: Any) -> Achieved:
    """A run of two increments with these accuracies on new classes, the rest beyond reproach."""
    first = {"accuracy": base, AVERAGE: base, "accuracy_new": base, "accuracy_old": None}
    later = [
        {"accuracy": final, AVERAGE: final, f"{AVERAGE}_excl_base": final, "accuracy_new": value, "accuracy_old": old}
        for value in (new or (0.6, 0.6))
    ]
    frozen = {"accuracy": 0.45, AVERAGE: 0.55, f"{AVERAGE}_excl_base": 0.5}
    values: dict[str, Any] = {"never_trained_again": frozen, "base_classes": 4, "base_images": 400}
    return Achieved([first, *later], **(values | changes))


def kinds(choice: Achieved, default: Achieved | None = None, objective: str = OBJECTIVE) -> list[str]:
    return [caution.kind for caution in cautions(choice, default, objective)]


def test_nothing_is_said_of_a_sound_choice() -> None:
    assert cautions(reached(), reached(), OBJECTIVE) == []
    assert cautions(Achieved([]), None, OBJECTIVE) == []


@pytest.mark.parametrize(
    ("objective", "limit"),
    [
        (OBJECTIVE, 0.55),
        ("val/accuracy", 0.45),
        (f"val/nme/{AVERAGE}_excl_base", 0.5),
        ("val/forgetting", 0.55),  # no accuracy over all classes: judged by the average
    ],
)
def test_below_frozen(objective: str, limit: float) -> None:
    assert kinds(reached(final=limit), objective=objective) == []
    [caution] = cautions(reached(final=math.nextafter(limit, 0)), None, objective)
    assert caution.kind == "below frozen"
    assert caution.sentence.count(f"{limit:.4f}") == 2 and "never trained again" in caution.sentence
    assert kinds(reached(final=0.1, never_trained_again={}), objective=objective) == []


def test_new_classes_that_the_default_learns() -> None:
    below = math.nextafter(NEAR_ZERO, 0)
    assert kinds(reached(0.6, below), reached(0.6, LEARNED)) == ["new classes"]
    assert kinds(reached(0.6, NEAR_ZERO), reached(0.6, LEARNED)) == []
    assert kinds(reached(0.6, below), reached(0.6, math.nextafter(LEARNED, 0))) == [], "the default does not either"
    assert kinds(reached(0.6, below)) == [], "the default has not finished, or is the choice"
    [caution] = cautions(reached(0.01, 0.02), reached(0.7, 0.8), OBJECTIVE)
    assert "increments 1, 2: accuracy on them 0.0100, 0.0200; the default has 0.7000, 0.8000" in caution.sentence


def test_old_classes_that_are_lost() -> None:
    assert kinds(reached(old=NEAR_ZERO)) == []
    [caution] = cautions(reached(old=0.0123), None, OBJECTIVE)
    assert caution.kind == "old classes" and "0.0123 after increment 2" in caution.sentence
    assert "0.9000 on its own" in caution.sentence


def test_a_base_task_that_guesses() -> None:
    limit = 0.25 + 2 * math.sqrt(0.25 * 0.75 / 400)
    assert kinds(reached(base=limit)) == ["base at chance"]
    assert kinds(reached(base=math.nextafter(limit, 1))) == []
    assert kinds(reached(base=0.25, old=0.0)) == ["base at chance"], "what was never known is not lost"
    assert kinds(reached(base=0.3, base_images=20)) == ["base at chance"], "of few images more are right by chance"
    assert kinds(reached(base=0.25, base_images=None)) == kinds(reached(base=0.25, base_classes=None)) == []
    [caution] = cautions(reached(base=0.26), None, OBJECTIVE)
    assert "0.2600 on 4 classes, where guessing gives 0.2500" in caution.sentence


@pytest.mark.parametrize(
    ("written", "at_an_end", "inside"),
    [
        ({"uniform": [0.0, 10.0]}, [0.0, 0.1, 9.9, 10.0], [0.11, 5.0, 9.89]),
        ({"log": [1e-4, 1e-2]}, [1e-4, 1.04e-4, 9.6e-3, 1e-2], [1.05e-4, 1e-3, 9.5e-3]),
        ({"int": [1, FEW_VALUES]}, [1, FEW_VALUES], [2, FEW_VALUES - 1]),
        ({"int": [1, FEW_VALUES - 1]}, [], [1, 3, FEW_VALUES - 1]),
        ({"choice": [0.1, 1.0]}, [], [0.1, 1.0]),
    ],
    ids=str,
)
def test_the_ends_of_a_range(written: dict[str, Any], at_an_end: list[Any], inside: list[Any]) -> None:
    for value in at_an_end:
        [caution] = edges({"a.b": value}, {"a.b": written})
        assert caution.kind == "edge of range" and caution.sentence.startswith(f"a.b = {value:.4g} lies at the ")
        kind, (low, high) = next(iter(written.items()))
        middle = math.sqrt(low * high) if kind == "log" else (low + high) / 2
        end = f"lower end of its range, {low:.4g}" if value < middle else f"upper end of its range, {high:.4g}"
        assert end in caution.sentence
    assert [value for value in inside if edges({"a.b": value}, {"a.b": written})] == []


def test_a_range_that_does_not_apply_has_no_ends() -> None:
    written = {"uniform": [0.0, 1.0], "when": {"loss": ["relaxed"]}}
    assert len(edges({"x": 0.0, "loss": "relaxed"}, {"x": written})) == 1
    assert edges({"x": 0.0, "loss": "ce"}, {"x": written}) == []
    assert edges({"loss": "relaxed"}, {"x": written}) == []
