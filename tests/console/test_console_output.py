"""What is printed: plain lines into a pipe, a live table on a terminal, and the report in both."""

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from tracking_fixtures import DEFAULT, reported, search_ended, started, trial_started

from tune_cl.commands import python_text
from tune_cl.console import ConsoleTracker
from tune_cl.records import (
    BestSummary,
    Caution,
    Finalist,
    Finalists,
    NeverTrainedAgain,
    SearchFolder,
    Sharing,
    Statistic,
    TrialSummary,
)
from tune_cl.tracking import PhaseProgress, SlotDeferred, TrialEnded

CHOSEN = DEFAULT | {"increment.classifier.lr": 0.0031}
TABLE = [
    TrialSummary(trial=0, state="finished", increment=3, value=0.7990),
    TrialSummary(trial=1, state="finished", increment=3, value=0.8190),
    TrialSummary(trial=2, state="stopped", increment=1, value=0.9),
    TrialSummary(trial=3, state="failed", increment=None, value=None, reason="the loss became NaN [sic]"),
]
BEST = BestSummary(trial=1, value=0.8190, default_value=0.7990, parameters=CHOSEN)
COUNTS = {"finished": 2, "stopped": 1, "failed": 1, "running": 0}


def printed(folder: SearchFolder, events: list, width: int = 100, **record: object) -> str:
    output = io.StringIO()
    tracker = ConsoleTracker(Console(file=output, width=width), wandb_line=lambda folder: f"W&B: in {folder.wandb}")
    for event in [started(folder, **record), *events]:
        tracker.handle(event)
    tracker.close(1)
    return output.getvalue()


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_pipe_gets_one_plain_line_per_event(folder: SearchFolder) -> None:
    events = [trial_started(folder, 1), reported(folder, 1, 0), PhaseProgress(1, 1, "generator", 1, 2, "node-1")]
    events += [reported(folder, 1, 1), TrialEnded(1, "stopped", "5th of 6 at increment 1")]
    events += [trial_started(folder, 2), TrialEnded(2, "failed", "the loss became NaN")]
    text = printed(folder, events, width=60)
    assert "\x1b" not in text
    assert "\r" not in text
    lines = text.splitlines()
    assert lines[0].startswith("search genifer-fashion-b4-t3-quick: genifer on fashion-b4-t3, budget quick, 8 trials")
    assert lines[1] == f"W&B: in {folder.wandb}"
    assert lines[2:] == [
        "trial 0001: start increment.classifier.lr=0.001",
        "trial 0001: increment 0/3 val/average_incremental_accuracy 0.9500 (classifier reused, generator reused)",
        "trial 0001: increment 1/3 val/average_incremental_accuracy 0.8725 "
        "(classifier trained in 10.8 s, generator trained in 10.8 s)",
        "trial 0001: stopped after increment 1 with 0.8725: 5th of 6 at increment 1",
        "trial 0002: start increment.classifier.lr=0.001",
        "trial 0002: failed: the loss became NaN",
    ]


def test_pipe_is_told_which_bases_a_slot_waits_for(folder: SearchFolder) -> None:
    events = [trial_started(folder, 0), SlotDeferred((0,)), SlotDeferred((0, 12))]
    assert printed(folder, events).splitlines()[-2:] == [
        "a slot waits for the base of trial 0000",
        "a slot waits for the base of trials 0000, 0012",
    ]


def test_a_pipe_gets_tables_and_sentences_whole(folder: SearchFolder) -> None:
    narrow, wide = (printed(folder, [search_ended(best=BEST, table=TABLE, trials=COUNTS)], width=w) for w in (40, 400))
    assert narrow == wide
    assert re.search(r"^increment\.classifier\.lr +0\.001 +→ +0\.0031$", narrow, re.MULTILINE)


def test_report_names_the_noise_of_the_gain(folder: SearchFolder) -> None:
    for error, words in ((0.0150, "at most 0.0150: within noise"), (0.0050, "more than these images explain")):
        best = BEST.model_copy(update={"gain_error": error})
        assert words in unwrapped(printed(folder, [search_ended(best=best, table=TABLE, trials=COUNTS)]))
    assert "Whether it is more than noise is not known." in unwrapped(
        printed(folder, [search_ended(best=BEST, table=TABLE, trials=COUNTS)])
    )


def race(low: float, high: float, **changes: Any) -> Finalists:
    gain = Statistic(mean=(low + high) / 2, std=0.01, low=low, high=high, values=[low, high])
    table = [
        Finalist(trial=1, values=[0.81, 0.83], mean=0.82),
        Finalist(trial=0, values=[0.80, 0.79], mean=0.795),
        Finalist(trial=3, values=[0.85, None], mean=None),
    ]
    values: dict[str, Any] = {
        "seeds": [0, 1],
        "fresh_seeds": [2, 3],
        "table": table,
        "winner": 1,
        "gain": gain,
        "runs": 7,
    }
    values |= {"missing": 0, "failed": {"0003-seed1": "the loss became NaN"}, "images_trained": 12_000, "seconds": 70.0}
    return Finalists.model_validate(values | changes)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            race(0.01, 0.05),
            "Gain over the default: +0.0300, 95 % interval +0.0100 to +0.0500, under 2 fresh train seeds, ",
        ),
        (race(0.01, 0.05), "by which nothing was chosen: more than noise. The interval is for these base tasks"),
        (race(-0.01, 0.05), "nothing was chosen: within noise."),
        (race(-0.05, -0.01), "nothing was chosen: the default is better."),
        (
            race(0, 1, winner=0, gain=None),
            "The default is the best of 3 finalists by the mean over 2 train seeds: no gain.",
        ),
        (race(0, 1, gain=None), "What it gains over the default is not known: a run of one of the two"),
        (race(0, 1, winner=None, gain=None), "A run of each finalist has failed"),
        (race(0, 1, winner=None, gain=None, missing=5), "The race over 2 train seeds is not over"),
    ],
)
def test_report_says_what_the_finalists_came_to(folder: SearchFolder, found: Finalists, words: str) -> None:
    best = BEST.model_copy(update={"trial": 0}) if found.winner == 0 else BEST
    text = unwrapped(printed(folder, [search_ended(best=best, table=TABLE, trials=COUNTS, finalists=found)]))
    assert words in text
    assert re.search(r"0001 +0\.8200 +0\.8100 +0\.8300 .*0000 +0\.7950 .*0003 +- +0\.8500 +-", text)
    assert "Finalist 0003-seed1 failed: the loss became NaN" in text
    assert "Beside the trials: 7 runs of finalists, 12.0 k images, 1 min 10 s of training." in text
    assert ("optimistic by selection" in text) == (found.winner is None), "where there is no better figure"


def test_report_names_the_winner_its_gain_and_why_to_doubt_it(folder: SearchFolder) -> None:
    text = unwrapped(printed(folder, [search_ended(best=BEST, table=TABLE, trials=COUNTS)]))
    assert "2 finished, 1 stopped, 1 failed; training took 6 min 12 s in all" in text
    assert "Best configuration (trial 0001)" in text
    assert re.search(r"increment\.classifier\.lr\s+0\.001\s+→\s+0\.0031", text)
    assert re.search(r"increment\.classifier\.loss\s+ce\s+=\s+ce", text)
    assert "Gain over the default: +0.0200 (0.7990 → 0.8190) on the search's own validation data, one run each" in text
    assert "optimistic by selection: the winner is the best of 2" in text
    assert "To know it, evaluate the choice" in text
    assert "the tuner's luxury, not the method's" in text
    assert "30 trained, 13 reused" in text
    assert "900.0 k; every trial alone would have cost 1.50 M (40% saved)" in text
    assert "Trial 0003 failed: the loss became NaN [sic]" in text


def test_report_says_what_never_training_again_gives_and_each_caution(folder: SearchFolder) -> None:
    untrained = NeverTrainedAgain(
        trial=1, accuracy=0.36, average_incremental_accuracy=0.8201, average_incremental_accuracy_excl_base=0.5
    )
    doubts = [
        Caution(kind="old classes", sentence="It has lost [all] of them."),
        Caution(kind="below frozen", sentence="B."),
    ]
    ended = search_ended(best=BEST, table=TABLE, trials=COUNTS, never_trained_again=untrained, cautions=doubts)
    text = unwrapped(printed(folder, [ended]))
    line = "Never training again: 0.8201 average incremental accuracy, 0.3600 accuracy after the last increment"
    assert f"{line} (base task of trial 0001)." in text
    assert "Caution: It has lost [all] of them." in text and "Caution: B." in text
    assert text.index("Gain over the default") < text.index(line) < text.index("Caution: It") < text.index("Stages:")
    text = unwrapped(printed(folder, [ended], objective="val/accuracy"))
    assert "Never training again: 0.3600 accuracy after the last increment, 0.8201 average" in text
    text = unwrapped(printed(folder, [ended], objective="val/average_incremental_accuracy_excl_base"))
    assert "Never training again: 0.5000 average incremental accuracy without the base task, 0.8201" in text
    text = unwrapped(printed(folder, [ended], objective="val/forgetting", direction="min"))
    assert "Never training again: 0.8201" in text and "trial 0001; forgetting alone does not tell)." in text
    by_means = untrained.model_copy(update={"nearest_mean": True})
    text = unwrapped(printed(folder, [search_ended(never_trained_again=by_means)], objective="val/nme/accuracy"))
    assert "Never training again, by class means of the base task: 0.3600" in text
    assert "Never training again" not in printed(folder, [search_ended(best=BEST, table=TABLE, trials=COUNTS)])


def test_sharing_among_trials_and_what_was_found_are_told_apart(folder: SearchFolder) -> None:
    values = {"unit": "cpu_seconds", "trials": 8, "base_configurations": 2, "base_share": 0.46, "bound": 1.45}
    text = unwrapped(printed(folder, [search_ended(sharing=Sharing(saving=1.57, own=1.44, found=0.06, **values))]))
    assert "shared with each other made the search 1.44 times cheaper than trial by trial (in CPU seconds)" in text
    assert "46% of the cost, 2 base configurations and 8 trials allow 1.45." in text
    assert (
        "found stages that had been trained before it, worth 6% of the cost trial by trial; with them it was 1.57"
        in text
    )
    text = unwrapped(printed(folder, [search_ended(sharing=Sharing(saving=1.44, own=1.44, found=0.0, **values))]))
    assert "1.44 times cheaper" in text and "trained before it" not in text


def test_stopped_trial_with_a_higher_value_is_not_ranked(folder: SearchFolder) -> None:
    text = printed(folder, [search_ended(best=BEST, table=TABLE, trials=COUNTS)])
    ranking = text[text.index("Best of 2 finished") : text.index("Best configuration")]
    assert re.findall(r"^(\d{4})", ranking, re.M) == ["0001", "0000"]


def test_an_increments_line_says_how_its_replay_is_judged(folder: SearchFolder) -> None:
    plain = [trial_started(folder, 1), reported(folder, 1, 0)]
    event = reported(folder, 1, 1)
    judged = {"val/replay_student": 0.71625, "replay_spread": 0.624}
    event = replace(event, row=event.row.model_copy(update={"metrics": event.row.metrics | judged}))
    text = unwrapped(printed(folder, [*plain, event], width=400))
    assert "replay: what a student learns from it alone has accuracy 0.7163, its spread 0.62 of the real one" in text
    assert "student" not in printed(folder, plain)


def test_places_and_commands_are_whole_lines_however_narrow_the_output(folder: SearchFolder) -> None:
    folder.best_weights.parent.mkdir(parents=True)
    folder.best_weights.touch()
    lines = printed(folder, [search_ended(best=BEST, table=TABLE, trials=COUNTS)], width=50).splitlines()
    stripped = [line.strip() for line in lines]
    assert f"{python_text()} launch/evaluate.py {folder.path} --with-default" in stripped
    assert f"{python_text()} launch/search.py --space genifer.yaml --trials 16" in stripped
    for path in (folder.path, folder.best_config, folder.best_weights, folder.trial(0).config):
        assert any(line.endswith(f" {path}") for line in lines), path
    assert f"W&B: in {folder.wandb}" in stripped


def test_interrupt_says_what_is_lost_and_how_to_go_on(folder: SearchFolder) -> None:
    text = printed(folder, [search_ended(interrupted=True)])
    assert "Interrupted: genifer-fashion-b4-t3-quick" in text
    assert "trial 0004: generator at increment 2" in text
    assert "To continue, type the same command:\n  " in text
    assert text.rstrip().endswith(f"{python_text()} launch/search.py --space genifer.yaml")


def test_weights_that_could_not_be_written_are_not_promised(folder: SearchFolder) -> None:
    text = printed(folder, [search_ended(best=BEST, table=TABLE, trials=COUNTS)])
    assert "not written: its stages are gone" in text
    assert str(folder.best_weights) not in text


def test_gain_of_a_metric_that_should_be_small_is_a_fall(folder: SearchFolder) -> None:
    ended = search_ended(best=BEST, table=TABLE, trials=COUNTS)
    text = printed(folder, [ended], objective="val/forgetting", direction="min")
    assert re.search(r"0001\s+0.8190\s+-0.0200", text)


def test_default_that_stays_best_is_no_gain(folder: SearchFolder) -> None:
    text = printed(folder, [search_ended()])
    assert "this search found no gain" in text
    assert "Gain over" not in text


def test_search_in_which_nothing_finished_names_no_winner(folder: SearchFolder) -> None:
    text = printed(folder, [search_ended(best=None, table=TABLE[2:], trials=COUNTS | {"finished": 0})])
    assert "No trial has finished" in text
    assert "launch/evaluate.py" not in text
