"""A command that a person is told to type is the one that runs from where they are."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from search_cli import LAUNCH, ROOT, run_side_by_side

from tune_cl.commands import (
    SUBMITTED,
    beside_python,
    continue_command,
    data_options,
    evaluate_command,
    program,
    python_text,
)

PYTHON = str(Path(sys.executable).parent)


@pytest.fixture
def activated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of this Python comes first on the search path, as after `source .venv/bin/activate`."""
    monkeypatch.setenv("PATH", f"{PYTHON}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("activated")
@pytest.mark.parametrize(
    ("command", "trials", "expected"),
    [
        (["launch/search.py", "--space", "a b.yaml"], 16, "python launch/search.py --space 'a b.yaml' --trials 16"),
        (["/x/bin/tune-cl", "search", "--trials", "8", "--name", "n"], 16, "tune-cl search --name n --trials 16"),
        (["/x/bin/tune-cl", "submit", "--name", "n"], None, "tune-cl submit --name n"),
        (["/x/bin/tune-cl", "--name", "n"], None, "tune-cl search --name n"),
        (["launch/search.py", "--trials=8"], 16, "python launch/search.py --trials 16"),
        (["launch/search.py", "--trials", "8"], None, "python launch/search.py --trials 8"),
        (["../repo of mine/launch/search.py"], None, "python '../repo of mine/launch/search.py'"),
        ([], 16, "the same command with --trials 16"),
    ],
)
def test_command_to_go_on_is_the_one_that_was_typed(command: list[str], trials: int | None, expected: str) -> None:
    assert continue_command(command, trials) == expected


@pytest.mark.usefixtures("activated")
@pytest.mark.parametrize(
    ("started", "expected"),
    [
        ("/x/bin/tune-cl", "tune-cl evaluate 'a b' --with-default"),
        ("launch/search.py", "python launch/evaluate.py 'a b' --with-default"),
        ("../other/launch/submit.py", "python ../other/launch/evaluate.py 'a b' --with-default"),
        ("search.py", "python evaluate.py 'a b' --with-default"),
    ],
)
def test_next_command_is_started_as_this_one_was(started: str, expected: str) -> None:
    assert evaluate_command([started], Path("a b")) == expected


@pytest.mark.usefixtures("activated")
def test_scripts_of_an_environment_are_called_by_name_where_it_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (python_text(), beside_python("tune-cl"), program("sync", beside_python("tune-cl"))) == (
        "python",
        "tune-cl",
        ["tune-cl", "sync"],
    )
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(Path(PYTHON).parent)
    below = f"{Path(PYTHON).name}/"
    assert python_text() == below + Path(sys.executable).name
    assert program("sync", f"{PYTHON}/tune-cl") == [below + "tune-cl", "sync"]
    monkeypatch.chdir("/usr")
    assert python_text() == sys.executable
    assert program("sync", f"{PYTHON}/tune-cl") == [f"{PYTHON}/tune-cl", "sync"]
    monkeypatch.setenv(SUBMITTED, "launch/submit.py --name n")  # another machine's: its paths are not a person's here
    assert python_text() == "python"


def test_script_of_a_persons_own_is_told_of_a_command_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/home/me/mine.py"])
    monkeypatch.chdir(ROOT)
    assert program("evaluate")[1:] == ["launch/evaluate.py"]
    monkeypatch.chdir("/usr")
    assert program("evaluate")[1:] == [str(LAUNCH / "evaluate.py")]


def test_options_of_data_and_of_what_comes_from_outside_are_taken_along() -> None:
    typed = ["search.py", "--space", "x", "--results", "r", "--set", "a=1", "--data-root=d", "--accept-modified-data"]
    taken = ["--data-root=d", "--accept-modified-data", "--plugin", "mine", "--backbone-weights", "w"]
    typed += ["--plugin", "mine", "--trials", "3", "--backbone-weights", "w"]
    assert data_options(typed) == taken
    assert data_options(typed, stages=True) == ["--results", "r", *taken]


@pytest.mark.usefixtures("activated")
def test_a_command_that_was_typed_elsewhere_goes_there_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, here = tmp_path / "my work", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
    command = ["launch/search.py", "--results", "r", "--data-root", "../data"]
    monkeypatch.chdir(there)
    assert evaluate_command(command, Path("r/n"), str(there)) == (
        "python launch/evaluate.py r/n --with-default --data-root ../data"
    )
    monkeypatch.chdir(here)
    place = shlex.quote(str(there))
    assert evaluate_command(command, Path("../my work/r/n"), str(there)) == (
        f"cd {place} && python launch/evaluate.py r/n --with-default --data-root ../data"
    )
    assert continue_command(command, 16, str(there)) == (
        f"cd {place} && python launch/search.py --results r --data-root ../data --trials 16"
    )
    gone = str(tmp_path / "another machine")
    assert evaluate_command(command, Path("r/n"), gone).startswith("python launch/evaluate.py"), (
        "it is not a folder here"
    )


def test_a_printed_command_runs_as_it_is_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Space, plug-in, results and stages are named by relative paths; the environment is not active."""
    there, here = tmp_path / "my work", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
    (there / "mine.py").write_text(PLUGIN)
    (there / "mine.yaml").write_text(SPACE)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    options = ["--space", "mine.yaml", "--plugin", "mine.py", "--results", "../r e s", "--stages=kept", "--trials", "4"]
    command = continue_command([beside_python("tune-cl"), "search", *options], 9, str(there))
    done = subprocess.run(f"{command} --dry-run", shell=True, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert "search              mine-fashion-b4-t3-quick" in done.stdout


@pytest.mark.slow
def test_first_line_of_a_configuration_runs_it_as_it_is_printed(tmp_path: Path) -> None:
    """From a folder with a space in its name, with a plugin, with another Python first on the path."""
    place = tmp_path / "a b"
    (place / "data sets").mkdir(parents=True)
    (place / "mine.py").write_text(PLUGIN)
    space = place / "mine.yaml"
    space.write_text(SPACE)
    options = ["--plugin", "mine", "--data-root", "data sets", "--stages", "own stages"]
    train = [LAUNCH / "train.py", *options, "--config", "first.yaml", "--output", "out put"]
    config = "import sys; sys.path.insert(0, '.'); import tune_cl; from tune_cl.records import write_run; from pathlib "
    config += "import Path; write_run(Path('first.yaml'), tune_cl.configure('mine.yaml', plugins=['mine'])"
    config += ".model_copy(update={'horizon': 1}))"
    subprocess.run([sys.executable, "-c", config], cwd=place, check=True, timeout=120)
    (done,) = run_side_by_side(train, cwd=place)
    assert done.returncode == 0, done.stderr
    line = (place / "out put" / "config.yaml").read_text().splitlines()[0].removeprefix("# ")
    assert line == (
        "tune-cl train --plugin mine --data-root 'data sets' --stages 'own stages' --config 'out put/config.yaml'"
    )
    environment = {**os.environ, "PATH": f"{PYTHON}{os.pathsep}{os.environ['PATH']}"}
    again = subprocess.run(shlex.split(line), cwd=place, env=environment, capture_output=True, text=True, timeout=120)
    assert (again.returncode, "reused" in again.stdout) == (0, True), again.stderr


PLUGIN = """
from dataclasses import replace
from tune_cl.methods import get_method
METHOD = replace(get_method("finetune"), name="mine")
"""
SPACE = """
method: mine
scales:
  small28:
    defaults: {base.classifier.network: small_cnn, base.classifier.width: 4, base.classifier.batch_size: 256}
    budgets:
      quick: {base.classifier.epochs: 1, increment.classifier.epochs: 1}
"""
