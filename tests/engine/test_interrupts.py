"""An interrupt ends a search within seconds and loses at most the phases in flight; the same command goes on."""

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from search_cli import (
    LAUNCH,
    STEADY,
    Reference,
    comparable,
    configurations_of,
    end_group,
    environment,
    rows_of,
    search,
    search_here,
    start,
    states_of,
    summary_of,
    wait_until,
)

import tune_cl
from tune_cl.errors import TuneCLError
from tune_cl.records import IncrementRow, SearchFolder, exclusive_lock, read_lines
from tune_cl.store import PhaseCheckpoint

pytestmark = pytest.mark.ray

GRACE = 40  # seconds within which an interrupted search must be gone, on a busy machine


@dataclass
class Disturbed:
    """A search that was ended some times before it was done."""

    folder: SearchFolder
    interrupts: int  # beside the end of its time
    codes: list[int] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    refused: str = ""


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.slow)], ids=["once", "twice"])
def disturbed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Disturbed:
    """Out of time, then Ctrl-C in a phase, then (the long story) SIGTERM in a later trial, then left alone."""
    place = tmp_path_factory.mktemp("disturbed")
    search_folder = SearchFolder(place / "results" / "s")
    story = Disturbed(search_folder, interrupts=request.param)
    command = [LAUNCH / "search.py", *STEADY, "--results", place / "results"]

    _run_here(story, "--time-limit", "1s")

    process = start(command, place / "log", env=environment())
    try:
        wait_until(lambda: len(search_folder.trial(0).rows()) >= 1, 90, "the base task is trained")
        with pytest.raises(TuneCLError) as refusal, exclusive_lock(search_folder):
            pass
        story.refused = str(refusal.value)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        _await_end(story, process, place / "log")
    finally:
        end_group(process)

    if story.interrupts == 2:
        process = start(command, place / "log", env=environment())
        try:
            wait_until(lambda: len(search_folder.trial(1).rows()) >= 1, 90, "trial 1 has begun")
            process.send_signal(signal.SIGTERM)
            _await_end(story, process, place / "log")
        finally:
            end_group(process)

    _run_here(story)
    return story


def test_time_limit_ends_with_0_and_interrupts_with_130(disturbed: Disturbed) -> None:
    assert disturbed.codes == [0, *[130] * disturbed.interrupts, 0], "\n".join(disturbed.outputs)
    assert not any("Traceback" in output for output in disturbed.outputs)


def test_interrupt_says_which_phases_were_lost_and_how_to_go_on(disturbed: Disturbed) -> None:
    for trial, output in enumerate(disturbed.outputs[1:-1]):
        assert re.search(rf"trial {trial:04d}, (increment \d, \w+ phase at \d+ %|between two phases)", output), output
        assert "python launch/search.py" in output or "same command" in output


def test_disturbed_search_equals_the_undisturbed_one(disturbed: Disturbed, reference: Reference) -> None:
    assert comparable(rows_of(disturbed.folder)) == comparable(rows_of(reference.folder))
    assert states_of(disturbed.folder) == states_of(reference.folder)
    assert configurations_of(disturbed.folder) == configurations_of(reference.folder)
    assert summary_of(disturbed.folder).best == summary_of(reference.folder).best


def test_no_row_is_doubled_and_paid_cost_never_falls(disturbed: Disturbed) -> None:
    for trial in disturbed.folder.trials().values():
        increments = [row.increment for row in read_lines(trial.increments, IncrementRow)]
        assert increments == sorted(set(increments))
        paid = [row.metrics["paid/images_trained"] or 0.0 for row in trial.rows()]
        assert paid == sorted(paid)
    assert "taken up again" in disturbed.folder.trial(0).log.read_text()


@pytest.mark.slow
def test_an_interrupt_saves_the_phase_in_flight(tmp_path: Path) -> None:
    """Ctrl-C in a long generator phase: it is not begun anew, and the rows are those of an undisturbed chain."""
    results = tmp_path / "results"
    options = (
        *("--space=genifer", "--trials=1", "--name=s", "--set=base.classifier.epochs=1"),
        *("--set=base.generator.steps=900", "--set=base.generator.channels=8", "--set=base.generator.batch_size=8"),
        *("--set=increment.classifier.epochs=1", "--set=increment.generator.steps=1"),
    )
    process = start([LAUNCH / "search.py", *options, "--results", results], tmp_path / "log", env=environment())
    try:
        wait_until(lambda: any((results / "stages").glob("*/*/stage.json")), 120, "the base classifier is trained")
        wait_until(lambda: any((results / "stages" / "leases").glob("*")), 30, "the base generator is in training")
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=GRACE) == 130
    finally:
        end_group(process)
    assert re.search(r"generator phase at \d+ %, saved", (tmp_path / "log").read_text())
    (saved,) = (results / "stages" / "checkpoints").iterdir()
    content = PhaseCheckpoint(saved, saved.stem, 0.0)._read()
    assert content is not None and 0 < content["step"] < 900
    done = search(*options, "--results", results)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not saved.exists()
    trial = SearchFolder(results / "s").trial(0)
    alone = tune_cl.run_chain(trial.config, stages=tmp_path / "alone")
    assert [row.comparable() for row in trial.rows()] == [row.comparable() for row in alone]
    assert all(use.origin == "trained" for row in trial.rows() for use in row.stages)


def test_running_search_is_held_against_a_second_process(disturbed: Disturbed) -> None:
    assert "another process is running this search" in disturbed.refused


def _run_here(story: Disturbed, *options: str) -> None:
    code, output = search_here(*STEADY, "--results", story.folder.path.parent, *options)
    story.codes.append(code)
    story.outputs.append(output)


def _await_end(story: Disturbed, process: subprocess.Popen[bytes], log: Path) -> None:
    try:
        code = process.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        code = -1
    story.codes.append(code)
    story.outputs.append(log.read_text())
