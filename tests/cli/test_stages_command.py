"""`tune-cl stages`: lists, verifies and prunes the store as a person runs it."""

import json
import os
import sys
from pathlib import Path

import pytest
from search_cli import LAUNCH, run_side_by_side

sys.path.insert(0, str(Path(__file__).parents[1] / "chain"))

from small_stages import keys_in, publish, size_of, size_of_all
from tiny_chains import chain_of, rows_of, run_config

from tune_cl.cli._parser import stages_parser
from tune_cl.cli.main import main
from tune_cl.errors import TuneCLError
from tune_cl.options import size
from tune_cl.records import SearchFolder, write_atomically
from tune_cl.store import Pins


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide screen; and the searches of the current folder are nobody's here."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


def told(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    """What a command prints on standard output; nothing on the other where it ends well."""
    assert main(["stages", *map(str, argv)]) == code
    out, err = capsys.readouterr()
    assert (err == "") == (code == 0), err
    return out if code == 0 else out + err


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The sentence of a command that is refused."""
    assert main(["stages", *map(str, argv)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tune-cl: ") and err.count("\n") == 1, out + err
    return err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50GiB", 50 * 2**30),
        ("200MB", 200_000_000),
        ("10 GB", 10 * 10**9),
        (" 1.5TiB ", 3 * 2**39),
        ("64kb", 64_000),
        ("2kib", 2048),
        ("4096", 4096),
        ("7 B", 7),
    ],
)
def test_a_size_is_read_as_it_is_written(text: str, expected: int) -> None:
    assert size(text, "--budget") == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("50G", ["'50GB'", "'50GiB'"]),
        ("50Gigs", ["'50GiB'"]),
        ("3 parsecs", ["'parsecs'", "50GiB"]),
        ("much", ["50GiB"]),
        ("", ["50GiB"]),
        ("-5GB", ["above 0"]),
        ("0", ["above 0"]),
        ("0.2B", ["above 0"]),
        ("nan", ["50GiB"]),
        ("1e9", ["50GiB"]),
        ("9" * 400, ["above 0"]),
        ("٣GB", ["50GiB"]),
    ],
)
def test_a_bad_size_is_refused_in_a_sentence(text: str, words: list[str]) -> None:
    with pytest.raises(TuneCLError) as refused:
        size(text, "--max-store-size")
    assert str(refused.value).startswith("--max-store-size") and "\n" not in str(refused.value)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["prun", "--budget", "1GB"], ["'prun'", "'prune'"]),
        (["frobnicate"], ["list, verify or prune"]),
        ([], ["VERB"]),
        (["prune"], ["--budget SIZE", "--leftovers"]),
        (["prune", "--budget", "5 GBit"], ["--budget 5 GBit"]),
        (["prune", "--buget", "5GB"], ["'--budget'"]),
        (["list", "--budget", "5GB"], ["--budget", "prune"]),
        (["verify", "--dry-run"], ["--dry-run", "prune"]),
        (["prune", "--leftovers", "--json"], ["--json", "list"]),
        (["list", "--stages", "no/such"], ["no/such", "--stages DIR"]),
        (["list", "--results", "none"], ["none/stages", "--results DIR"]),
    ],
)
def test_a_bad_command_is_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str], argv: list[str], words: list[str]
) -> None:
    sentence = complaint(capsys, *argv)
    for word in words:
        assert word in sentence
    assert list(Path().iterdir()) == []


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["stages", "--help"])
    out = capsys.readouterr().out
    assert "list" in out and "verify" in out and "prune" in out
    for action in stages_parser()._actions:
        assert action.help
        assert all(option in out for option in action.option_strings)


def test_the_list_tells_what_is_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = rows_of(chain_of(run_config("genifer", horizon=1), tmp_path))
    keys = [use.key for row in rows for use in row.stages]
    with Pins(tmp_path).hold(keys[:1]):
        text = told(capsys, "list", "--stages", tmp_path)
        stages = json.loads(told(capsys, "list", "--json", "--stages", tmp_path))["stages"]
    lines = {key: next(line for line in text.splitlines() if line.startswith(key[:12])) for key in keys}
    assert "genifer.base.generator" in lines[keys[1]] and "4 of 10" in lines[keys[1]] and "1x28x28" in lines[keys[1]]
    assert "4+2 of 10" in lines[keys[2]]
    assert f"process {os.getpid()}" in lines[keys[0]] and "process" not in lines[keys[1]]
    assert "3 stages" in text and "1 needed" in text
    found = {stage["key"]: stage for stage in stages}
    assert set(found) == set(keys)
    assert [found[key]["descendants"] for key in keys] == [2, 1, 0]
    assert [found[key]["increment"] for key in keys] == [0, 0, 1]
    assert [found[key]["bytes"] for key in keys] == [size_of(tmp_path, key) for key in keys]
    assert [found[key]["seconds"] for key in keys] == [use.seconds for row in rows for use in row.stages]
    assert [bool(found[key]["pinned_by"]) for key in keys] == [True, False, False]


def test_the_list_shows_damage_and_leftovers_and_changes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = publish(tmp_path, "a")
    (tmp_path / key[:2] / key / "stage.json").write_text("{")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / f"{'1' * 64}.pt").write_bytes(b"x" * 100)
    before = sorted(tmp_path.rglob("*"))
    text = told(capsys, "list", "--stages", tmp_path)
    assert "damaged" in text and "1 checkpoint, 100 B" in text
    told_to_programs = json.loads(told(capsys, "list", "--json", "--stages", tmp_path))
    assert told_to_programs["stages"][0]["damaged"] and told_to_programs["leftovers"][0]["kind"] == "checkpoint"
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_store_is_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "0 stages" in told(capsys, "list", "--stages", tmp_path)


def test_verify_ends_with_0_where_all_is_sound_and_with_1_where_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good, bad = publish(tmp_path, "good"), publish(tmp_path, "bad")
    assert "all are sound" in told(capsys, "verify", "--stages", tmp_path)
    state = tmp_path / bad[:2] / bad / "state.pt"
    state.write_bytes(state.read_bytes()[:-1])
    text = told(capsys, "verify", "--stages", tmp_path, code=1)
    assert bad in text and "checksum" in text and "set aside" in text and "1 not sound" in text
    assert keys_in(tmp_path) == {good}
    told(capsys, "verify", "--stages", tmp_path)


def test_prune_makes_room_and_a_dry_run_says_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cheap, dear = publish(tmp_path, "cheap", seconds=1), publish(tmp_path, "dear", seconds=9)
    options = ["prune", "--budget", f"{size_of(tmp_path, dear)}", "--stages", tmp_path]
    planned = told(capsys, *options, "--dry-run")
    assert keys_in(tmp_path) == {cheap, dear} and "Nothing was removed." in planned
    done = told(capsys, *options)
    assert keys_in(tmp_path) == {dear}
    assert f"would remove stage {cheap[:12]}" in planned and f"removed stage {cheap[:12]}" in done
    assert planned.replace("would remove", "removed").replace("Nothing was removed.\n", "") == done


def test_prune_that_cannot_reach_its_budget_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pinned, other = publish(tmp_path, "pinned"), publish(tmp_path, "other")
    with Pins(tmp_path).hold([pinned]):
        text = told(capsys, "prune", "--budget", "1kB", "--stages", tmp_path, code=1)
    assert "the budget is 1000 B" in text
    assert keys_in(tmp_path) == {pinned} != {other}


def finished_search(results: Path, default: list[str], winner: list[str]) -> None:
    """What a search of before there were pins has left of its two trials."""
    folder = SearchFolder(results / "s")
    run = run_config("finetune", horizon=1)
    rows = rows_of(chain_of(run, results / "elsewhere"))
    for trial, keys in enumerate((default, winner)):
        for row, key in zip(rows, keys, strict=True):
            uses = [use.model_copy(update={"key": key}) for use in row.stages]
            folder.trial(trial).add_row(row.model_copy(update={"trial": trial, "stages": uses}))
    write_atomically(folder.summary, json.dumps({"best": {"trial": 1}}))
    write_atomically(folder.search, "{}")


def test_prune_keeps_winners_and_defaults_of_searches_that_have_no_pins(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stages = tmp_path / "stages"
    base, default, winner, other = (publish(stages, name) for name in ("base", "default", "winner", "other"))
    finished_search(tmp_path, [base, default], [base, winner])
    told(capsys, "prune", "--budget", "1", "--results", tmp_path, code=1)
    assert keys_in(stages) == {base, default, winner} != {other}


def test_prune_stops_where_a_winner_cannot_be_known(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stages = tmp_path / "stages"
    key = publish(stages, "a")
    finished_search(tmp_path, [key, key], [key, key])
    (tmp_path / "s" / "summary.json").write_text("{")
    sentence = complaint(capsys, "prune", "--budget", "1", "--results", tmp_path)
    assert str(tmp_path / "s") in sentence and keys_in(stages) == {key}


def test_prune_clears_leftovers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    key = publish(tmp_path, "a")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / f"{key}.pt").write_bytes(b"x" * 100)
    draft = tmp_path / "drafts" / f"evicted-{'1' * 16}-{'0' * 32}"
    draft.mkdir()
    (draft / "state.pt").write_bytes(b"x" * 300)
    text = told(capsys, "prune", "--leftovers", "--stages", tmp_path)
    assert "removed 1 draft, 1 checkpoint, 400 B" in text
    assert keys_in(tmp_path) == {key} and size_of_all(tmp_path) == size_of(tmp_path, key)
    assert "removed nothing" in told(capsys, "prune", "--leftovers", "--stages", tmp_path)


def test_the_script_does_the_same_and_starts_no_ray(tmp_path: Path) -> None:
    key, cut = publish(tmp_path / "sound" / "stages", "a"), publish(tmp_path / "cut" / "stages", "a")
    (tmp_path / "cut" / "stages" / cut[:2] / cut / "state.pt").write_bytes(b"")
    code = "import sys; from tune_cl.cli.main import main; main(sys.argv[1:]); assert 'ray' not in sys.modules"
    listed, verified, without_ray = run_side_by_side(
        [LAUNCH / "stages.py", "list", "--results", tmp_path / "sound"],
        [LAUNCH / "stages.py", "verify", "--results", tmp_path / "cut"],
        ["-c", code, "stages", "list", "--results", tmp_path / "sound"],
    )
    assert (listed.returncode, listed.stderr) == (0, "") and key[:12] in listed.stdout
    assert verified.returncode == 1 and cut in verified.stderr and "Traceback" not in verified.stderr
    assert without_ray.returncode == 0, without_ray.stderr
