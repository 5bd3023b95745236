"""W&B may fail in any way; the search must not notice."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import tracking_fixtures
from tracking_fixtures import reported, search_ended, started, trial_started, whole_trial
from wandb_records import offline_runs

from tune_cl.errors import TuneCLError
from tune_cl.records import SearchFolder
from tune_cl.wandb import WandbTracker
from tune_cl.wandb._mode import resolve_mode

KEY = "0123456789" * 4


def test_folder_that_cannot_be_written_is_reported_in_one_line(folder: SearchFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.wandb.write_text("in the way")
    said: list[str] = []
    tracker = WandbTracker("offline", report=said.append)
    for event in [started(folder), *whole_trial(folder, 0), *whole_trial(folder, 1), search_ended()]:
        tracker.handle(event)
    begin = time.monotonic()
    tracker.close(20)
    assert time.monotonic() - begin < 20
    assert len(said) == 1
    assert "\n" not in said[0]
    assert "the search goes on" in said[0]


def test_image_that_cannot_be_read_costs_one_line_and_no_other_trial(folder: SearchFolder) -> None:
    said: list[str] = []
    tracker = WandbTracker("offline", report=said.append)
    events = [started(folder), trial_started(folder, 0), reported(folder, 0, 0)]
    folder.trial(0).replay_grid(0).write_bytes(b"not a picture")
    for event in [*events, *whole_trial(folder, 1), search_ended()]:
        tracker.handle(event)
    tracker.close(20)
    assert len(said) == 1
    runs = offline_runs(folder.wandb)
    assert runs["genifer-fashion-b4-t3-quick-0000"].exit_codes() == [130]
    (without_picture,) = runs["genifer-fashion-b4-t3-quick-0000"].rows()
    assert (without_picture["increment"], "replay/path" in without_picture) == (0, False)
    assert len(runs["genifer-fashion-b4-t3-quick-0001"].rows()) == 4


def driver_that_meets_a_silent_server(
    folder: SearchFolder, init_seconds: float, close_seconds: float
) -> tuple[float, str]:
    """Run a driver, in mode online, against a server that accepts connections and never answers.

    Returns:
        How many seconds its process lived on when it was done, and what it printed.
    """
    script = f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(tracking_fixtures.__file__).parent)!r})
        from tracking_fixtures import *
        from tune_cl.records import SearchFolder
        from tune_cl.wandb import WandbTracker, _settings
        _settings._INIT_SECONDS = {init_seconds}
        folder = SearchFolder(Path({str(folder.path)!r}))
        tracker = WandbTracker("online", report=lambda line: print("said:", line))
        begin = time.monotonic()
        for event in [started(folder), *whole_trial(folder, 0), search_ended(interrupted=True)]:
            tracker.handle(event)
        print(f"handled {{time.monotonic() - begin:.2f}}")
        begin = time.monotonic()
        tracker.close({close_seconds})
        print(f"closed {{time.monotonic() - begin:.2f}}")
        print("done", time.time(), flush=True)
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        environment = {
            "WANDB_BASE_URL": f"http://127.0.0.1:{server.getsockname()[1]}",
            "WANDB_API_KEY": KEY,
            "HOME": str(folder.path.parent),
            "PATH": "/usr/bin:/bin",
        }
        # Into a file: W&B's service outlives the driver for a while and would keep a pipe open.
        output = folder.path / "output.txt"
        command = [sys.executable, "-c", textwrap.dedent(script)]
        with output.open("w") as file:
            subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, check=True, timeout=100)
        return time.time() - seconds_after("done", output.read_text()), output.read_text()


def seconds_after(word: str, output: str) -> float:
    return float(next(line for line in output.splitlines() if line.startswith(word)).split()[1])


def test_silent_server_holds_up_neither_the_events_nor_the_end(folder: SearchFolder) -> None:
    folder.path.mkdir(parents=True)
    seconds, output = driver_that_meets_a_silent_server(folder, init_seconds=15, close_seconds=2)
    assert seconds_after("handled", output) < 1
    assert seconds_after("closed", output) < 3.5
    assert "did not finish within 2 s; every row is on disk" in output
    assert "launch/sync.py" in output
    assert seconds < 5  # the end of the process does not wait for W&B either
    assert len(folder.trial(0).rows()) == 4


def test_silent_server_sends_the_runs_offline_where_all_rows_are(folder: SearchFolder) -> None:
    folder.path.mkdir(parents=True)
    _, output = driver_that_meets_a_silent_server(folder, init_seconds=2, close_seconds=30)
    assert output.count("said:") == 1
    assert "no answer from the server" in output
    run = offline_runs(folder.wandb)["genifer-fashion-b4-t3-quick-0000"]
    assert [row["increment"] for row in run.rows()] == [0, 1, 2, 3]


def test_without_credentials_runs_are_kept_offline_and_one_line_says_so(folder: SearchFolder) -> None:
    tracker = WandbTracker()
    line = tracker.describe(folder)
    assert tracker.mode == "offline"
    assert "no credentials found" in line
    assert str(folder.wandb) in line
    assert "launch/sync.py" in line
    assert "\n" not in line


def test_credentials_in_the_environment_or_in_netrc_mean_online(monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = Path(os.environ["NETRC"])
    netrc.write_text(f"machine api.wandb.ai login user password {KEY}\n")
    netrc.chmod(0o600)
    assert resolve_mode(None).mode == "online"
    netrc.unlink()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert resolve_mode(None).mode == "online"


def test_explicit_mode_beats_the_environment_which_beats_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert resolve_mode(None).mode == "offline"
    assert resolve_mode("disabled").mode == "disabled"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode(None).mode == "disabled"
    assert resolve_mode("online").mode == "online"


def test_unknown_mode_is_refused_with_a_near_match(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TuneCLError, match=r"--wandb-mode 'ofline'.*did you mean 'offline'"):
        resolve_mode("ofline")
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(TuneCLError, match="WANDB_MODE 'sometimes'"):
        resolve_mode(None)


def test_online_without_credentials_is_refused() -> None:
    with pytest.raises(TuneCLError, match="no W&B credentials found"):
        resolve_mode("online")


def test_disabled_imports_no_wandb_and_writes_nothing(folder: SearchFolder) -> None:
    script = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(tracking_fixtures.__file__).parent)!r})
        from tracking_fixtures import *
        from tune_cl.records import SearchFolder
        from tune_cl.wandb import WandbTracker
        folder = SearchFolder(Path({str(folder.path)!r}))
        tracker = WandbTracker("disabled")
        for event in [started(folder), *whole_trial(folder, 0), search_ended()]:
            tracker.handle(event)
        tracker.close(5)
        assert not any(name.split(".")[0] == "wandb" for name in sys.modules)
        assert not folder.wandb.exists()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
