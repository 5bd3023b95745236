"""A comparison as a W&B run, kept offline."""

import sys
from pathlib import Path

import pytest
from made_searches import FROZEN, made
from test_comparison_page import PLOTS, evaluated
from wandb_records import offline_runs

from tune_cl.errors import TuneCLError
from tune_cl.reports import compare, publish


def test_comparison_is_one_run_with_its_tables_plots_and_page(tmp_path: Path) -> None:
    line = publish(evaluated(tmp_path), "offline", "p", None, tmp_path / "comparisons")
    sys.modules["wandb"].teardown()  # which waits until the file is whole
    [(name, run)] = offline_runs(tmp_path / "comparisons").items()
    assert name == "fashion-b4-t3: genifer, lwf, finetune"
    assert run.starts()[0].job_type == "comparison"
    assert run.config()["objective"] == "val/average_incremental_accuracy"
    assert run.summary()["genifer/value"] == pytest.approx(0.8)
    assert run.summary()["genifer/never_training_again/average_incremental_accuracy"] == pytest.approx(0.95 * FROZEN)
    assert "lost the old classes" in run.summary()["finetune/cautions"][0]
    [row] = run.rows()
    logged = {"/".join(key.split("/")[:-1]) for key in row}  # each is a file with its kind, size, checksum, …
    assert {f"plots/{plot}" for plot in PLOTS} <= logged
    assert {
        "tables/best",
        "tables/test",
        "tables/configurations",
        "tables/differences",
        "tables/cautions",
        "page",
    } <= logged
    assert run.exit_codes() == [0]
    assert "wandb sync" in line and str(tmp_path / "comparisons" / "wandb") in line
    [page] = (tmp_path / "comparisons").rglob("*.html")
    assert page.read_text().count("<script") >= 3


def test_disabled_publishes_nothing_and_a_misspelt_mode_is_refused(tmp_path: Path) -> None:
    comparison = compare([made(tmp_path / "a", {0: 0.5, 1: 0.7})])
    assert "nothing was published" in publish(comparison, "disabled", None, None, tmp_path / "w")
    assert not (tmp_path / "w").exists()
    with pytest.raises(TuneCLError, match="did you mean 'offline'"):
        publish(comparison, "offlin", None, None, tmp_path / "w")
    with pytest.raises(TuneCLError, match="no W&B credentials"):
        publish(comparison, "online", None, None, tmp_path / "w")
