"""What a loop of one's own runs lies in the folder of a search, and is read, evaluated and compared as one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

import tune_cl
from tune_cl import TuneCLError
from tune_cl.methods import Diverged
from tune_cl.records import IncrementRow, SearchFolder

RATE = "increment.classifier.learning_rate"
OBJECTIVE = "val/average_incremental_accuracy"
SMALL = {
    "base.classifier.epochs": 1,
    "base.classifier.batch_size": 256,
    "base.classifier.width": 4,
    "increment.classifier.epochs": 1,
    "increment.classifier.batch_size": 256,
}
RANGES = {RATE: {"log": [2e-4, 1e-2]}}
DEFAULT = tune_cl.configure("finetune", stream="fashion-b8-t1", overrides=SMALL)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One stage store for this module."""
    return tmp_path_factory.mktemp("stages")


def rows_of(stages: Path, **changes: Any) -> list[IncrementRow]:
    run = tune_cl.configure("finetune", stream="fashion-b8-t1", overrides=SMALL, **changes)
    return tune_cl.run_chain(run, stages=stages)


def study_with(recorder: tune_cl.Recorder) -> optuna.Study:
    """Three trials of a user's own Optuna study; it stops the second one."""

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float(RATE, 2e-4, 1e-2, log=True)

        def report(row: IncrementRow) -> None:
            trial.report(row.metrics[OBJECTIVE], row.increment)
            if trial.number == 1 and row.increment == 0:
                raise optuna.TrialPruned

        return float(recorder.run({RATE: rate}, report)[-1].metrics[OBJECTIVE])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=3)
    return study


def test_trials_of_an_optuna_study_are_those_of_the_folder_and_the_same_loop_again_adds_none(
    tmp_path: Path, stages: Path
) -> None:
    place = tmp_path / "mine"
    ranges = {RATE: optuna.distributions.FloatDistribution(2e-4, 1e-2, log=True)}
    with tune_cl.record(place, DEFAULT, ranges, stages=stages) as recorder:
        study = study_with(recorder)
    found = tune_cl.open_result(place)
    assert [trial.state for trial in found.trials] == ["failed", "finished", "stopped", "finished"]
    assert [trial.parameters for trial in found.trials[1:]] == [trial.params for trial in study.trials]
    assert (found.best.value, found.best.parameters) == (study.best_value, study.best_params)
    assert found.record.ranges == RANGES
    assert tune_cl.load(found).class_names == tune_cl.load(place / "best" / "classifier.pt").class_names
    assert found.summary is not None and "recorder.run({})" in str(found.summary.table[0].reason)

    with tune_cl.record(place, DEFAULT, RANGES, stages=stages) as recorder:
        rows = recorder.run({})
        stopped = found.trials[2].parameters
        recorder.run(stopped)  # to its end, this time
        again = study_with(recorder)
    whole = tune_cl.open_result(place)
    assert [trial.state for trial in whole.trials] == [*(["finished"] * 2), "stopped", *(["finished"] * 2)]
    assert whole.trials[4].parameters == stopped and whole.trials[1].increments == found.trials[1].increments
    assert again.best_value == study.best_value
    assert whole.default is not None and whole.default.value == rows[-1].metrics[OBJECTIVE]
    assert "+" in str(tune_cl.compare(whole)) or "-" in str(tune_cl.compare(whole))
    assert (whole.record.trials, whole.summary and whole.summary.trials["running"]) == (5, 0)


def test_rows_of_another_configuration_or_of_a_failed_trial(tmp_path: Path, stages: Path) -> None:
    rows, other = rows_of(stages), rows_of(stages, train_seed=1)
    with tune_cl.record(tmp_path / "mine", DEFAULT, RANGES, stages=stages) as recorder:
        with pytest.raises(TuneCLError, match="increment 0: its stages are not those of the default"):
            recorder.add({}, other)
        with pytest.raises(TuneCLError, match=r"increment 1: its stages are not those of \{'increment.*': 0.005\}"):
            recorder.add({RATE: 0.005}, rows)
        with pytest.raises(TuneCLError, match="increment 1: report that of increment 0 first"):
            recorder.report({}, rows[1])
        with pytest.raises(TuneCLError, match="row 'nothing': neither a row of `run_chain` nor the JSON text"):
            recorder.report({}, "nothing")
        assert recorder.add({}, [row.model_dump_json() for row in rows]) == 0
        assert recorder.add({RATE: 0.004}, rows[:1], failure="the GPU ran out of memory") == 2
    found = tune_cl.open_result(tmp_path / "mine")
    assert [(trial.state, len(trial.increments)) for trial in found.trials] == [
        ("finished", 2),
        ("running", 1),  # its base task is that of the default, so that this row was its own
        ("failed", 1),
    ]
    assert found.best.number == 0 and SearchFolder(found.folder).trial(2).failure.exists()


def test_what_diverges_has_failed_and_what_is_interrupted_resumes(tmp_path: Path, stages: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(row: IncrementRow) -> None:
        raise Interrupted

    with (
        pytest.raises(Interrupted),
        tune_cl.record(tmp_path / "mine", DEFAULT, RANGES, stages=stages, objective="val/accuracy") as recorder,
    ):
        recorder.run({}, interrupt)
    assert [trial.state for trial in tune_cl.open_result(tmp_path / "mine").trials] == ["running"]
    with tune_cl.record(tmp_path / "mine", DEFAULT, RANGES, stages=stages, objective="val/accuracy") as recorder:
        assert recorder.run({})[-1].comparable() == rows_of(stages)[-1].comparable()
    far = {"increment.classifier.optimizer": "sgd", "increment.classifier.weight_decay": 1.0}
    overrides = {**SMALL, **far, "increment.classifier.epochs": 20}  # each step makes weights 9 times as large
    run = tune_cl.configure("finetune", stream="fashion-b8-t1", overrides=overrides)
    with tune_cl.record(tmp_path / "far", run, {RATE: {"log": [1e-4, 10]}}, stages=stages) as recorder:
        recorder.run({})
        with pytest.raises(Diverged):
            recorder.run({RATE: 10})
    assert [trial.state for trial in tune_cl.open_result(tmp_path / "far").trials] == ["finished", "failed"]
    assert tune_cl.open_result(tmp_path / "mine").best.value == rows_of(stages)[-1].metrics["val/accuracy"]


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (lambda r: r.run({RATE: 0.5}), "0.5 lies outside of its range .*widen that of `ranges`"),
        (lambda r: r.run({"base.classifier.epochs": 2}), "is 1 in all trials, not 2; give it one of `ranges`"),
        (lambda r: r.run({"increment.classifier.lr": 1e-3}), "did you mean 'increment.classifier.learning_rate'"),
        (lambda r: r.end({RATE: "fast"}), "the text 'fast' is not allowed"),
    ],
)
def test_parameters_that_the_loop_does_not_search_are_refused(
    use: Callable[[tune_cl.Recorder], object], sentence: str, tmp_path: Path, stages: Path
) -> None:
    with (
        pytest.raises(TuneCLError, match=sentence),
        tune_cl.record(tmp_path / "mine", DEFAULT, RANGES, stages=stages) as recorder,
    ):
        use(recorder)


@pytest.mark.parametrize(
    ("ranges", "options", "sentence"),
    [
        ({RATE: 0.01}, {}, "ranges: increment.classifier.learning_rate: 0.01 is no range; a range is written {log"),
        ({RATE: [1e-3, 1e-2]}, {}, r"\[0.001, 0.01\] is no range; a range is written {log: \[0.001, 0.01\]} or"),
        ({RATE: {"log": [5e-3, 1e-2]}}, {}, "ranges: .*: the default 0.001 lies outside the range"),
        (
            {"epochs": {"int": [1, 2]}},
            {},
            "ranges: epochs: unknown parameter",
        ),
        (RANGES, {"objective": "test/accuracy"}, "objective: 'test/accuracy' is of test data, which no search reads"),
        (RANGES, {"loader_workers": -1}, "loader_workers"),
        (RANGES, {"data_root": ""}, "data_root: empty"),
    ],
)
def test_a_recorder_that_cannot_be_is_refused_before_anything_is_written(
    ranges: dict[str, Any], options: dict[str, Any], sentence: str, tmp_path: Path, stages: Path
) -> None:
    with (
        pytest.raises(TuneCLError, match=sentence),
        tune_cl.record(tmp_path / "mine", DEFAULT, ranges, stages=stages, **options),
    ):
        pytest.fail("it was made")
    assert not (tmp_path / "mine").exists()


def test_domains_of_ray_are_ranges_but_for_those_that_have_no_ends(tmp_path: Path, stages: Path) -> None:
    from ray import tune

    widths = {RATE: tune.uniform(2e-4, 1e-2), "base.classifier.batch_size": tune.choice([128, 256])}
    ranges = {**widths, "increment.classifier.epochs": tune.randint(1, 5)}
    with tune_cl.record(tmp_path / "mine", DEFAULT, ranges, stages=stages):
        pass
    written = json.loads(SearchFolder(tmp_path / "mine").search.read_text())["ranges"]
    assert list(written.values()) == [{"uniform": [2e-4, 1e-2]}, {"choice": [128, 256]}, {"int": [1, 4]}]
    with (
        pytest.raises(TuneCLError, match=r"ranges: .*learning_rate: Optuna search does not support"),
        tune_cl.record(tmp_path / "other", DEFAULT, {RATE: tune.randn(0, 1)}, stages=stages),
    ):
        pass


def test_a_chain_is_a_search_of_one_trial_and_another_is_refused_in_the_same_folder(
    tmp_path: Path, stages: Path
) -> None:
    places = {"stages": stages, "output": tmp_path / "mine"}
    rows = tune_cl.run_chain(DEFAULT, **places)
    found = tune_cl.open_result(tmp_path / "mine")
    assert [row["val/accuracy"] for row in found.best.increments] == [row.metrics["val/accuracy"] for row in rows]
    other = DEFAULT.model_copy(update={"train_seed": 1})
    with pytest.raises(TuneCLError, match=r"holds a search with another definition \(seeds: train was 0, is 1\)"):
        tune_cl.run_chain(other, **places)
    with pytest.raises(TuneCLError, match="the folder of stages; name another"):
        tune_cl.run_chain(other, stages=stages, output=stages)


@pytest.mark.slow
@pytest.mark.ray
def test_a_recorded_choice_is_evaluated_and_rows_of_test_data_are_refused(tmp_path: Path, stages: Path) -> None:
    with tune_cl.record(tmp_path / "mine", DEFAULT, RANGES, stages=stages) as recorder:
        recorder.run({RATE: 0.004})
    held_out = tune_cl.evaluate(tmp_path / "mine", orders=1, seeds=1, with_default=True, quiet=True)
    assert held_out.chosen.runs and held_out.default and 0 < held_out.chosen.metrics["test/accuracy"].mean < 1
    assert held_out.difference is not None
    assert "Test data, after the last increment" in str(tune_cl.compare(tmp_path / "mine"))
    rows = SearchFolder(tmp_path / "mine").evaluation.run(held_out.chosen.runs[0]).rows()
    with (
        pytest.raises(TuneCLError, match="it is of another configuration, of other data"),
        tune_cl.record(tmp_path / "mine", DEFAULT, RANGES, stages=stages) as recorder,
    ):
        recorder.add({RATE: 0.003}, rows)
