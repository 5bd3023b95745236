"""Numbers that no machine can follow are refused in one short sentence, wherever they are written."""

import argparse
import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

import tune_cl
from tune_cl.cli._parser import (
    compare_parser,
    evaluate_parser,
    search_parser,
    stages_parser,
    submit_parser,
    train_parser,
)
from tune_cl.cli.main import main
from tune_cl.errors import TuneCLError
from tune_cl.options import Bounds
from tune_cl.records import write_yaml

ENDLESS = "9" * 5000  # more digits than Python converts
PARSERS = (search_parser, train_parser, evaluate_parser, stages_parser, submit_parser, compare_parser)


def sentence(*argv: object) -> str:
    """What a command that must be refused says: one line, and not the whole of a long value."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in argv])
    (line,) = err.getvalue().splitlines()
    assert (code, out.getvalue()) == (2, "") and len(line) < 600, line
    return line


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.__name__)
def test_every_option_that_takes_a_number_has_bounds(parser: Callable[[], argparse.ArgumentParser]) -> None:
    numbers = [action for action in parser()._actions if action.type is not None]
    assert numbers or parser is compare_parser
    for action in numbers:
        assert action.type not in (int, float), action.option_strings
        for text in (ENDLESS, "9" * 19 + "9", "-1", "1_0", "²", "1e400", "nan"):
            with pytest.raises(TuneCLError, match=action.option_strings[-1]) as refused:
                action.type(text)  # type: ignore[operator]
            assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--loader-workers", "100000"], ["--loader-workers 100000: must be at most 256"]),
        (["--loader-workers", "-1"], ["--loader-workers -1: must be at least 0"]),
        (["--trials", "10000000"], ["--trials 10000000: must be at most 1,000,000"]),
        (["--trials", ENDLESS], ["--trials: '99", "has too many digits; write one from 1 to 1,000,000"]),
        (["--trials", "1.5"], ["--trials: '1.5' is not a whole number"]),
        (["--cpus-per-trial", "1000000000"], ["must be at most 1,024"]),
        (["--concurrency", ENDLESS], ["from 1 to 10,000"]),
        (["--base-configurations", ENDLESS], ["--base-configurations"]),
        (["--train-seed", str(2**63)], ["--train-seed 9223372036854775808: must be at most 9,223,372,036,854,775,807"]),
        (["--gpus-per-trial", ENDLESS], ["--gpus-per-trial 99", "up to 1023"]),
        (["--time-limit", ENDLESS], ["--time-limit 99", "at most 100000h"]),
        (["--checkpoint-every", "100001h"], ["--checkpoint-every 100001h", "at most 100000h"]),
        (["--max-store-size", ENDLESS], ["--max-store-size 99"]),
        (["--stream", f"fashion-b4-t{ENDLESS}"], ["stream 'fashion-b4-t99", "is written DATASET-b"]),
        (["--stream", f"fashion-b{ENDLESS}-t3"], ["stream 'fashion-b99"]),
        (["--stream", "x" * 100_000], ["stream 'xxx", "100002 characters"]),
        (["--class-order", f"0,1,{ENDLESS}"], ["--class-order 0,1,99"]),
        (["--class-order", "0,1,2,3,4,5,6,7,8,-9"], ["not labels of it: -9"]),
        (["--protocol", f"first_{ENDLESS}"], ["is unknown; it is 'stream'"]),
        (["--address", "127.0.0.1:99999999"], ["--address 127.0.0.1:99999999: port 99999999: must be at most 65,535"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_an_option_out_of_bounds_is_refused(tmp_path: Path, options: list[str], words: list[str]) -> None:
    said = sentence("search", "--space", "finetune", *options, "--results", tmp_path / "results")
    for word in words:
        assert word in said
    assert not (tmp_path / "results").exists()


def test_the_runs_of_an_evaluation_are_bounded(tmp_path: Path) -> None:
    assert "--seeds 1000000000: must be at most 1,000" in sentence("evaluate", tmp_path, "--seeds", 10**9)
    assert "--orders: '99" in sentence("evaluate", tmp_path, "--orders", ENDLESS)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("threads: 1", "threads: 1000000000", "threads: Input should be less than or equal to 1024"),
        ("threads: 1", "threads: 0", "threads: Input should be greater than or equal to 1"),
        ("train_seed: 0", "train_seed: -1", "train_seed: Input should be greater than or equal to 0"),
        ("order_seed: 0", "order_seed: -1", "stream.order_seed: Input should be greater than or equal to 0"),
        ("split_seed: 0", f"split_seed: {2**63}", "stream.split_seed: Input should be less than or equal to"),
        ("horizon: 3", f"horizon: {10**30}", "horizon: Input should be less than or equal to"),
        ("train_seed: 0", f"train_seed: {ENDLESS}", "a number too long"),
        ("-b4-t3", f"-b4-t{ENDLESS}", "is written DATASET-b"),
    ],
    ids=lambda value: value[:30],
)
def test_a_configuration_out_of_bounds_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    config = tmp_path / "config.yaml"
    write_yaml(config, tune_cl.configure("finetune"))
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new, 1))
    said = sentence("train", "--config", config, "--results", tmp_path / "results")
    assert "config.yaml: " in said and words in said


def test_a_space_file_out_of_bounds_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    scales = "scales: {small28: {budgets: {quick: {}}}}"
    for line, words in (
        ("trials: 10000000", "mine.yaml: trials: 10000000, but it must be at most 1,000,000"),
        ("base_configurations: 0", "mine.yaml: base_configurations: 0, but it must be at least 1"),
        (f"trials: {ENDLESS}", "mine.yaml: holds a number too long"),
    ):
        file.write_text(f"method: finetune\n{line}\n{scales}\n")
        assert words in sentence("search", "--space", file, "--results", tmp_path / "results")


def test_a_script_is_told_the_bounds_too(tmp_path: Path) -> None:
    with pytest.raises(TuneCLError, match=r"^loader_workers: 100000, but it must be at most 256$"):
        tune_cl.run_chain(tune_cl.configure("finetune"), stages=tmp_path / "stages", loader_workers=100_000)


def test_bounds_include_their_ends_and_tell_numbers_from_what_looks_like_them() -> None:
    bounds = Bounds(0, 10)
    assert [bounds.check(value, "here") for value in (0, 10)] == [0, 10]
    assert [bounds.read(text, "--n") for text in ("0", " 10 ", "+3", "007")] == [0, 10, 3, 7]
    for wrong in (True, 2.0, "2", None, -1, 11, 10**5000):
        with pytest.raises(TuneCLError, match=r"^here: "):
            bounds.check(wrong, "here")


def test_a_chain_that_runs_out_of_memory_ends_train_in_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    write_yaml(config, tune_cl.configure("finetune", overrides={"base.classifier.batch_size": 10**15}))
    code = main(["train", "--config", str(config), "--results", str(tmp_path / "results")])
    err = capfd.readouterr().err
    assert (code, err) == (
        1,
        "tune-cl: this machine ran out of memory; use smaller batch sizes or networks\n",
    )
