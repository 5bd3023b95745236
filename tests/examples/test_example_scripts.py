"""The scripts and the notebook in examples/ run as they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(path: Path, folder: Path) -> str:
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    command = [sys.executable, path]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_trials_under_a_tuner_of_ones_own(tmp_path: Path) -> None:
    rate, value = run(EXAMPLES / "own_tuner.py", tmp_path).split()[-2:]
    assert 2e-4 <= float(rate) <= 1e-2
    assert 0.1 < float(value) < 1


def test_the_cells_of_the_notebook_one_after_the_other(tmp_path: Path) -> None:
    cells = json.loads((EXAMPLES / "search.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    script = tmp_path / "cells.py"
    body = (
        "\n\n".join(code) + "\n\nprint(len(result.trials), len(held_out.to_dataframe()), len(classifier.class_names))\n"
    )
    script.write_text(body)
    assert run(script, tmp_path).split()[-3:] == ["3", "1", "10"]
