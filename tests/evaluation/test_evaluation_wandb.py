"""Evaluation runs in W&B: a job type of their own, in the search's group, each shown once."""

import shutil
import sys
from pathlib import Path

import pytest
from evaluations import EVALUATION, Evaluated
from search_cli import LAUNCH, environment, run

from tune_cl.records import SearchFolder

sys.path.insert(0, str(Path(__file__).parent.parent / "tracking"))

from wandb_records import offline_runs, same_value

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_each_run_is_shown_once_with_its_rows_as_an_evaluation_of_the_search(
    evaluated: Evaluated, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(evaluated.folder, tmp_path / "s"))
    command = [LAUNCH / "evaluate.py", folder, *EVALUATION]
    offline = environment(WANDB_MODE="offline", HOME=str(tmp_path))
    done = run(command, env=offline, timeout=280)
    assert done.returncode == 0 and "kept offline" in done.stdout, done.stdout + done.stderr
    evaluation = SearchFolder(folder).evaluation
    names = [path.name for path in (evaluation.path / "runs").iterdir()]
    shown = offline_runs(evaluation.wandb)
    assert shown.pop("s-evaluation").starts()[0].job_type == "evaluation-summary"
    assert sorted(shown) == sorted(f"s-{name}" for name in names)
    for name in names:
        started = shown[f"s-{name}"].starts()[-1]
        assert (started.run_group, started.job_type) == ("s", "evaluation")
        rows = evaluation.run(name).rows()
        logged = shown[f"s-{name}"].rows()
        assert [row["increment"] for row in logged] == [0, 1, 2, 3]
        for row, seen in zip(rows, logged, strict=True):
            for metric in ("test/accuracy", "test/average_incremental_accuracy", "test/nme/accuracy"):
                assert same_value(seen[metric], row.metrics[metric])
        assert shown[f"s-{name}"].exit_codes() == [0]
        assert shown[f"s-{name}"].config()["protocol"] == "evaluation"
    sessions = sorted(evaluation.wandb.rglob("*.wandb"))
    assert run(command, env=offline).returncode == 0
    assert sorted(evaluation.wandb.rglob("*.wandb")) == sessions, "nothing is shown twice"
