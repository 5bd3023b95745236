"""Objectives: a metric, or arithmetic over metrics such as `0.5 * val/accuracy - 0.1 * val/forgetting`."""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tune_cl.errors import TuneCLError, near_matches, shown
from tune_cl.metrics._metric import METRICS, Direction, Metric, scored_metrics

VALIDATION, TEST, NEAREST_MEAN = "val/", "test/", "nme/"

_TERM = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:/[A-Za-z_]\w*)*")  # no digit before: 1e-3 is a number
_LONGEST = 500  # characters
_OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
# Metrics' values at which it is seen which way an objective moves with each of them.
_PROBES = (0.3, 0.7)


@dataclass(frozen=True)
class Objective:
    """What a search judges by.

    Attributes:
        text: in the form in which records have it.
        terms: the metrics in it, under their full names.
    """

    text: str
    terms: tuple[str, ...]
    _tree: ast.expr = field(compare=False, repr=False)  # with `_0`, `_1`, ... for the terms

    @classmethod
    def parse(cls, text: Any, where: str = "objective") -> "Objective":
        """Read a metric's name, or numbers and metrics under + - * / and parentheses. Nothing is evaluated.

        A name has no spaces (`val/accuracy`); division has one on each side, or a number beside it.

        Raises:
            TuneCLError: it is not of that form, or names no metric.
        """
        if not isinstance(text, str) or not text.strip():
            raise TuneCLError(f"{where}: {shown(text)} is not a name; write text")
        try:
            return _parsed(text.strip())
        except TuneCLError as error:
            raise TuneCLError(f"{where}: {error}") from None

    @property
    def is_expression(self) -> bool:
        """Whether it is more than one metric's name."""
        return (self.text,) != self.terms

    def value(self, metrics: Mapping[str, float | None]) -> float | None:
        """Its value in a row; None where a metric of it is undefined or missing, NaN where it divides by zero."""
        values = [metrics.get(term) for term in self.terms]
        known = [value for value in values if value is not None]
        return self._at(known) if len(known) == len(values) else None

    def direction(self, where: str = "objective") -> Direction:
        """Whether more or less of it is better: that of its metrics, by how it moves with each of them.

        Metrics that a phase measures have no direction of their own; with them alone more is better.

        Raises:
            TuneCLError: some of its metrics would be driven the wrong way, whichever the direction.
        """
        ways = {term: way for term in self.terms if (way := self._way(term)) is not None}
        found = set(ways.values())
        if len(found) > 1:
            wrong = [term for term, way in ways.items() if way == "min"]
            raise TuneCLError(
                f"{where}: {shown(self.text)} drives {' and '.join(wrong)} the wrong way where it drives the others "
                "the right way; give it the other sign"
            )
        return "min" if found == {"min"} else "max"

    def defined_at(self, increment: int) -> bool:
        """Whether every metric in it has a value at an increment."""
        metrics = [metric_of(term) for term in self.terms]
        return increment > 0 or all(metric is not None and metric.defined_at_base for metric in metrics)

    def _way(self, term: str) -> Direction | None:
        """Which direction of the objective is right for one of its metrics; None where it does not tell."""
        metric = metric_of(term)
        if metric is None:
            return None
        signs = set()
        for others in _PROBES:
            values = dict.fromkeys(self.terms, others)
            low, high = (self._at([*{**values, term: v}.values()]) for v in (0.45, 0.55))
            signs.add((high > low) - (high < low))
        if len(signs) != 1 or signs == {0}:
            return None
        rises = signs == {1}
        return "max" if rises == (metric.direction == "max") else "min"

    def _at(self, values: list[float]) -> float:
        try:
            return _evaluated(self._tree, values)
        except (ZeroDivisionError, OverflowError):
            return math.nan


def metric_of(name: str) -> Metric | None:
    """The metric that a full name means, such as `val/nme/accuracy` or `seconds`; None for another measurement."""
    prefix, bare = name[: name.rfind("/") + 1], name.rpartition("/")[2]
    if bare not in METRICS.names():
        return None
    metric = METRICS.get(bare, "")
    return metric if (prefix in _PREFIXES) == (metric.formula is not None) and (prefix or not metric.formula) else None


def default_direction(objective: str) -> Direction:
    """Whether more or less of an objective is better.

    Raises:
        TuneCLError: it is no objective.
    """
    return Objective.parse(objective).direction()


def on_test_data(objective: str) -> str:
    """An objective of a search under its name in an evaluation."""
    return objective.replace(VALIDATION, TEST)


def read_out(objective: str) -> str:
    """What the metrics of an objective's read-out begin with: `val/`, `test/`, `val/nme/`, ...; empty for costs."""
    found = re.search(r"(?:val|test)/(?:nme/)?", objective)
    return found[0] if found else ""


def bare_name(objective: str) -> str:
    """The name of an objective that is one metric, without prefix; empty for an expression."""
    return objective.rpartition("/")[2] if _TERM.fullmatch(objective) else ""


def with_objective(metrics: Mapping[str, float | None], objective: str) -> dict[str, float | None]:
    """The metrics of a row, with an objective that is an expression as one of them, under its text."""
    parsed = Objective.parse(objective)
    return {**metrics, objective: parsed.value(metrics)} if parsed.is_expression else dict(metrics)


def possible_range(metric: str) -> tuple[float, float]:
    """Between which values a metric can lie, given its full name."""
    found = metric_of(metric)
    return (found.low, found.high) if found is not None else (-math.inf, math.inf)


def objective_names() -> list[str]:
    """The full names of all metrics that a search may judge by."""
    scored = [metric.name for metric in scored_metrics()]
    return [
        *(VALIDATION + name for name in scored),
        *(metric.name for metric in METRICS if metric.formula is None),
        *(VALIDATION + NEAREST_MEAN + name for name in scored),
    ]


_PREFIXES = ("val/", "val/nme/", "test/", "test/nme/")


@lru_cache(maxsize=256)
def _parsed(text: str) -> Objective:
    if len(text) > _LONGEST:
        raise TuneCLError(f"an expression of more than {_LONGEST} characters; make it shorter")
    terms: list[str] = []

    def placed(found: re.Match[str]) -> str:
        if found[0] not in terms:
            terms.append(found[0])
        return f"_{terms.index(found[0])}"

    try:
        tree = ast.parse(_TERM.sub(placed, text), mode="eval").body
        for node in ast.walk(tree):
            _check_node(node)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        raise TuneCLError(
            f"{shown(text)} is neither a metric nor arithmetic over metrics; write a name such as val/accuracy, or "
            "numbers and names under + - * / and parentheses, such as 0.5 * val/accuracy - 0.1 * val/forgetting"
        ) from None
    _check_terms(text, terms)
    written = re.sub(r"_(\d+)", lambda found: terms[int(found[1])], ast.unparse(tree))
    return Objective(written, tuple(terms), tree)


def _check_node(node: ast.AST) -> None:
    if isinstance(node, ast.Constant):
        allowed = isinstance(node.value, int | float) and not isinstance(node.value, bool) and math.isfinite(node.value)
    else:
        allowed = isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Name, ast.Load, *_OPERATORS))
    if not allowed:
        raise ValueError(f"{type(node).__name__} is no arithmetic")


def _check_terms(text: str, terms: Iterable[str]) -> None:
    if not terms:
        raise TuneCLError(f"{shown(text)} names no metric; name one, such as val/accuracy")
    known = objective_names()
    for term in terms:
        if term in known or (term.startswith(TEST) and metric_of(term) is not None):
            continue
        if "/" in term and not term.startswith((VALIDATION, TEST)):
            continue  # what a phase measures: its method is asked later
        *others, last = (repr(name) for name in known if NEAREST_MEAN not in name)
        raise TuneCLError(
            f"{shown(term)} is unknown; it is {', '.join(others)} or {last}, the same under val/nme/, or "
            f"arithmetic over them; one of your own needs --plugin{near_matches(term, known)}"
        )


def _evaluated(node: ast.expr, values: list[float]) -> float:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_evaluated(node.left, values), _evaluated(node.right, values))
    if isinstance(node, ast.UnaryOp):
        return _OPERATORS[type(node.op)](_evaluated(node.operand, values))
    if isinstance(node, ast.Name):
        return values[int(node.id[1:])]
    assert isinstance(node, ast.Constant)
    return float(node.value)  # type: ignore[arg-type]
