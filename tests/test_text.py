"""Numbers as text."""

import math

import pytest

from tune_cl.text import value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.81234, "0.8123"), (-1e-17, "0.0000"), (-0.25, "-0.2500"), (12e4, "1.2e+05"), (math.nan, "-"), (None, "-")],
)
def test_a_score_has_four_decimals_and_no_negative_zero(value: float | None, text: str) -> None:
    assert value_text(value) == text
