"""What can be asked before anything runs: `--help`, `--list`, `--dry-run`. None of them writes."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from search_cli import LAUNCH, environment, search

import tune_cl
from tune_cl.cli._parser import search_parser, train_parser
from tune_cl.cli.main import main
from tune_cl.methods import method_names
from tune_cl.study import shipped_spaces


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A wide screen, and a current folder that must stay empty."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What a command prints that ends well."""
    try:
        code = main(argv)
    except SystemExit as end:  # argparse, after --help
        code = end.code
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return out


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((LAUNCH.parent / "pyproject.toml").read_text())["project"]
    assert printed(capsys, "--version") == f"tune-cl {project['version']}\n"
    assert tune_cl.__version__ == project["version"]
    done = subprocess.run([sys.executable, "-m", "tune_cl", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"tune-cl {project['version']}\n")


@pytest.mark.parametrize(("command", "parser"), [("search", search_parser()), ("train", train_parser())])
def test_help_explains_every_option(capsys: pytest.CaptureFixture[str], command: str, parser: object) -> None:
    text = printed(capsys, command, "--help")
    for action in parser._actions:  # type: ignore[attr-defined]
        assert action.help, action.option_strings
        for option in action.option_strings:
            assert option in text


def test_help_names_all_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "search", "--help")
    options = """--space --trials --stream --budget --set --search-seed --order-seed --split-seed --train-seed --sampler
    --scheduler --concurrency --time-limit --results --stages --name --data-root --cpus-per-trial --gpus-per-trial
    --address --wandb-project --wandb-entity --wandb-mode --list --dry-run --download --accept-modified-data"""
    for option in options.split():
        assert option in text
    assert "Example" in text


def test_general_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--help")
    assert "search" in text and "train" in text


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_any_more_ends_a_command_without_a_word(unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)  # as `head` does once it has its lines
    try:
        command = [sys.executable, LAUNCH / "search.py", "--list"]
        env = environment(PYTHONUNBUFFERED=unbuffered)
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=env)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_list_names_spaces_methods_and_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "search", "--list")
    for name in (*shipped_spaces(), *method_names(), "fashion", "quickdraw", "cifar10", "cifar100"):
        assert name in text


def test_dry_run_shows_space_trials_stages_disk_and_trial_0(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "search", "--space", "genifer", "--dry-run", "--trials", "5", "--concurrency", "1")
    assert "increment.generator.r1_gamma" in text
    assert "5, 1 at a time" in text
    # two phases at the base task, shared; a classifier and a generator per increment, but no generator after the last
    per_trial = 2 + 2 + 2 + 1
    assert f"{per_trial} a trial" in text and f"at most {2 + 5 * (per_trial - 2)}" in text
    assert "MB of stages" in text
    assert "configuration of trial 0" in text and "weight_ce: " in text
    assert "Nothing was written." in text


def test_dry_run_shows_overrides_and_a_searched_base(capsys: pytest.CaptureFixture[str]) -> None:
    override = "base.classifier.learning_rate={log: [1e-3, 1e-2]}"
    race = "--seeds=finalists=3,top=0.5"
    text = printed(
        capsys, "search", "--space", "finetune", "--dry-run", "--set", override, "--protocol", "first_2", race
    )
    assert "finalists=3,top=0.5,fresh=3: at most 16 runs more" in text, "(4 + 1) * 2 + 2 * 3"
    assert "the base task is searched, too" in text
    assert "increment 2, protocol first_2" in text
    assert "3 a trial" in text


def test_dry_run_downloads_nothing(capsys: pytest.CaptureFixture[str], empty_folder: Path) -> None:
    options = ["--stream", "cifar10-b5-t5", "--data-root", "data", "--download", "--dry-run"]
    assert main(["search", "--space", "finetune", *options]) == 2
    assert "--data-root data" in capsys.readouterr().err


def test_dry_run_as_a_script_starts_no_ray(empty_folder: Path) -> None:
    done = search("--space", "genifer.yaml", "--dry-run", cwd=empty_folder)
    assert (done.returncode, done.stderr) == (0, "")
