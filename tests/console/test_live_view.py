"""The live view is a pure picture of a state that events advance; its text is read here."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from tracking_fixtures import HORIZON, OBJECTIVE, reported, row, started, trial_started, whole_trial

from tune_cl.console._estimate import seconds_left
from tune_cl.console._live import choose_trials, render
from tune_cl.console._state import ViewState, reduce, with_notice
from tune_cl.records import SearchFolder, TrialSummary
from tune_cl.tracking import IncrementReported, PhaseProgress, SearchStarted, SlotDeferred, TrialEnded


def advance(events: list, state: ViewState | None = None, at: float = 0.0) -> ViewState:
    state = state or ViewState()
    for event in events:
        state = reduce(state, event, at)
    return state


def picture(state: ViewState, width: int = 100, height: int = 30, now: float = 0.0) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(render(state, width, height, now))
    return console.export_text().splitlines()


def line_with(lines: list[str], word: str) -> str:
    return next(line for line in lines if word in line)


def trial_line(lines: list[str], trial: int) -> str:
    """The table's row of a trial: a glyph, the number."""
    return next(line for line in lines if line[2:3] in "▶✓■✗" and line[4:8] == f"{trial:04d}")


def halfway(folder: SearchFolder) -> ViewState:
    """Default finished, one better, one stopped, one failed, one running; three of eight to come."""
    events = [started(folder), *whole_trial(folder, 0), *whole_trial(folder, 1, shift=0.02)]
    events += [trial_started(folder, 2), reported(folder, 2, 0), reported(folder, 2, 1)]
    events += [TrialEnded(2, "stopped", "5th of 6"), trial_started(folder, 3), TrialEnded(3, "failed", "became NaN")]
    events += [trial_started(folder, 4), reported(folder, 4, 0), PhaseProgress(4, 1, "generator", 620, 1000, "node-1")]
    return advance(events)


def test_table_shows_the_objective_of_each_trial_at_each_increment(folder: SearchFolder) -> None:
    lines = picture(halfway(folder))
    for trial, shift in ((0, 0.0), (1, 0.02)):
        line = trial_line(lines, trial)
        for t in range(HORIZON + 1):
            assert f"{row(trial, t, shift).metrics[OBJECTIVE]:.4f}" in line
    assert "0.8725" in trial_line(lines, 2)
    assert f"{row(2, 2).metrics[OBJECTIVE]:.4f}" not in trial_line(lines, 2)


def test_header_tells_what_runs_how_far_it_is_and_what_it_has_gained(folder: SearchFolder) -> None:
    text = "\n".join(picture(halfway(folder), now=200.0))
    assert "genifer on fashion-b4-t3, budget quick" in text
    assert "8 trials  ▶ 1 running  ✓ 2 finished  ■ 1 stopped  ✗ 1 failed  3 to come" in text
    assert "best so far 0.8190 (trial 0001)   default 0.7990   gain +0.0200" in text
    assert "3 min 20 s" in text


def test_slot_that_waits_for_a_base_is_shown_until_a_trial_starts(folder: SearchFolder) -> None:
    state = advance([started(folder), trial_started(folder, 0), SlotDeferred((0,))])
    assert "1 running  7 to come  ⏸ a slot waits for the base of trial 0000" in "\n".join(picture(state, width=80))
    begun = advance([reported(folder, 0, 0), trial_started(folder, 1)], state)
    assert "waits" not in "\n".join(picture(begun))
    assert len(picture(state, height=12)) == len(
        picture(advance([started(folder), trial_started(folder, 0)]), height=12)
    )


def test_running_phase_is_named_with_its_percentage(folder: SearchFolder) -> None:
    line = trial_line(picture(halfway(folder)), 4)
    assert "generator" in line
    assert "62%" in line
    assert line.count("━") == round(0.62 * (line.count("━") + line.count("╌")))


def test_reused_stages_are_marked_and_explained(folder: SearchFolder) -> None:
    lines = picture(halfway(folder))
    assert "↺" not in trial_line(lines, 0)
    assert trial_line(lines, 1).count("↺") == 1
    assert line_with(lines, "loaded from the stage store")
    half = row(4, 1)
    stages = [half.stages[0].model_copy(update={"origin": "reused"}), half.stages[1]]
    event = IncrementReported(4, half.model_copy(update={"stages": stages}), 0.87, folder.trial(4))
    assert "0.8700 ↺c" in trial_line(picture(reduce(halfway(folder), event, 0.0)), 4)


def test_reasons_of_stopped_and_failed_trials_are_shown(folder: SearchFolder) -> None:
    lines = picture(halfway(folder))
    assert "5th of 6" in trial_line(lines, 2)
    assert "became NaN" in trial_line(lines, 3)


@pytest.mark.parametrize(("width", "height"), [(60, 14), (80, 24), (120, 50)])
def test_any_number_of_trials_fits_the_terminal(folder: SearchFolder, width: int, height: int) -> None:
    events: list = [started(folder, planned=200), *whole_trial(folder, 0)]
    for trial in range(1, 150):
        last = reported(folder, trial, 0, shift=0.03 if trial == 70 else 0.0)
        events += [trial_started(folder, trial), last, TrialEnded(trial, "finished" if trial % 2 == 0 else "stopped")]
    events += [trial_started(folder, 150), trial_started(folder, 151)]
    state = with_notice(advance(events), "a line that is " + "long " * 50)
    lines = picture(state, width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    for trial in (0, 70, 150, 151) if height > 14 else (150, 151):
        assert trial_line(lines, trial)
    shown, hidden = choose_trials(state, 10)
    assert (len(shown), len(hidden)) == (10, 142)
    assert any(f"… {len(state.trials) - sum(line[2] in '▶✓■✗' for line in lines[8:])} more" in line for line in lines)


def test_long_streams_show_the_base_and_the_increments_being_reached(folder: SearchFolder) -> None:
    state = advance([started(folder, horizon=20), trial_started(folder, 0)])
    for t in range(15):
        line = row(0, 0).model_copy(update={"increment": t})
        state = reduce(state, IncrementReported(0, line, 0.5, folder.trial(0)), 0.0)
    heading = line_with(picture(state, 100), "trial  ")
    assert "base" in heading
    assert "t=14" in heading
    assert "t=15" in heading
    assert "t=3 " not in heading


def test_markup_in_what_a_user_wrote_is_shown_as_it_is(folder: SearchFolder) -> None:
    state = advance([started(folder, name="a[red]b"), trial_started(folder, 0), TrialEnded(0, "failed", "[/bold] [x]")])
    text = "\n".join(picture(state))
    assert "a[red]b" in text
    assert "[/bold] [x]" in text


def test_progress_that_comes_late_changes_nothing(folder: SearchFolder) -> None:
    state = halfway(folder)
    for late in (PhaseProgress(4, 0, "classifier", 1, 2, "n"), PhaseProgress(1, 3, "classifier", 1, 2, "n")):
        assert reduce(state, late, 0.0) == state
    assert reduce(state, PhaseProgress(99, 0, "classifier", 1, 2, "n"), 0.0) == state


def test_increment_reported_again_counts_once(folder: SearchFolder) -> None:
    state = halfway(folder)
    again = reduce(state, reported(folder, 4, 0), 50.0)
    assert again.trials[4].cells == state.trials[4].cells


def test_trials_of_an_earlier_run_count_in_the_header(folder: SearchFolder) -> None:
    earlier = (
        TrialSummary(trial=0, state="finished", increment=3, value=0.7),
        TrialSummary(trial=1, state="finished", increment=3, value=0.75),
        TrialSummary(trial=2, state="stopped", increment=1, value=0.8),
    )
    state = advance([SearchStarted(started(folder).record, folder, planned=8, resumed=3, earlier=earlier)])
    text = "\n".join(picture(state))
    assert "✓ 2 finished  ■ 1 stopped  5 to come" in text
    assert "best so far 0.7500 (trial 0001)   default 0.7000   gain +0.0500" in text


def test_small_objective_makes_the_lower_value_best(folder: SearchFolder) -> None:
    events = [started(folder, direction="min"), *whole_trial(folder, 0), *whole_trial(folder, 1, shift=-0.02)]
    assert "(trial 0001)" in line_with(picture(advance(events)), "best so far")
    assert "gain +0.0200" in line_with(picture(advance(events)), "best so far")


def timed_search(folder: SearchFolder, trials: int, planned: int) -> tuple[ViewState, float]:
    """Trials one after another: the first base takes 60 s, the others none, each increment 20 s."""
    state, now = advance([started(folder, planned=planned)]), 0.0
    for trial in range(trials):
        state = reduce(state, trial_started(folder, trial), now)
        for t in range(HORIZON + 1):
            now += (60.0 if trial == 0 else 0.0) if t == 0 else 20.0
            state = reduce(state, reported(folder, trial, t), now)
        state = reduce(state, TrialEnded(trial, "finished"), now)
    return state, now


def test_time_left_is_what_the_trials_to_come_and_the_running_ones_should_take(folder: SearchFolder) -> None:
    state, now = timed_search(folder, trials=2, planned=8)
    state = reduce(state, trial_started(folder, 2), now)
    state = reduce(state, reported(folder, 2, 0), now)
    # Five to come at 3 x 20 s; the running one is 5 s into its first increment.
    assert seconds_left(state, now + 5) == pytest.approx(5 * 60 + 15 + 40)
    state = reduce(state, trial_started(folder, 3), now)
    # Two at a time: four to come, two running of which one is at its base.
    assert seconds_left(state, now) == pytest.approx((4 * 60 + 60 + 60) / 2)


def test_time_left_counts_on_stops_as_often_as_they_have_happened(folder: SearchFolder) -> None:
    state, now = timed_search(folder, trials=1, planned=3)
    state = reduce(state, trial_started(folder, 1), now)
    for t, seconds in ((0, 0.0), (1, 20.0)):
        now += seconds
        state = reduce(state, reported(folder, 1, t), now)
    state = reduce(state, TrialEnded(1, "stopped"), now)
    # One to come: t=1 for certain, t=2 and t=3 in one of two cases.
    assert seconds_left(state, now) == pytest.approx(20 + 0.5 * 40)


def test_time_left_is_unknown_before_anything_was_seen(folder: SearchFolder) -> None:
    state = advance([started(folder), trial_started(folder, 0)])
    assert seconds_left(state, 10.0) is None
    assert "time left unknown yet" in "\n".join(picture(state))


def test_time_left_is_known_from_the_first_increment_on_by_the_forecast(folder: SearchFolder) -> None:
    begun = started(folder, planned=2)
    costs = (1000.0, 500.0, 500.0, 250.0)
    search = SearchStarted(begun.record, folder, begun.planned, 0, costs=costs)
    state = advance([search, trial_started(folder, 0)])
    assert seconds_left(state, 10.0) is None
    state = reduce(state, reported(folder, 0, 0), 60.0)
    base = sum(stage.seconds for stage in row(0, 0).stages)
    increments = 1.25 * base
    assert seconds_left(state, 60.0) == pytest.approx(increments + 60.0 + increments)


def test_time_left_is_never_negative(folder: SearchFolder) -> None:
    state, now = timed_search(folder, trials=1, planned=1)
    assert seconds_left(state, now + 1000) == 0.0
    state = reduce(timed_search(folder, 1, 2)[0], trial_started(folder, 1), now)
    assert (seconds_left(state, now + 1000) or 0.0) >= 0.0


def test_what_is_waited_for_has_a_word_before_there_is_progress(folder: SearchFolder) -> None:
    assert "starting Ray and its workers" in "\n".join(picture(advance([started(folder)])))
    state = advance([started(folder), trial_started(folder, 0)])
    assert "starting a worker" in trial_line(picture(state), 0)
    assert "preparing increment 1" in trial_line(picture(reduce(state, reported(folder, 0, 0), 0.0)), 0)


def test_parameters_of_the_best_and_the_running_trials_are_shown_where_there_is_room(folder: SearchFolder) -> None:
    lines = picture(halfway(folder), height=50)
    told = [line for line in lines if "lr 0.001" in line]
    assert [line[2:6] for line in told] == ["0001", "0004"] and "0001 best" in told[0]
    assert not any("lr 0.001" in line for line in picture(halfway(folder), height=22))


def test_view_without_a_search_says_that_it_waits(tmp_path: Path) -> None:
    assert picture(ViewState()) == ["waiting for the search to start"]
