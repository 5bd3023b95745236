"""Pins hold as long as whoever needs the stages is there: a process while it runs, a search while its folder exists."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_stages import HOUR, age, keys_in, publish

from tune_cl.store import PinRecord, Pins, PinTimes, Upkeep

KEY, OTHER = "a" * 64, "b" * 64

HOLD = """
import sys, time
from pathlib import Path
from tune_cl.store import Pins
pin = Pins(Path(sys.argv[1])).hold(sys.argv[2:])
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a pin on a stage `held`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path), publish(tmp_path, "held")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def files(stages: Path) -> list[Path]:
    return sorted((stages / "pins").glob("*.json"))


def rewrite(path: Path, **changes: Any) -> None:
    """Change a pin as another process, machine or time would have written it."""
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, **changes}))


def search_at(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "search.json").write_text("{}")
    return folder


def test_what_a_living_process_needs_stays_and_goes_with_its_death(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    held, _ = publish(tmp_path, "held"), publish(tmp_path, "other")
    Upkeep(tmp_path).enforce(1)
    assert keys_in(tmp_path) == {held}
    assert str(holder.pid) in Pins(tmp_path).pinned()[held][0]
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    Upkeep(tmp_path).enforce(1)
    assert keys_in(tmp_path) == set() and files(tmp_path) == []


def test_a_process_that_got_the_number_of_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    with Pins(tmp_path).hold([KEY]):
        [path] = files(tmp_path)
        assert set(Pins(tmp_path).pinned()) == {KEY}
        rewrite(path, holder={**json.loads(path.read_text())["holder"], "started": 1})
        assert Pins(tmp_path).pinned() == {}


def test_a_process_elsewhere_holds_as_long_as_it_renews(tmp_path: Path) -> None:
    pin = Pins(tmp_path).hold([KEY])
    [path] = files(tmp_path)
    rewrite(path, host="elsewhere", holder={"machine": "elsewhere/1/2", "pid": os.getpid(), "started": 1})
    assert set(Pins(tmp_path).pinned()) == {KEY}
    age(path, 3 * 60)
    pins = Pins(tmp_path)
    assert pins.pinned() == {}
    pins.sweep()
    assert files(tmp_path) == [path]  # it may only have been cut off for a while
    age(path, 2 * HOUR)
    pins.sweep()
    assert files(tmp_path) == []
    pin.release()


def test_a_pin_is_renewed_and_comes_back_when_somebody_removed_it(tmp_path: Path) -> None:
    with Pins(tmp_path, PinTimes(beat=0.05)).hold([KEY]):
        [path] = files(tmp_path)
        age(path, HOUR)
        deadline = time.monotonic() + 20
        while time.time() - path.stat().st_mtime > 60 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert time.time() - path.stat().st_mtime < 60
        path.unlink()
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert set(Pins(tmp_path).pinned()) == {KEY}
    assert files(tmp_path) == []


def test_a_live_pin_can_change_what_it_holds(tmp_path: Path) -> None:
    with Pins(tmp_path).hold([KEY]) as pin:
        pin.keep([OTHER, OTHER])
        assert set(Pins(tmp_path).pinned()) == {OTHER}


def test_a_store_that_cannot_be_written_is_no_obstacle_to_a_chain(tmp_path: Path) -> None:
    (tmp_path / "pins").write_text("a file where the folder should be")
    with Pins(tmp_path).hold([KEY]) as pin:
        pin.keep([OTHER])
    assert Pins(tmp_path).pinned() == {}


def test_the_winner_stays_until_its_search_is_deleted(tmp_path: Path) -> None:
    stages, search = tmp_path / "stages", search_at(tmp_path / "results" / "s")
    winner, _ = publish(stages, "winner"), publish(stages, "other")
    Pins(stages).pin_winner(search, [winner])
    Upkeep(stages).enforce(1)
    assert keys_in(stages) == {winner}
    assert str(search) in Pins(stages).pinned()[winner][0]
    (search / "search.json").unlink()
    Upkeep(stages).enforce(1)
    assert keys_in(stages) == set() and files(stages) == []


def test_another_winner_of_the_same_search_takes_the_place_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = search_at(tmp_path / "results" / "s")
    Pins(tmp_path).pin_winner(search, [KEY])
    monkeypatch.chdir(tmp_path)
    Pins(tmp_path).pin_winner(Path("results/../results/s"), [OTHER])
    assert set(Pins(tmp_path).pinned()) == {OTHER} and len(files(tmp_path)) == 1


def test_two_searches_with_one_name_in_two_folders_have_two_winners(tmp_path: Path) -> None:
    Pins(tmp_path).pin_winner(search_at(tmp_path / "one" / "s"), [KEY])
    Pins(tmp_path).pin_winner(search_at(tmp_path / "two" / "s"), [OTHER])
    assert set(Pins(tmp_path).pinned()) == {KEY, OTHER}


def test_names_of_pin_files_are_plain_whatever_the_search_is_called(tmp_path: Path) -> None:
    Pins(tmp_path).pin_winner(search_at(tmp_path / "räsults of 'me'\n" / ("x" * 200)), [KEY])
    [path] = files(tmp_path)
    assert path.name.removesuffix(".json").replace("-", "").isalnum() and path.name.isascii()


def test_the_winner_of_a_search_on_another_machine_stays_though_its_folder_is_out_of_sight(tmp_path: Path) -> None:
    search = search_at(tmp_path / "results" / "s")
    Pins(tmp_path).pin_winner(search, [KEY])
    [path] = files(tmp_path)
    rewrite(path, host="elsewhere", results=1, search="/home/somebody/results/s")
    assert set(Pins(tmp_path).pinned()) == {KEY}
    # A folder of the same name here is not theirs: their winner stays, whatever becomes of ours.
    rewrite(path, host="elsewhere", results=1, search=str(search))
    (search / "search.json").unlink()
    assert set(Pins(tmp_path).pinned()) == {KEY}


def test_a_search_deleted_in_a_folder_that_both_machines_see_pins_nothing_more(tmp_path: Path) -> None:
    search = search_at(tmp_path / "results" / "s")
    Pins(tmp_path).pin_winner(search, [KEY])
    [path] = files(tmp_path)
    rewrite(path, host="elsewhere")
    assert set(Pins(tmp_path).pinned()) == {KEY}
    (search / "search.json").unlink()
    assert Pins(tmp_path).pinned() == {}


def test_a_pin_that_cannot_be_read_pins_nothing_and_is_left_alone(tmp_path: Path) -> None:
    Pins(tmp_path).pin_winner(search_at(tmp_path / "s"), [KEY])
    (tmp_path / "pins" / "strange.json").write_text("{")
    pins = Pins(tmp_path)
    pins.sweep()
    assert set(pins.pinned()) == {KEY} and (tmp_path / "pins" / "strange.json").exists()


def test_a_pin_says_who_and_where(tmp_path: Path) -> None:
    with Pins(tmp_path).hold([KEY]):
        [record] = Pins(tmp_path).standing()
        assert isinstance(record, PinRecord) and record.kind == "live"
        assert str(os.getpid()) in record.in_words() and socket.gethostname() in record.in_words()
