"""Several trackers as one, none of which can hurt the search or the others."""

import time

import pytest
from tracking_fixtures import search_ended, started, whole_trial
from wandb_records import offline_runs

from tune_cl.records import SearchFolder
from tune_cl.tracking import Event, Trackers
from tune_cl.wandb import WandbTracker


class Recorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.timeout: float | None = None

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def close(self, timeout: float) -> None:
        self.timeout = timeout


class Broken:
    """Raises whenever it is called."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def handle(self, event: Event) -> None:
        raise self._error

    def close(self, timeout: float) -> None:
        raise self._error


class Slow(Recorder):
    """Takes its time to close."""

    def close(self, timeout: float) -> None:
        time.sleep(0.3)


def test_broken_tracker_is_reported_once_and_the_others_go_on(folder: SearchFolder) -> None:
    said: list[str] = []
    before, after = Recorder(), Recorder()
    trackers = Trackers([before, Broken(ValueError("two\nlines")), after], report=said.append)
    events = [started(folder), *whole_trial(folder, 0), search_ended()]
    for event in events:
        trackers.handle(event)
    trackers.close(5)
    assert before.events == after.events == events
    assert said == ["Broken failed (ValueError: two lines); the search goes on, its rows are on disk"]


def test_report_that_is_broken_too_ends_on_standard_error(
    folder: SearchFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    def report(line: str) -> None:
        raise OSError("closed")

    Trackers([Broken(ValueError("x"))], report=report).handle(started(folder))
    assert "ValueError: x" in capsys.readouterr().err


def test_interrupt_is_no_failure_of_a_tracker(folder: SearchFolder) -> None:
    with pytest.raises(KeyboardInterrupt):
        Trackers([Broken(KeyboardInterrupt())]).handle(started(folder))


def test_trackers_share_the_time_to_close() -> None:
    console, slow = Recorder(), Slow()
    Trackers([console, slow]).close(1.0)
    assert console.timeout is not None
    assert 0.5 < console.timeout <= 0.7


def test_wandb_is_written_beside_a_broken_tracker(folder: SearchFolder) -> None:
    trackers = Trackers([Broken(RuntimeError("x")), WandbTracker("offline")], report=lambda line: None)
    for event in [started(folder), *whole_trial(folder, 0), search_ended()]:
        trackers.handle(event)
    trackers.close(30)
    (run,) = offline_runs(folder.wandb).values()
    assert len(run.rows()) == 4
