"""Reasons to doubt a choice: it is below never training again, has ceased to learn, has lost what it knew, …

Limits are explained in docs/reading-results.md.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tune_cl.metrics import METRICS, bare_name
from tune_cl.outcome._never_again import Achieved
from tune_cl.records import Caution

NEAR_ZERO = 0.05  # an accuracy below it counts as none
LEARNED = 0.25  # one from here on as learned
EDGE = 0.01  # of a range's width: what is nearer to an end lies at it
FEW_VALUES = 8  # a range of fewer whole numbers has an end that is hit by chance
_GUESSING = 2.0  # standard errors above the accuracy of guessing that chance alone explains
_AVERAGE = "average_incremental_accuracy"
_UNTRAINED = ("accuracy", _AVERAGE, f"{_AVERAGE}_excl_base")  # what is known of a base task that is left as it is


def cautions(choice: Achieved, default: Achieved | None, objective: str) -> list[Caution]:
    """What speaks against a choice.

    Args:
        choice: the best trial, or the chosen configuration on test data.
        default: trial 0, where it has finished and is another.
        objective: of the search, with or without prefix.
    """
    if not choice.metrics:
        return []
    at_chance = list(_base_at_chance(choice))
    lost = [] if at_chance else list(_old_classes(choice))
    return [*at_chance, *_below_frozen(choice, objective), *_new_classes(choice, default), *lost]


def edges(parameters: Mapping[str, Any], ranges: Mapping[str, Any]) -> list[Caution]:
    """Which of the chosen values lie at an end of the range that was searched.

    Args:
        parameters: path -> chosen value, of those that are fixed as well.
        ranges: path -> range as a space file has it; a choice among values has no ends.
    """
    searched = {
        path: written
        for path, written in ranges.items()
        if path in parameters and _holds(written.get("when", {}), parameters)
    }
    found = [_edge(path, parameters[path], written) for path, written in searched.items()]
    return [caution for caution in found if caution is not None]


def _holds(when: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Whether a range's conditions are met, so that its parameter takes part."""
    wanted = {path: values if isinstance(values, list | tuple) else [values] for path, values in when.items()}
    return all(parameters.get(path) in values for path, values in wanted.items())


def _base_at_chance(choice: Achieved) -> Iterator[Caution]:
    reached, classes, images = choice.after(0, "accuracy"), choice.base_classes, choice.base_images
    if reached is None or not classes or not images:
        return
    chance = 1 / classes
    if reached <= chance + _GUESSING * math.sqrt(chance * (1 - chance) / images):
        yield Caution(
            kind="base at chance",
            sentence=f"The base task has not been learned: accuracy {reached:.4f} on {classes} classes, where guessing "
            f"gives {chance:.4f}.",
        )


def _below_frozen(choice: Achieved, objective: str) -> Iterator[Caution]:
    name = bare_name(objective)
    name = name if name in _UNTRAINED else _AVERAGE
    reached, untrained = choice.after(len(choice.metrics) - 1, name), choice.never_trained_again.get(name)
    if reached is not None and untrained is not None and reached < untrained:
        yield Caution(
            kind="below frozen",
            sentence=f"Training after the base task has lost more than it gained: {METRICS.get(name, '').label} "
            f"{reached:.4f}, and {untrained:.4f} if the base task's classifier is never trained again.",
        )


def _new_classes(choice: Achieved, default: Achieved | None) -> Iterator[Caution]:
    if default is None:
        return
    pairs = {
        t: (ours, theirs)
        for t in range(1, len(choice.metrics))
        if (ours := choice.after(t, "accuracy_new")) is not None
        and (theirs := default.after(t, "accuracy_new")) is not None
    }
    missed = {t: pair for t, pair in pairs.items() if pair[0] < NEAR_ZERO and pair[1] >= LEARNED}
    if missed:
        where = f"increment{'s' if len(missed) > 1 else ''} {', '.join(map(str, missed))}"
        own, default_has = (", ".join(f"{pair[side]:.4f}" for pair in missed.values()) for side in (0, 1))
        yield Caution(
            kind="new classes",
            sentence=f"It does not learn the new classes of {where}: accuracy on them {own}; the default has "
            f"{default_has}.",
        )


def _old_classes(choice: Achieved) -> Iterator[Caution]:
    last = len(choice.metrics) - 1
    reached, base = choice.after(last, "accuracy_old"), choice.after(0, "accuracy")
    if reached is not None and base is not None and reached < NEAR_ZERO:
        yield Caution(
            kind="old classes",
            sentence=f"It has lost the old classes: accuracy on them {reached:z.4f} after increment {last}; the base "
            f"task had {base:.4f} on its own.",
        )


def _edge(path: str, value: Any, written: Any) -> Caution | None:
    kind = next((kind for kind in ("log", "uniform", "int") if kind in written), None)
    if kind is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    low, high = written[kind]
    if kind == "int" and high - low + 1 < FEW_VALUES:
        return None
    a, b, x = (math.log(n) for n in (low, high, value)) if kind == "log" else (low, high, value)
    place = (x - a) / (b - a)
    if not (place <= EDGE or place >= 1 - EDGE):
        return None
    end, which, way = (low, "lower", "below") if place <= EDGE else (high, "upper", "above")
    return Caution(
        kind="edge of range",
        sentence=f"{path} = {value:.4g} lies at the {which} end of its range, {end:.4g}: better values may lie {way} "
        "it, so widen the range if the parameter allows it.",
    )
