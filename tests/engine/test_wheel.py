"""An installed wheel carries data and spaces, and searches without a single test image."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from search_cli import CHEAP, ROOT, environment, states_of

from tune_cl.records import SearchFolder


@dataclass(frozen=True)
class Installed:
    """A wheel's content in a folder of its own, the libraries being those of this interpreter."""

    site: Path
    environment: dict[str, str]

    @property
    def command(self) -> list[str]:
        """The console script."""
        return [sys.executable, str(self.site / "bin" / "tune-cl")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel from a copy of what it is made of, and install it."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("tune_cl", "search_spaces"):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    build = [*pip, "wheel", str(source), "--no-deps", "--no-build-isolation", "--no-index", "-w", str(place)]
    subprocess.run(build, check=True, timeout=120, cwd=place)
    (wheel,) = place.glob("*.whl")
    site = place / "site"
    install = [*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, timeout=120, cwd=place)
    return Installed(site, environment(PYTHONPATH=str(site), HOME=str(place)))


def test_wheel_carries_data_credits_and_spaces(installed: Installed) -> None:
    for name in ("fashion", "quickdraw"):
        assert (installed.site / f"tune_cl/streams/data/{name}_train.npz").is_file()
        assert (installed.site / f"tune_cl/heldout/data/{name}_test.npz").is_file()
    assert (installed.site / "tune_cl/streams/data/CREDITS.md").is_file()
    shipped = {file.name for file in (installed.site / "search_spaces").glob("*.yaml")}
    assert shipped == {file.name for file in (ROOT / "search_spaces").glob("*.yaml")} >= {"genifer.yaml"}


def test_installed_command_shows_its_plan_from_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    command = [*installed.command, "search", "--space", "genifer.yaml", "--dry-run"]
    done = subprocess.run(
        command, cwd=tmp_path, env=installed.environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "genifer on fashion-b4-t3" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_search_runs_where_there_are_no_test_data(installed: Installed, tmp_path: Path) -> None:
    """The whole room of the test data is gone from the installed package, and the search does not notice."""
    site = Path(shutil.copytree(installed.site, tmp_path / "site"))
    shutil.rmtree(site / "tune_cl" / "heldout")
    assert not list(site.rglob("*test*.npz"))
    env = {**installed.environment, "PYTHONPATH": str(site)}
    empty = tmp_path / "empty"
    empty.mkdir()
    where = "import tune_cl, search_spaces; print(tune_cl.__file__, search_spaces.__file__)"
    imported = subprocess.run(
        [sys.executable, "-c", where], cwd=empty, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert all(Path(file).is_relative_to(site) for file in imported.stdout.split())
    command = [sys.executable, str(site / "bin" / "tune-cl"), "search", "--space", "genifer.yaml"]
    steps = [f"--set={task}.generator.steps=3" for task in ("base", "increment")]
    small = ["--set=base.generator.channels=8", "--set=base.generator.discriminator_width=8"]
    done = subprocess.run(
        [*command, *CHEAP, *steps, *small, "--trials", "1", "--name", "s"],
        cwd=empty,
        env=env,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = SearchFolder(empty / "results" / "s")
    assert states_of(folder) == ["finished"]
    assert [row.increment for row in folder.trial(0).rows()] == [0, 1, 2, 3]
    assert folder.trial(0).replay_grid(1).is_file()
    assert os.listdir(empty) == ["results"]
