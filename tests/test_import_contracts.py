import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_imports_keep_the_contracts_of_pyproject() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_linter_finds_a_way_from_the_search_to_the_test_data(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tune_cl", tmp_path / "tune_cl", ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "tune_cl" / "streams" / "__init__.py").open("a") as file:
        file.write("\nfrom tune_cl.heldout import open_test_set as open_test_set\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert "No way to the test data from what a search runs BROKEN" in done.stdout
