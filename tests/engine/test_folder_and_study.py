"""A search's folder and its study belong together: rows of one never stand beside configurations of another."""

import json
import shutil
import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from search_cli import STEADY, Reference, here, search_here

from tune_cl.records import SearchFolder, SearchRecord, read_record, write_json
from tune_cl.study._attributes import FOLDER

pytestmark = pytest.mark.ray
ANEW = "another --name begins a new search"


@pytest.fixture
def copy(reference: Reference, tmp_path: Path) -> SearchFolder:
    shutil.copytree(reference.results, tmp_path / "results")
    return SearchFolder(tmp_path / "results" / "s")


def again(folder: SearchFolder, *options: str) -> str:
    """Run the search's command again, which must be refused in a sentence and change nothing; returns the sentence."""
    before = contents(folder)
    code, told = search_here(*STEADY, "--results", folder.path.parent, *options)
    assert code == 2 and told.startswith("tune-cl: ") and told.count("\n") == 1, told
    assert contents(folder) == before
    return told


def contents(folder: SearchFolder) -> dict[str, bytes]:
    files = (path for path in sorted(folder.path.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in files if path != folder.lock}


def journal(folder: SearchFolder) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(folder.study)))


def in_database(folder: SearchFolder, file: Path) -> str:
    """The folder's study moved into a database; returns its URL."""
    optuna.copy_study(
        from_study_name="s", from_storage=journal(folder), to_storage=RDBStorage(f"sqlite:///{file}"), to_study_name="s"
    )
    folder.study.unlink()
    return f"sqlite:///{file}"


def test_the_same_command_goes_on_and_folder_and_study_have_one_id(copy: SearchFolder) -> None:
    code, told = search_here(*STEADY, "--results", copy.path.parent)
    assert code == 0, told
    identity = read_record(copy.search, SearchRecord).study
    (study,) = journal(copy).get_all_studies()
    assert identity and study.user_attrs[FOLDER]["id"] == identity


def test_a_database_that_is_forgotten_is_missed(copy: SearchFolder, tmp_path: Path) -> None:
    url = in_database(copy, tmp_path / "study.db")
    told = again(copy)
    assert "holds 3 trials" in told and "repeat --storage as it was" in told and ANEW in told
    assert "holds 3 trials" in again(copy, "--storage", f"sqlite:///{tmp_path}/other.db")
    code, told = search_here(*STEADY, "--results", copy.path.parent, "--storage", url)
    assert code == 0, told


def test_a_journal_that_was_moved_away_is_missed_and_can_be_moved_back(copy: SearchFolder, tmp_path: Path) -> None:
    shutil.move(copy.study, tmp_path / "elsewhere")
    assert "move study.journal back" in again(copy)
    shutil.move(tmp_path / "elsewhere", copy.study)
    assert search_here(*STEADY, "--results", copy.path.parent)[0] == 0


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:s?mode=memory&uri=true"])
def test_a_database_in_memory_is_refused(copy: SearchFolder, url: str) -> None:
    assert "in memory is lost when the search ends" in again(copy, "--storage", url)


def test_one_database_serves_no_second_results_folder(copy: SearchFolder, tmp_path: Path) -> None:
    url = in_database(copy, tmp_path / "study.db")
    assert search_here(*STEADY, "--results", copy.path.parent, "--storage", url)[0] == 0
    other = tmp_path / "other"
    code, told = search_here(*STEADY, "--results", other, "--storage", url)
    assert code == 2 and f"belongs to {copy.path}, not to {other}/s" in told and ANEW in told
    assert not (other / "s").exists()


def test_rows_that_the_study_has_and_the_folder_lacks_are_missed(copy: SearchFolder) -> None:
    rows = copy.trial(1).increments
    whole = rows.read_text()
    rows.write_text("")
    assert "increments.jsonl: has no row of increment 0" in again(copy)
    rows.write_text(whole.splitlines(keepends=True)[0])
    assert "has no row of increment 1" in again(copy)
    rows.write_text(whole)
    shutil.rmtree(copy.trial(2).path)
    assert "trials/0002/config.yaml: no such file" in again(copy)


def test_rows_and_configurations_of_another_search_are_told_apart(copy: SearchFolder) -> None:
    shutil.copy(copy.trial(2).config, copy.trial(1).config)
    told = again(copy)
    assert "trials/0001/config.yaml: parameters.increment.classifier." in told and "back" in told
    copy.trial(1).config.unlink()
    rows = copy.trial(2).increments.read_text().replace('"trial":2', '"trial":1')
    copy.trial(1).increments.write_text(rows)
    assert "0001" in again(copy)


def test_a_trial_that_the_study_lacks_is_missed(copy: SearchFolder) -> None:
    shutil.copytree(copy.trial(1).path, copy.trial(3).path)
    assert "trials/0003: " in again(copy) and "has no such trial" in again(copy)


def test_a_folder_from_before_there_were_ids_is_adopted(copy: SearchFolder) -> None:
    old = read_record(copy.search, SearchRecord).model_dump(mode="json")
    del old["study"]
    copy.search.write_text(json.dumps(old))
    lines = [line for line in copy.study.read_text().splitlines(keepends=True) if FOLDER not in line]
    copy.study.write_text("".join(lines))
    code, told = search_here(*STEADY, "--results", copy.path.parent)
    assert code == 0, told
    identity = read_record(copy.search, SearchRecord).study
    assert identity and journal(copy).get_all_studies()[0].user_attrs[FOLDER]["id"] == identity


def test_a_study_with_another_id_is_refused(copy: SearchFolder) -> None:
    record = read_record(copy.search, SearchRecord)
    write_json(copy.search, record.model_copy(update={"study": "0" * 16}))
    assert "s' belongs to " in again(copy)


@pytest.mark.timeout(120)
def test_what_is_no_study_of_ours_in_a_database_is_one_sentence(tmp_path: Path) -> None:
    def told(file: Path) -> str:
        code, text = search_here(*STEADY, "--results", tmp_path / "results", "--storage", f"sqlite:///{file}")
        assert code == 2 and text.count("\n") == 1, text
        assert not (tmp_path / "results").exists()
        return text

    with sqlite3.connect(tmp_path / "foreign.db") as foreign:
        foreign.execute("create table trials (patient text)")
    assert "the database of another program, whose table 'trials'" in told(tmp_path / "foreign.db")
    with sqlite3.connect(tmp_path / "foreign.db") as foreign:
        assert foreign.execute("select name from sqlite_master").fetchall() == [("trials",)], "nothing was made in it"
    RDBStorage(f"sqlite:///{tmp_path}/old.db")
    with sqlite3.connect(tmp_path / "old.db") as old:
        old.execute("update alembic_version set version_num = 'v2.6.0.a'")
    assert "another version of Optuna" in told(tmp_path / "old.db")
    for name, directions in (("down", ["minimize"]), ("two", ["maximize", "minimize"])):
        url = f"sqlite:///{tmp_path}/{name}.db"
        optuna.create_study(storage=RDBStorage(url), study_name="s", directions=directions)
        assert "minimizes, and this search wants max" in told(tmp_path / f"{name}.db")
    (tmp_path / "text.db").write_text("no database\n" * 100)
    assert "the database cannot be used" in told(tmp_path / "text.db")


def test_a_locked_database_is_called_locked(
    copy: SearchFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = in_database(copy, tmp_path / "study.db")
    other = sqlite3.connect(tmp_path / "study.db")
    other.execute("begin exclusive")
    try:
        assert "locked by another program" in again(copy, "--storage", f"{url}?timeout=0.2")
    finally:
        other.close()


def test_a_folder_in_place_of_a_file_is_found_before_anything_is_trained(copy: SearchFolder) -> None:
    for file in (copy.summary, copy.best_weights, copy.trial(1).failure):
        file.unlink(missing_ok=True)
        file.mkdir()
        told = again(copy, "--trials", "4")
        assert f"{file}: a folder, where a file is to be written" in told
        file.rmdir()
    copy.trial(3).path.write_text("")
    assert "trials/0003: a file, where a folder is to be made" in again(copy, "--trials", "4")


def test_a_damaged_row_is_one_sentence_for_every_command(copy: SearchFolder) -> None:
    rows = copy.trial(0).increments
    rows.write_text(rows.read_text().replace('"trial":0', '"tiral":0', 1))
    where = "increments.jsonl, line 1: tiral: unknown key; did you mean 'trial'?"
    assert where in again(copy)
    for command in ("evaluate", "compare"):
        code, told = here(command, copy.path)
        assert code == 2 and where in told and told.count("\n") == 1, told
