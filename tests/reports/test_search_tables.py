"""The tables of a search as files of comma-separated values."""

import csv
from pathlib import Path

import pytest
from made_searches import RATE, write_search
from tracking_fixtures import HORIZON, OBJECTIVE

from tune_cl.cli.main import main

FINALS = {0: 0.6, 2: 0.8}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_report_writes_a_row_per_trial_and_a_row_per_increment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_search(tmp_path / "s", FINALS, stopped={1: 0.5})
    assert main(["report", str(folder.path), "--csv", str(tmp_path / "new" / "tables")]) == 0
    trials, increments = (tmp_path / "new" / "tables" / f"{name}.csv" for name in ("trials", "increments"))
    assert capsys.readouterr().out == f"Table: {trials}\nTable: {increments}\n" and not folder.page.exists()
    rows = {int(row["trial"]): row for row in read(trials)}
    assert {n: (row["state"], float(row["value"])) for n, row in rows.items()} == {
        0: ("finished", 0.6),
        1: ("stopped", 0.5),
        2: ("finished", 0.8),
    }
    assert float(rows[2][RATE]) == 3e-3
    found = {(int(row["trial"]), int(row["increment"])): row for row in read(increments)}
    assert set(found) == {(n, t) for n in FINALS for t in range(HORIZON + 1)} | {(1, 0), (1, 1)}
    for (trial, t), row in found.items():
        written = folder.trial(trial).rows()[t]
        assert float(row[OBJECTIVE]) == written.metrics[OBJECTIVE]
        assert [float(row[f"R/{i}"]) for i in range(t + 1)] == written.accuracy_row
        assert [row[f"R/{i}"] for i in range(t + 1, HORIZON + 1)] == [""] * (HORIZON - t)


def test_a_folder_that_cannot_be_made_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_search(tmp_path / "s", FINALS)
    assert main(["report", str(folder.path), "--csv", str(folder.search)]) == 2
    assert "--csv: the folder" in capsys.readouterr().err
