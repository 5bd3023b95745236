"""An installed wheel carries data and spaces, and searches without a single test image."""

import os
import sys
from pathlib import Path

import pytest
from installed_wheel import Installed, OneMachine
from search_cli import ROOT, states_of

pytestmark = pytest.mark.ray


def test_wheel_carries_data_credits_and_spaces(installed: Installed) -> None:
    for name in ("fashion", "quickdraw"):
        assert (installed.site / f"tune_cl/streams/data/{name}_train.npz").is_file()
        assert (installed.site / f"tune_cl/heldout/data/{name}_test.npz").is_file()
    assert (installed.site / "tune_cl/streams/data/CREDITS.md").is_file()
    shipped = {file.name for file in (installed.site / "tune_cl" / "spaces").glob("*.yaml")}
    assert shipped == {file.name for file in (ROOT / "search_spaces").glob("*.yaml")} >= {"genifer.yaml"}
    top = {path.name.split("-")[0] for path in installed.site.iterdir()}
    assert top == {"tune_cl", "bin"}, "no other package comes along"


def test_installed_command_shows_its_plan_from_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    done = installed.run(*installed.command, "search", "--space", "genifer.yaml", "--dry-run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "genifer on fashion-b4-t3" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_ones_own_named_as_the_shipped_one_hides_nothing(installed: Installed, tmp_path: Path) -> None:
    own = tmp_path / "search_spaces"
    own.mkdir()
    (own / "__init__.py").write_text("")
    (own / "mine.yaml").write_text("extends: genifer.yaml\ntrials: 3\n")
    for space in ("genifer", "search_spaces/mine.yaml"):
        script = "import sys, tune_cl; print(tune_cl.configure(sys.argv[1]).method)"
        done = installed.run(sys.executable, "-c", script, space, cwd=tmp_path)
        assert (done.stdout, done.stderr) == ("genifer\n", "")


def test_search_runs_where_there_are_no_test_data(one_machine: OneMachine, tmp_path: Path) -> None:
    """The whole room of the test data is gone from the installed package, and the search did not notice."""
    package = one_machine.package
    where = "import tune_cl; print(tune_cl.__file__)"
    imported = package.run(sys.executable, "-c", where, cwd=tmp_path).stdout.strip()
    assert Path(imported).is_relative_to(package.site)
    assert not list(package.site.rglob("*test*.npz")) and not (package.site / "tune_cl" / "heldout").exists()
    assert one_machine.done.returncode == 0, one_machine.done.stdout + one_machine.done.stderr
    folder = one_machine.folder
    assert set(states_of(folder)) == {"finished"}
    for trial in folder.trials().values():
        assert [row.increment for row in trial.rows()] == [0, 1, 2]
        assert trial.replay_grid(1).is_file()
    assert os.listdir(one_machine.cwd) == ["results"]
