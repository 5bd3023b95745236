"""What every metric owes."""

import copy
import math
import random
from collections.abc import Sequence
from typing import ClassVar

import pytest

from tune_cl.metrics import METRICS, Metric, Objective, Scored, default_direction, measure
from tune_cl.plugins import load_plugins


class MetricContract:
    """The contract of a metric with a formula; derive a test class from it.

    Attributes:
        metric: its name, without prefix.
        plugins: the plug-ins that bring it.

    Example:
        >>> class TestWorst(MetricContract):
        ...     metric = "accuracy_worst"
        ...     plugins = ("plugins/worst_increment.py",)
    """

    metric: ClassVar[str]
    plugins: ClassVar[Sequence[str]] = ()

    @pytest.fixture(autouse=True)
    def _loaded(self) -> None:
        load_plugins(self.plugins)

    @property
    def _found(self) -> Metric:
        return METRICS.get(self.metric, "metric")

    def test_it_is_a_finite_number_in_its_range_wherever_it_is_defined(self) -> None:
        rng = random.Random(0)
        for last in range(6):
            for _ in range(20):
                rows = [[rng.random() for _ in range(s + 1)] for s in range(last + 1)]
                scored = Scored(rows, [rng.randint(1, 50) for _ in range(last + 1)])
                before = copy.deepcopy(scored)
                value = measure(scored)[self.metric]
                assert scored == before, "it changes nothing"
                assert value == measure(scored)[self.metric], "the same of the same"
                if last == 0 and not self._found.defined_at_base:
                    assert value is None
                else:
                    assert value is not None and math.isfinite(value)
                    assert self._found.low <= value <= self._found.high

    def test_everything_right_is_not_worse_than_everything_wrong(self) -> None:
        right, wrong = (
            measure(Scored([[share] * (s + 1) for s in range(4)], [10] * 4))[self.metric] for share in (1.0, 0.0)
        )
        assert right is not None and wrong is not None
        assert right >= wrong if self._found.direction == "max" else right <= wrong

    def test_a_search_can_judge_by_it_by_each_read_out_and_in_an_expression(self) -> None:
        for name in (f"val/{self.metric}", f"val/nme/{self.metric}"):
            assert default_direction(name) == self._found.direction
            assert Objective.parse(f"2 * {name}").value({name: 0.25}) == 0.5
            assert Objective.parse(name).defined_at(0) == self._found.defined_at_base

    def test_tables_have_words_for_it(self) -> None:
        assert self._found.label
