"""Where a person meets the warnings of rows: in plain lines, in the live view, in the report and in W&B's runs."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from tracking_fixtures import HORIZON, reported, search_ended, started, trial_started
from wandb_records import offline_runs

from tune_cl.console import ConsoleTracker
from tune_cl.console._live import render
from tune_cl.console._state import ViewState, reduce
from tune_cl.records import BestSummary, SearchFolder, TrialSummary
from tune_cl.tracking import IncrementReported, TrialEnded
from tune_cl.wandb import WandbTracker

ZERO = "the classifier phase ended with a loss nca of exactly 0, from which nothing is learned"
CHANCE = "accuracy 0.0350 on 50 classes is not above chance (0.0200; 87 of 2500 validation images)"


def warned(event: IncrementReported, *warnings: str, **metrics: float) -> IncrementReported:
    """The same event of a row that warns, and measures more."""
    told = {f"classifier/{name}": value for name, value in metrics.items()}
    row = event.row.model_copy(update={"warnings": list(warnings), "metrics": {**event.row.metrics, **told}})
    event.folder.increments.write_text(row.model_dump_json() + "\n")
    return replace(event, row=row)


def a_search(folder: SearchFolder) -> list:
    """Two trials that share a base at chance."""
    events: list = []
    for trial in (0, 1):
        events += [trial_started(folder, trial), warned(reported(folder, trial, 0), ZERO, CHANCE, buffer=3.5)]
        events += [reported(folder, trial, t) for t in range(1, HORIZON + 1)]
        events.append(TrialEnded(trial, "finished"))
    return events


def ended(**changes: object) -> object:
    told = [f"increment 0: {ZERO}", f"increment 0: {CHANCE}"]
    table = [
        TrialSummary(trial=t, state="finished", increment=HORIZON, value=0.7, warnings=told if t < 7 else [told[0]])
        for t in range(8)
    ]
    best = BestSummary(trial=7, value=0.7, default_value=0.7, parameters={})
    return search_ended(table=table, best=best, **changes)


def printed(folder: SearchFolder, events: list) -> str:
    output = io.StringIO()
    tracker = ConsoleTracker(Console(file=output, width=100))
    for event in [started(folder), *events]:
        tracker.handle(event)
    tracker.close(1)
    return output.getvalue()


def test_a_pipe_gets_a_line_for_each_warning_below_its_increment(folder: SearchFolder):
    lines = printed(folder, a_search(folder)).splitlines()
    for trial in ("0000", "0001"):
        at = next(i for i, line in enumerate(lines) if line.startswith(f"trial {trial}: increment 0/3"))
        assert lines[at + 1 : at + 3] == [
            f"trial {trial}: warning: increment 0: {warning}" for warning in (ZERO, CHANCE)
        ]
        assert lines[at + 3].startswith(f"trial {trial}: increment 1/3")


def test_the_live_view_says_a_shared_warning_once_and_counts_those_of_each_trial(folder: SearchFolder):
    state = ViewState()
    for event in [started(folder), *a_search(folder)]:
        state = reduce(state, event, 0.0)
    output = io.StringIO()
    Console(file=output, width=160).print(render(state, 160, 40, 0.0))
    shown = output.getvalue()
    assert shown.count("of exactly 0") == 1 and "⚠ trial 0000, increment 0: the classifier phase ended" in shown
    assert shown.count("⚠ 2 warnings") == 2


def test_the_report_names_the_trials_of_each_warning_and_the_best_among_them(folder: SearchFolder):
    report = printed(folder, [ended()])
    flat = " ".join(report.split())
    assert "Warnings:" in report
    assert f"trials 0000, 0001, 0002, 0003, 0004 and 3 more, the best among them, increment 0: {ZERO}" in flat
    assert f"trials 0000, 0001, 0002, 0003, 0004 and 2 more, increment 0: {CHANCE}" in flat
    assert flat.index(ZERO) < flat.index("Best of 8 finished trials")
    assert "Warnings:" not in printed(folder, [search_ended()])


def test_wandb_has_the_warnings_and_what_phases_measured_in_rows_and_a_tag(folder: SearchFolder, tmp_path: Path):
    said: list[str] = []
    tracker = WandbTracker("offline", report=said.append)
    clean = [trial_started(folder, 2), reported(folder, 2, 0), TrialEnded(2, "stopped")]
    for event in [started(folder), *a_search(folder)[:6], *clean]:
        tracker.handle(event)
    tracker.close(30)
    assert said == []
    runs = {name[-4:]: run for name, run in offline_runs(folder.wandb).items()}
    first, *others = runs["0000"].rows()
    assert (first["warnings/count"], first["warnings/text"]) == (2, f"{ZERO}\n{CHANCE}")
    assert first["classifier/buffer"] == 3.5
    assert [(row["warnings/count"], row["warnings/text"]) for row in others] == [(0, "")] * HORIZON
    assert runs["0000"].summary()["warnings/all"] == f"increment 0: {ZERO}\nincrement 0: {CHANCE}"
    assert "warning" in runs["0000"].starts()[-1].tags and "warning" not in runs["0002"].starts()[-1].tags
    assert "warnings/all" not in runs["0002"].summary()
