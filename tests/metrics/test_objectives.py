"""Objectives: a metric or arithmetic over metrics, its direction, and what is refused."""

import math

import pytest

from tune_cl.errors import TuneCLError
from tune_cl.metrics import (
    Objective,
    bare_name,
    default_direction,
    objective_names,
    on_test_data,
    possible_range,
    read_out,
    with_objective,
)

ROW = {"val/accuracy": 0.5, "val/forgetting": 0.2, "val/nme/accuracy": 0.6, "images_trained": 3e6, "memory/share": 0.25}


@pytest.mark.parametrize(
    ("text", "value", "direction"),
    [
        ("val/accuracy", 0.5, "max"),
        ("val/forgetting", 0.2, "min"),
        ("images_trained", 3e6, "min"),
        ("memory/share", 0.25, "max"),
        ("0.5*val/accuracy - 0.1*val/forgetting", 0.25 - 0.02, "max"),
        ("0.1*val/forgetting-0.5*val/accuracy", 0.02 - 0.25, "min"),
        ("val/accuracy - 1e-8 * images_trained", 0.5 - 0.03, "max"),
        ("(val/accuracy + val/nme/accuracy) / 2", 0.55, "max"),
        ("2 * val/accuracy * val/nme/accuracy / (val/accuracy + val/nme/accuracy)", 0.6 / 1.1, "max"),
        ("val/accuracy / (1 + val/forgetting)", 0.5 / 1.2, "max"),
        ("-val/accuracy/3", -0.5 / 3, "min"),
        ("val/accuracy - memory/share", 0.25, "max"),
    ],
)
def test_an_objective_is_computed_from_a_row_and_has_the_direction_of_its_metrics(
    text: str, value: float, direction: str
) -> None:
    objective = Objective.parse(text)
    assert objective.value(ROW) == pytest.approx(value, rel=1e-12)
    assert objective.direction() == direction
    again = Objective.parse(objective.text)
    assert again == objective and again.text == objective.text and again.value(ROW) == objective.value(ROW)


@pytest.mark.parametrize("name", objective_names())
def test_every_metric_is_an_objective_under_its_own_name(name: str) -> None:
    objective = Objective.parse(name)
    assert objective.text == name and not objective.is_expression
    assert default_direction(name) == ("min" if name.endswith(("forgetting", "images_trained", "seconds")) else "max")
    assert with_objective({name: 0.5}, name) == {name: 0.5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("val/accuraccy", ["'val/accuraccy' is unknown", "did you mean 'val/accuracy'"]),
        ("accuracy", ["'accuracy' is unknown", "'val/accuracy'"]),
        ("val/accuracy + val/forgeting", ["'val/forgeting' is unknown"]),
        ("val/accuracy +", ["neither a metric nor arithmetic"]),
        ("val/accuracy ** 2", ["neither a metric nor arithmetic"]),
        ("max(val/accuracy, 1)", ["neither a metric nor arithmetic"]),
        ("val/accuracy if 1 else 2", ["neither a metric nor arithmetic"]),
        ("__import__('os').system('true')", ["neither a metric nor arithmetic"]),
        ("val/accuracy + True", ["unknown"]),
        ("val/accuracy < 1", ["neither a metric nor arithmetic"]),
        ("3", ["names no metric"]),
        ("", ["not a name"]),
        ("1e999 * val/accuracy", ["neither a metric nor arithmetic"]),
        ("+".join(["val/accuracy"] * 99), ["more than 500 characters"]),
        ("(" * 240 + "val/accuracy" + ")" * 240, ["neither a metric nor arithmetic"]),
    ],
)
def test_what_is_no_objective_is_refused_in_a_sentence(text: str, words: list[str]) -> None:
    with pytest.raises(TuneCLError) as refused:
        Objective.parse(text, "--objective")
    for word in ("--objective: ", *words):
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_expression_that_drives_a_metric_the_wrong_way_has_no_direction() -> None:
    with pytest.raises(TuneCLError, match=r"drives val/forgetting the wrong way .* the other sign"):
        Objective.parse("val/accuracy + val/forgetting").direction()
    assert Objective.parse("val/accuracy - val/accuracy").direction() == "max", "it does not tell"


def test_a_value_is_missing_where_a_metric_is_and_not_a_number_where_it_divides_by_zero() -> None:
    objective = Objective.parse("val/accuracy - val/forgetting")
    assert objective.value({"val/accuracy": 0.5, "val/forgetting": None}) is None
    assert objective.value({"val/accuracy": 0.5}) is None
    ratio = Objective.parse("val/accuracy / val/forgetting").value({"val/accuracy": 0.5, "val/forgetting": 0.0})
    assert ratio is not None and math.isnan(ratio)


def test_an_objective_is_defined_at_the_base_task_where_all_of_its_metrics_are() -> None:
    assert Objective.parse("val/accuracy - 1e-8 * images_trained").defined_at(0)
    assert not Objective.parse("val/accuracy - val/forgetting").defined_at(0)
    assert Objective.parse("val/accuracy - val/forgetting").defined_at(1)


def test_an_expression_is_a_metric_of_its_row_in_a_search_and_in_an_evaluation() -> None:
    text = Objective.parse("val/accuracy-val/forgetting").text
    assert with_objective(ROW, text) == {**ROW, "val/accuracy - val/forgetting": 0.3}
    tested = on_test_data(text)
    assert tested == "test/accuracy - test/forgetting"
    assert with_objective({"test/accuracy": 0.4, "test/forgetting": 0.3}, tested)[tested] == pytest.approx(0.1)


def test_the_read_out_and_the_name_of_an_objective() -> None:
    assert read_out("val/nme/accuracy") == "val/nme/" and read_out("0.5 * test/accuracy - 1") == "test/"
    assert read_out("images_trained") == ""
    assert (
        bare_name("val/nme/accuracy") == "accuracy"
        and bare_name("val/accuracy - 1") == bare_name("-val/accuracy") == ""
    )
    assert possible_range("val/accuracy - val/forgetting") == (-math.inf, math.inf)
    assert possible_range("memory/accuracy") == (-math.inf, math.inf), "another's accuracy"
