import math
import random
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from made_recordings import BASE_GAMMA, BASE_LR, DEFAULT, LR, RANGES, WEIGHT, made_recording, recorded_trial
from search_cli import ROOT, Reference, summary_of
from simulator import NearestTrial, Recording, Simulation, record_search, recorded_space, simulate

from tune_cl.errors import TuneCLError
from tune_cl.methods import unflatten
from tune_cl.metrics import VALIDATION, scored_metrics
from tune_cl.records import (
    IncrementRow,
    RunConfig,
    SearchFolder,
    SearchRecord,
    SearchSeeds,
    StageUse,
    read_record,
    write_json,
    write_run,
)

pytestmark = pytest.mark.ray

AIA = "val/average_incremental_accuracy"
SHIPPED = ROOT / "benchmarks" / "recordings" / "genifer-fashion-b4-t3-quick.json"


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """A search without trials."""
    made = made_recording(1)
    record = SearchRecord(
        name="s",
        method=made.method,
        stream=made.stream,
        scale=made.scale,
        budget=made.budget,
        protocol="stream",
        horizon=1,
        objective=made.objective,
        seeds=SearchSeeds(train=3),
        sampler="random",
        scheduler="none",
        threads=1,
        device="cpu",
        fixed=made.fixed,
        ranges=made.ranges,
        default=made.default,
        data_fingerprint="f",
        trials=8,
        command=["launch/search.py"],
    )
    made_folder = SearchFolder(tmp_path / "s")
    write_json(made_folder.search, record)
    return made_folder


def add_trial(folder: SearchFolder, number: int, values: list[float | None], **place: float) -> None:
    record = read_record(folder.search, SearchRecord)
    run = RunConfig(
        method=record.method,
        stream=record.stream,
        budget=record.budget,
        horizon=record.horizon,
        parameters=unflatten({**record.default, **place}),
    )
    write_run(folder.trial(number).config, run)
    for increment, value in enumerate(values):
        folder.trial(number).add_row(
            IncrementRow(
                trial=number,
                increment=increment,
                metrics={AIA: value, "val/accuracy": 0.5, "val/forgetting": None, "seconds": 7.0},
                accuracy_row=[2 / 3] * (increment + 1),
                losses={"classifier/ce": 1.0},
                stages=[
                    StageUse(
                        phase="classifier",
                        key=64 * "a",
                        origin="reused",
                        seconds=1.23456,
                        cpu_seconds=None if number else 1.11111,
                        images_trained=640,
                    )
                ],
                node="here",
            )
        )


def test_finished_trials_and_no_others_are_recorded(folder: SearchFolder) -> None:
    add_trial(folder, 0, [0.9, 0.7])
    add_trial(folder, 1, [0.8])  # stopped, or still running
    add_trial(folder, 2, [0.8, None])  # failed at the horizon
    add_trial(folder, 3, [0.9, 0.6], **{WEIGHT: 0.5})
    add_trial(folder, 4, [])
    recording = record_search(folder)
    assert [trial.trial for trial in recording.trials] == [0, 3]
    assert recording.trials[0].parameters == DEFAULT
    assert recording.trials[1].parameters == {**DEFAULT, WEIGHT: 0.5}
    assert (recording.horizon, recording.train_seed, recording.command) == (1, 3, ["launch/search.py"])


def test_every_objective_and_every_cost_is_kept(folder: SearchFolder) -> None:
    add_trial(folder, 0, [0.9, 0.7])
    increments = record_search(folder).trials[0].increments
    names = {VALIDATION + metric.name for metric in scored_metrics()}
    assert {*names, "replay_accuracy"} == increments[0].metrics.keys()
    assert [increment.metrics[AIA] for increment in increments] == [0.9, 0.7]
    assert increments[0].metrics["val/forgetting"] is None
    assert increments[1].accuracy_row == pytest.approx([2 / 3, 2 / 3], abs=1e-8)
    stage = increments[1].stages[0]
    assert (stage.phase, stage.seconds, stage.cpu_seconds, stage.images_trained) == ("classifier", 1.235, 1.111, 640)
    assert stage.key and (64 * "a").startswith(stage.key)


def test_values_that_differ_by_one_image_stay_apart(folder: SearchFolder) -> None:
    one_image = 1 / 2000 / 11  # of 2,000, in a mean over eleven increments
    add_trial(folder, 0, [0.9, 0.7])
    add_trial(folder, 1, [0.9, 0.7 + one_image])
    first, second = (trial.increments[1].metrics[AIA] or math.nan for trial in record_search(folder).trials)
    assert second - first == pytest.approx(one_image, rel=1e-3)


def test_a_folder_without_a_finished_trial_is_refused_in_a_sentence(folder: SearchFolder, tmp_path: Path) -> None:
    add_trial(folder, 0, [0.9])
    with pytest.raises(TuneCLError, match="no trial of this search has finished"):
        record_search(folder)
    with pytest.raises(TuneCLError, match="no such file"):
        record_search(SearchFolder(tmp_path / "elsewhere"))


def record_script(monkeypatch: pytest.MonkeyPatch, *arguments: Path) -> None:
    """Run `benchmarks/record.py` as its own process would."""
    script = str(ROOT / "benchmarks" / "record.py")
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    runpy.run_path(script, run_name="__main__")


@pytest.mark.slow
def test_a_real_search_is_read_back_and_replayed(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "recording.json"
    record_script(monkeypatch, reference.folder.path, output)
    recording = read_record(output, Recording)
    finished = [trial for trial in summary_of(reference.folder).table if trial.state == "finished"]
    assert [trial.trial for trial in recording.trials] == [trial.trial for trial in finished]
    for trial, summarised in zip(recording.trials, finished, strict=True):
        rows = reference.folder.trial(trial.trial).rows()
        assert trial.increments[-1].metrics[AIA] == pytest.approx(summarised.value, abs=1e-8)
        assert [i.accuracy_row for i in trial.increments] == [pytest.approx(r.accuracy_row, abs=1e-8) for r in rows]
        assert [len(i.stages) for i in trial.increments] == [len(row.stages) for row in rows]
    search = simulate(recording, Simulation(trials=4, sampler="random", scheduler="none"))
    default = {t: increment.metrics[AIA] for t, increment in enumerate(recording.trials[0].increments)}
    assert search.trials[0].values == default
    assert [trial.state for trial in search.trials] == ["finished"] * 4


def test_a_script_names_what_is_wrong_and_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        record_script(monkeypatch, tmp_path, tmp_path / "out.json")
    assert end.value.code == 2
    assert "search.json: no such file" in capfd.readouterr().err


def test_the_space_is_that_of_the_recorded_search() -> None:
    recording = made_recording(4)
    space = recorded_space(recording)
    assert space.written_ranges() == RANGES
    assert space.default == recording.default
    assert space.fixed == recording.fixed
    other = recorded_space(recording, {BASE_LR: {"log": [0.0005, 0.01]}, BASE_GAMMA: 0.1})
    assert other.written_ranges() == {WEIGHT: RANGES[WEIGHT], LR: RANGES[LR], BASE_LR: {"log": [0.0005, 0.01]}}
    assert other.default[BASE_GAMMA] == 0.1


def test_a_range_where_the_recorded_trials_do_not_differ_is_refused() -> None:
    with pytest.raises(TuneCLError, match=r"base\.classifier\.epochs: the recorded trials do not differ there"):
        recorded_space(made_recording(4), {"base.classifier.epochs": {"int": [1, 5]}})


def configuration(recording: Recording, **place: Any) -> dict[str, Any]:
    return unflatten({**recording.default, **place})


def test_each_recorded_trial_stands_for_itself() -> None:
    recording = made_recording(24)
    nearest = NearestTrial(recording)
    for trial in recording.trials:
        assert nearest(configuration(recording, **trial.parameters)) is trial


def test_the_nearest_base_comes_first_then_the_nearest_trial_of_that_base() -> None:
    recording = made_recording(40)
    nearest, draw = NearestTrial(recording), random.Random(1)
    far_but_of_the_base = 0
    for _ in range(50):
        place = {
            WEIGHT: 10 ** draw.uniform(-2, 0),
            LR: 10 ** draw.uniform(-4, -2),
            BASE_LR: 10 ** draw.uniform(-3, -2),
            BASE_GAMMA: 10 ** draw.uniform(-2, -1),
        }
        base_lr = 0.001 if place[BASE_LR] < math.sqrt(0.001 * 0.01) else 0.01
        gamma = 0.01 if place[BASE_GAMMA] < math.sqrt(0.01 * 0.1) else 0.1

        def distance(trial: Any, place: dict[str, float] = place) -> float:
            return math.hypot(*(math.log10(trial.parameters[path] / place[path]) / 2 for path in (WEIGHT, LR)))

        of_base = [t for t in recording.trials if (t.parameters[BASE_LR], t.parameters[BASE_GAMMA]) == (base_lr, gamma)]
        expected = min(of_base, key=distance)
        assert nearest(configuration(recording, **place)) is expected
        far_but_of_the_base += expected is not min(recording.trials, key=distance)
    assert far_but_of_the_base > 10


def test_of_equally_near_trials_the_first_is_taken() -> None:
    recording = made_recording(1)
    trials = [recorded_trial(number, {**DEFAULT, WEIGHT: weight}) for number, weight in enumerate([0.5, 0.02, 0.5])]
    nearest = NearestTrial(recording.model_copy(update={"trials": trials}))
    assert nearest(configuration(recording, **{WEIGHT: 0.6})).trial == 0


def test_a_choice_among_names_is_the_same_or_another() -> None:
    path = "increment.classifier.loss"
    made = made_recording(1)
    ranges = {path: {"choice": ["ce", "relaxed", "balanced"]}, WEIGHT: RANGES[WEIGHT]}
    places = [{path: "ce", WEIGHT: 0.01}, {path: "relaxed", WEIGHT: 0.9}]
    trials = [
        made.trials[0].model_copy(update={"trial": number, "parameters": place}) for number, place in enumerate(places)
    ]
    nearest = NearestTrial(made.model_copy(update={"ranges": ranges, "trials": trials}))
    assert nearest(configuration(made, **{path: "relaxed", WEIGHT: 0.02})).trial == 1  # 0.83 against 1.01
    assert nearest(configuration(made, **{path: "balanced", WEIGHT: 0.02})).trial == 0  # 1.01 against 1.30


def test_the_shipped_recording_holds_a_search_with_shared_stages() -> None:
    recording = read_record(SHIPPED, Recording)
    assert SHIPPED.stat().st_size < 1_000_000
    assert (recording.method, recording.stream.name, recording.budget) == ("genifer", "fashion-b4-t3", "quick")
    assert len(recording.trials) >= 60
    assert all(len(trial.increments) == recording.horizon + 1 == 4 for trial in recording.trials)
    bases = {trial.increments[0].stages[-1].key for trial in recording.trials}
    assert 1 < len(bases) < len(recording.trials) / 3
    chains = [stage.key for trial in recording.trials for row in trial.increments for stage in row.stages]
    assert len(set(chains)) < len(chains)
    assert all(stage.cpu_seconds for trial in recording.trials for row in trial.increments for stage in row.stages)
    values = [trial.increments[-1].metrics[recording.objective] for trial in recording.trials]
    assert len(set(values)) > 50


def test_a_search_of_64_trials_on_the_shipped_recording_runs_to_its_end() -> None:
    search = simulate(read_record(SHIPPED, Recording), Simulation(trials=64, workers=4))
    assert len(search.trials) == 64
    assert {trial.state for trial in search.trials} == {"finished", "stopped"}
    assert search.saving > 1.2
