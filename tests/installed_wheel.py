"""The package as a wheel brings it, in a folder of its own, the libraries being those of this interpreter."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from search_cli import CHEAP, ROOT, environment

from tune_cl.records import SearchFolder

# Two increments after the base task; the trials do not depend on how many there are.
GENIFER = (
    *("--space=genifer.yaml", *CHEAP, "--set=increment.classifier.epochs=2", "--set=increment.generator.steps=8"),
    "--set=increment.student.steps=4",
    *("--set=base.generator.steps=6", "--set=base.generator.channels=8", "--set=base.generator.discriminator_width=8"),
    *("--sampler=random", "--scheduler=none", "--protocol=first_2", "--name=s"),
)


@dataclass(frozen=True)
class Installed:
    """A wheel's content."""

    site: Path
    home: Path

    @property
    def command(self) -> list[str]:
        """The console script."""
        return [sys.executable, str(self.site / "bin" / "tune-cl")]

    def run(self, *command: str, cwd: Path, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """Run something to which this is the package."""
        env = environment(PYTHONPATH=str(self.site), HOME=str(self.home))
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)

    def without_test_data(self, place: Path) -> "Installed":
        """A copy from which the whole room of the test data is gone."""
        site = Path(shutil.copytree(self.site, place))
        shutil.rmtree(site / "tune_cl" / "heldout")
        assert not list(site.rglob("*test*.npz"))
        return Installed(site, self.home)


def install(place: Path) -> Installed:
    """Build the wheel from a copy of what it is made of, and install it."""
    source = place / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("tune_cl", "search_spaces"):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    build = [*pip, "wheel", str(source), "--no-deps", "--no-build-isolation", "--no-index", "-w", str(place)]
    subprocess.run(build, check=True, timeout=120, cwd=place)
    (wheel,) = place.glob("*.whl")
    site = place / "site"
    install = [*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, timeout=120, cwd=place)
    return Installed(site, place)


@dataclass(frozen=True)
class OneMachine:
    """A search with GENIFER on Ray as it starts here, two trials at a time, from an empty folder."""

    package: Installed
    cwd: Path
    storage: str
    done: subprocess.CompletedProcess[str]

    @property
    def folder(self) -> SearchFolder:
        """Where it lies."""
        return SearchFolder(self.cwd / "results" / "s")


def search_on_one_machine(package: Installed, cwd: Path) -> OneMachine:
    """Run it, its study in a database."""
    storage = f"sqlite:///{cwd}-study.db"
    command = [*package.command, "search", *GENIFER, "--trials=3", "--concurrency=2", "--storage", storage]
    return OneMachine(package, cwd, storage, package.run(*command, cwd=cwd, timeout=200))
