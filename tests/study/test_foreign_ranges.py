"""A range in another tool's manner, and a name in an abbreviation, are answered with what to write here."""

from typing import Any

import pytest

from tune_cl.errors import TuneCLError, near_matches
from tune_cl.methods import get_method, leaves
from tune_cl.study._ranges import check_value, find_leaf, parse_range

KNOWN = leaves(get_method("finetune").config)
RATE, EPOCHS = KNOWN["increment.classifier.learning_rate"], KNOWN["increment.classifier.epochs"]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("loguniform(1e-4,1e-2)", "{log: [1e-4, 1e-2]}"),
        ("tune.loguniform(1e-4, 1e-2)", "{log: [1e-4, 1e-2]}"),
        ("suggest_float('lr', 1e-4, 1e-2, log=True)", "{log: [1e-4, 1e-2]}"),
        ("uniform(0.1, 1)", "{uniform: [0.1, 1]}"),
        ("choice(0.1, 1)", "{choice: [0.1, 1]}"),
        ("tune.choice([0.1, 1, 2])", "{choice: [0.1, 1, 2]}"),
        ([0.1, 1.0], "{log: [0.1, 1.0]} or {uniform: [0.1, 1.0]}"),
        ([0.1, 1.0, 2.0], "{choice: [0.1, 1.0, 2.0]}"),
    ],
)
def test_value_that_is_a_range_elsewhere(given: Any, written: str) -> None:
    with pytest.raises(TuneCLError) as caught:
        check_value(RATE, given, "--set x")
    assert str(caught.value).endswith(f"; a range is written {written}")


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"min": 0.1, "max": 1.0}, "{log: [0.1, 1.0]} or {uniform: [0.1, 1.0]}"),
        ({"distribution": "log_uniform_values", "min": 0.1, "max": 1.0}, "{log: [0.1, 1.0]}"),
        ({"distribution": "uniform", "min": 0.1, "max": 1.0}, "{uniform: [0.1, 1.0]}"),
        ({"type": "float", "low": 0.1, "high": 1.0, "log": True}, None),  # `log` is a word of ours, too
        ({"values": [0.1, 1.0]}, "{choice: [0.1, 1.0]}"),
        ({"loguniform": [0.1, 1.0]}, "{log: [0.1, 1.0]}"),
        ({"lgo": [0.1, 1.0]}, None),
    ],
)
def test_mapping_that_is_a_range_elsewhere(given: dict[str, Any], written: str | None) -> None:
    with pytest.raises(TuneCLError) as caught:
        parse_range(RATE, given, "--set x")
    if written is None:
        assert "a range is written" not in str(caught.value)
    else:
        assert str(caught.value).endswith(f"unknown key of a range; a range is written {written}")


def test_whole_numbers_get_whole_numbers() -> None:
    for given in ("randint(1, 5)", [1, 5]):
        with pytest.raises(TuneCLError, match=r"a range is written \{int: \[1, 5\]\}$"):
            check_value(EPOCHS, given, "--set x")
    with pytest.raises(TuneCLError, match=r"a range is written \{int: \[1, 5\]\}$"):
        parse_range(EPOCHS, {"min": 1, "max": 5}, "--set x")


def test_plain_nonsense_is_no_range() -> None:
    for given in ("fast", "1,2", "f(x)", [1.0], {}):
        with pytest.raises(TuneCLError) as caught:
            check_value(RATE, given, "--set x")
        assert "a range is written" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("lr", ["base.classifier.learning_rate", "increment.classifier.learning_rate"]),
        ("increment.classifier.lr", ["increment.classifier.learning_rate"]),
        ("increment.classifier.wd", ["increment.classifier.weight_decay"]),
        ("base.classifier.bs", ["base.classifier.batch_size"]),
    ],
)
def test_initials_stand_for_their_words(given: str, meant: list[str]) -> None:
    with pytest.raises(TuneCLError) as caught:
        find_leaf(KNOWN, given, given)
    for path in meant:
        assert repr(path) in str(caught.value)
    assert str(caught.value).count("'") == 2 * len(meant)


def test_word_without_likeness_has_no_near_match() -> None:
    assert near_matches("zz", ["learning_rate", "epochs"]) == ""
    assert near_matches("", ["learning_rate", "epochs"]) == ""
    assert near_matches("s.", ["learning_rate", "epochs"]) == ""
