"""What is read of YAML, and as what."""

import pytest

from tune_cl.errors import TuneCLError
from tune_cl.records import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("-2E5", -2e5),
        ("1.5e+3", 1500.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("7", 7),
        ("-7", -7),
        ("true", True),
        ("null", None),
        ("off", "off"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("'1e-4'", "1e-4"),
        (".inf", ".inf"),
        ("1_000", "1_000"),
        ("{log: [1e-4, 1e-2]}", {"log": [1e-4, 1e-2]}),
    ],
)
def test_scalars_are_read_as_a_person_means_them(text: str, value: object) -> None:
    read = parse_yaml(text, "here")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\na: 2", "here: line 2, column 1: the key 'a' is given twice"),
        ("x: {a: 1, b: 2, a: 3}", "the key 'a' is given twice"),
        ("1: a", "the key 1 is not text"),
        ("[a, b]: c", "is not text"),
        ("a: &x 1\nb: *x", "anchors and aliases"),
        ("a: *x", "anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]", "tags (!) are not read here"),
        ("a: !!timestamp x", "tags (!) are not read here"),
        ("a: [1", "line 1, column 6"),
        ("a: b: c", "line 1, column 5"),
        ("a: 1\n---\nb: 2", "here: line 2"),
        ("[" * 100_000, "too deep"),
        ("9" * 10_000, "too long"),
        ("\x00", "here: "),
    ],
)
def test_what_is_not_plain_yaml_is_refused_in_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(TuneCLError) as error:
        parse_yaml(text, "here")
    assert str(error.value).startswith("here: ")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
