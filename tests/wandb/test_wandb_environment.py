"""What a search logs to W&B does not depend on variables that were set for other runs, such as those of a W&B agent."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tracking_fixtures import started, whole_trial, written
from wandb_records import OfflineRun, offline_runs

from tune_cl.cli.main import main
from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder
from tune_cl.wandb import WandbEvaluation, WandbTracker
from tune_cl.wandb._mode import resolve_mode
from tune_cl.wandb._sdk import quiet_wandb

NAME = "genifer-fashion-b4-t3-quick"
KEY = "0123456789" * 4
AGENT = {"WANDB_SWEEP_ID": "sw1", "WANDB_RUN_ID": "abc", "WANDB_PROJECT": "agents", "WANDB_ENTITY": "team"}
STRAY = {
    "WANDB_RESUME": "must",
    "WANDB_RESUME_FROM": "abc?_step=1",
    "WANDB_FORK_FROM": "abc?_step=1",
    "WANDB_RUN_GROUP": "stray",
    "WANDB_JOB_TYPE": "stray",
    "WANDB_NAME": "stray",
    "WANDB_TAGS": "stray,other",
    "WANDB_NOTES": "stray",
    "WANDB_DIR": "/no/such/place",
    "WANDB_HOST": "stray",
    "WANDB_LAUNCH": "true",
    "WANDB_CONFIG": '{"stray": 1}',
    "WANDB_SERVICE": "3-1-unix-/no/such/socket",
    "WANDB_MODE": "disabled",
}
INVALID = {
    "WANDB_SILENT": "banana",
    "WANDB_QUIET": "banana",
    "WANDB_INIT_TIMEOUT": "abc",
    "WANDB_CONFIG_PATHS": "/nope",
    "WANDB_SWEEP_PARAM_PATH": "/nope",
    "WANDB__DISABLE_STATS": "banana",
    "WANDB_X_DISABLE_STATS": "banana",
    "WANDB_CONSOLE": "banana",
    "WANDB_START_METHOD": "banana",
    "WANDB_SERVICE": "banana",
}


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def two_trials(folder: SearchFolder, **place: str) -> list[str]:
    """Two trials at once in mode offline; returns what was reported."""
    said: list[str] = []
    tracker = WandbTracker("offline", report=said.append, **place)
    for event in [started(folder), *whole_trial(folder, 0), *whole_trial(folder, 1, shift=0.01)]:
        tracker.handle(event)
    tracker.close(60)
    return said


def about(run: OfflineRun) -> tuple[object, ...]:
    start = run.starts()[0]
    return (start.display_name, start.run_group, start.job_type, sorted(start.tags), start.notes, start.sweep_id)


@pytest.mark.parametrize("variables", [AGENT, STRAY, INVALID, AGENT | STRAY], ids=["agent", "stray", "invalid", "both"])
def test_each_trial_is_its_own_run_whatever_variables_are_set(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    set_all(monkeypatch, variables)
    assert two_trials(folder) == []
    runs = offline_runs(folder.wandb)
    assert sorted(runs) == [f"{NAME}-0000", f"{NAME}-0001"]
    for trial, name in enumerate(sorted(runs)):
        run = runs[name]
        mark = json.loads((folder.trial(trial).path / "wandb.json").read_text())["shown"]
        assert about(run) == (mark["name"], NAME, "trial", ["fashion-b4-t3", "genifer", "quick"], "", "")
        assert run.starts()[0].run_id == mark["run_id"] != "abc"
        assert run.starts()[0].project == mark["project"] == variables.get("WANDB_PROJECT", "tune_cl")
        assert run.starts()[0].entity == (mark["entity"] or "") == variables.get("WANDB_ENTITY", "")
        assert len(run.rows()) == 4
        assert "stray" not in run.config()


def test_named_project_and_entity_stand_beside_an_agents(folder: SearchFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, AGENT)
    two_trials(folder, project="mine", entity="me")
    for run in offline_runs(folder.wandb).values():
        assert (run.starts()[0].project, run.starts()[0].entity) == ("mine", "me")


def test_credentials_server_proxy_and_caches_reach_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left = {
        "WANDB_API_KEY": KEY,
        "WANDB_BASE_URL": "http://127.0.0.1:9",
        "WANDB_HTTP_PROXY": "http://127.0.0.1:10",
        "WANDB_CACHE_DIR": str(tmp_path),
    }
    set_all(monkeypatch, AGENT | left)
    settings = quiet_wandb().setup().settings
    assert (settings.base_url, settings.http_proxy, settings.sweep_id, settings.run_id) == (
        "http://127.0.0.1:9",
        "http://127.0.0.1:10",
        None,
        None,
    )
    assert {name: os.environ[name] for name in left} == left
    assert resolve_mode(None).mode == "online"


def test_saved_credentials_are_found_beside_a_mode_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = Path(os.environ["NETRC"])
    netrc.write_text(f"machine api.wandb.ai login user password {KEY}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert resolve_mode("online").mode == "online"
    assert resolve_mode(None).mode == "offline"


@pytest.mark.parametrize(("value", "mode"), [("true", "disabled"), ("1", "disabled"), ("false", "offline")])
def test_wandb_disabled_in_the_environment_turns_it_off(monkeypatch: pytest.MonkeyPatch, value: str, mode: str) -> None:
    monkeypatch.setenv("WANDB_DISABLED", value)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert resolve_mode(None).mode == mode
    assert resolve_mode("offline").mode == "offline"


@pytest.mark.parametrize(
    ("variables", "options", "words"),
    [
        ({}, ["--wandb-project", "a/b#c"], ["--wandb-project 'a/b#c'", "WANDB_PROJECT"]),
        ({}, ["--wandb-project", "x" * 129], ["--wandb-project", "128"]),
        ({}, ["--wandb-entity", "me/mine"], ["--wandb-entity 'me/mine'"]),
        ({"WANDB_PROJECT": "a/b#c"}, [], ["'a/b#c'", "WANDB_PROJECT"]),
        ({"WANDB_ENTITY": "a b/"}, [], ["'a b/'", "WANDB_ENTITY"]),
        ({"WANDB_BASE_URL": "nowhere"}, [], ["WANDB_BASE_URL='nowhere'"]),
        ({"WANDB_HTTP_TIMEOUT": "abc"}, [], ["TIMEOUT", "'abc'"]),
    ],
    ids=lambda value: None if isinstance(value, dict) else " ".join(value)[:30],
)
def test_what_wandb_would_refuse_is_said_before_anything_is_trained(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    options: list[str],
    words: list[str],
) -> None:
    set_all(monkeypatch, variables)
    results = tmp_path / "results"
    argv = ["search", "--space", "finetune", "--results", str(results), "--wandb-mode", "offline", *options]
    assert main(argv) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("tune-cl: "), err
    for word in words:
        assert word in err
    assert not results.exists()


def test_key_that_is_none_is_refused_before_anything_is_trained(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(TuneCLError, match=r"W&B does not take its credentials .*40"):
        WandbTracker("online")
    with pytest.raises(TuneCLError, match="--wandb-mode offline"):
        WandbEvaluation(None, None, None, started(folder).record, folder)
    assert WandbTracker("offline").mode == "offline"


def test_what_sync_would_upload_is_listed_without_credentials(
    folder: SearchFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    written(folder, 0, 1)
    two_trials(folder)
    capsys.readouterr()
    assert main(["sync", str(folder.path), "--dry-run"]) == 0
    assert f"would upload {NAME}-0001: what the server lacks of 4 rows" in capsys.readouterr().out
    assert main(["sync", str(folder.path)]) == 2
    assert "no W&B credentials found" in capsys.readouterr().err


def test_variables_are_withdrawn_before_wandb_is_imported() -> None:
    """In a process of its own: some variables are read when the package is imported."""
    script = (
        "import sys; from tune_cl.wandb._sdk import quiet_wandb; wandb = quiet_wandb(); "
        "import os; print(sorted(set(os.environ) & {'WANDB_RUN_ID', 'WANDB_SILENT'})); wandb.teardown()"
    )
    environment = {**os.environ, "WANDB_RUN_ID": "abc", "WANDB_SILENT": "banana"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
