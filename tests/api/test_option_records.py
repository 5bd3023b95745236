"""An option is written down once: the command line, Python and a job's command come to the same record."""

import inspect
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

import tune_cl
from tune_cl import EvaluationOptions, SearchOptions, TuneCLError
from tune_cl.api.search import search
from tune_cl.cli._parser import PARSERS, made
from tune_cl.options import (
    CompareOptions,
    JobOptions,
    Options,
    StagesOptions,
    SweepOptions,
    SyncOptions,
    TrainOptions,
    declared,
    written,
)

RECORDS: dict[str, type[Options]] = {
    "search": SearchOptions,
    "submit": JobOptions,
    "train": TrainOptions,
    "evaluate": EvaluationOptions,
    "compare": CompareOptions,
    "sync": SyncOptions,
    "sweep": SweepOptions,
    "stages": StagesOptions,
}


@pytest.mark.parametrize("command", RECORDS)
def test_every_field_of_a_record_is_an_option_of_its_command_with_the_same_sentence(command: str) -> None:
    actions = {action.dest: action for action in PARSERS[command]()._actions}
    for item in declared(RECORDS[command]):
        assert item.option.help
        if item.option.in_shell:
            assert actions[item.name].help == item.option.help
            assert item.flag in (*actions[item.name].option_strings, item.name)


def test_the_functions_have_the_fields_of_their_records_as_arguments() -> None:
    for function, record in ((search, SearchOptions), (tune_cl.evaluate, EvaluationOptions)):
        parameters = inspect.signature(function).parameters
        assert set(parameters) == {field.name for field in fields(record)}
        assert parameters["concurrency"].annotation == int | None and parameters["concurrency"].default is None
        for item in declared(record):
            assert f"    {item.name}: {item.option.help}." in (function.__doc__ or "")


def test_the_command_line_and_python_make_the_same_record() -> None:
    words = ["--space=genifer", "--trials=16", "--time-limit=2h", "--max-store-size=1GiB", "--set=a.b=3", "--fresh"]
    words += ["--precision=bfloat16", "--memory-format=contiguous", "--deterministic"]
    typed = made(SearchOptions, PARSERS["search"]().parse_args([*words, "--class-order=3,1,2", "--plugin=mine"]))
    given = SearchOptions(
        Path("genifer"),
        trials=16,
        time_limit=7200,
        max_store_size=2**30,
        overrides=["a.b=3"],
        fresh=True,
        precision="bfloat16",
        memory_format="contiguous",
        deterministic=True,
        class_order=(3, 1, 2),
        plugins=["mine"],
    )
    assert typed == given
    assert made(SearchOptions, PARSERS["search"]().parse_args(written(given))) == given


def test_a_mapping_of_parameters_is_written_as_the_command_line_has_it() -> None:
    from tune_cl.api.asked import changes_of

    changes = {"a.b": {"log": [1e-4, 1e-2]}, "a.c": "ce", "a.d": True, "a.e": None, "a.f": 3}
    options = SearchOptions("genifer", overrides=changes)
    read = made(SearchOptions, PARSERS["search"]().parse_args(written(options)))
    assert changes_of(read.overrides) == changes_of(options.overrides) == changes


def test_records_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        SearchOptions("genifer").trials = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trials": 0}, "trials: 0, but it must be at least 1"),
        ({"trials": "8"}, "trials: '8' is not a whole number"),
        ({"trials": True}, "trials: True is not a whole number"),
        ({"search_seed": -1}, "search_seed: -1, but it must be at least 0"),
        ({"search_seed": False}, "search_seed: False is not a whole number"),
        ({"time_limit": "soon"}, "time_limit soon: write a time above 0 such as 90s"),
        ({"time_limit": -3}, "time_limit -3: write a time"),
        ({"max_store_size": "5 loaves"}, "max_store_size 5 loaves: 'loaves' is no unit of size"),
        ({"max_store_size": 0}, "max_store_size 0: write a size above 0"),
        ({"gpus_per_trial": 1.5}, "gpus_per_trial 1.5: must be a fraction from 0 to 1"),
        ({"fresh": 1}, "fresh 1: neither True nor False"),
        ({"plugins": "mine"}, "plugins 'mine': not a list of names"),
        ({"overrides": "a=1"}, "overrides 'a=1': not a mapping of paths"),
        ({"overrides": {1: 2}}, "overrides {1: 2}: not a mapping of paths"),
        ({"results": None}, "results None: no path"),
        ({"stream": 5}, "stream 5: not text"),
        ({"class_order": [1.5]}, "class_order [1.5]: not text"),
        ({"precision": "bfloat"}, "precision 'bfloat': not one of auto, float32, bfloat16"),
        ({"memory_format": 3}, "memory_format 3: not one of auto, channels_last, contiguous"),
    ],
)
def test_a_value_out_of_bounds_is_refused_as_soon_as_the_record_is_made(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TuneCLError) as refused:
        SearchOptions("genifer", **options)
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tune_cl.search("finetune", trails=3), "trails: no such option; did you mean 'trials'"),
        (lambda: tune_cl.search(), "missing a required argument: 'space'"),
        (lambda: tune_cl.search("finetune", 3), "too many positional arguments"),
        (lambda: tune_cl.search("finetun"), "did you mean 'finetune.yaml'"),
        (lambda: tune_cl.search("finetune", sampler="tpee"), "sampler: 'tpee' is unknown"),
        (lambda: tune_cl.search("finetune", cpus_per_trial=1000), "cpus_per_trial 1000: this machine has"),
        (lambda: tune_cl.search("finetune", overrides={"base.classifier.epoch": 1}), "did you mean"),
        (lambda: tune_cl.search("finetune", overrides=["nonsense"]), "overrides nonsense"),
        (lambda: tune_cl.search("finetune", class_order="numpy-1994"), "class_order numpy-1994: write seed"),
        (lambda: tune_cl.search("finetune", name="../x"), "name '../x': not a plain folder name"),
        (lambda: tune_cl.evaluate("nowhere"), "nowhere: no such folder"),
        (lambda: tune_cl.evaluate("nowhere", seeds=0), "seeds: 0, but it must be at least 1"),
        (lambda: tune_cl.compare("nowhere"), "nowhere: no such folder"),
        (lambda: tune_cl.compare(5), "SEARCH 5: no path"),
        (lambda: tune_cl.compare(), "no search to compare"),
        (lambda: tune_cl.open_result("nowhere"), "nowhere: no such folder"),
        (lambda: tune_cl.open_result(5), "SEARCH 5: no path"),
        (lambda: tune_cl.open_result("nowhere", results=5), "results 5: no path"),
    ],
)
def test_a_script_is_refused_in_a_sentence_that_names_its_arguments(
    call: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TuneCLError) as refused:
        call()
    said = str(refused.value)
    assert words in said and "\n" not in said and "--" not in said, said
    assert list(tmp_path.iterdir()) == []
