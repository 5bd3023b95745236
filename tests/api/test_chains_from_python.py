"""For people who write their own scripts: `run_chain`, `trainable`, `load`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tune_cl
from tune_cl.cli.main import main
from tune_cl.errors import TuneCLError
from tune_cl.records import IncrementRow, RunConfig, TrialFolder, write_yaml

pytestmark = pytest.mark.ray

CHANGES = {
    "base.classifier.epochs": 1,
    "base.classifier.batch_size": 256,
    "base.classifier.width": 4,
    "increment.classifier.epochs": 1,
    "increment.classifier.batch_size": 256,
}
TINY_GENERATOR = {
    **CHANGES,
    "base.generator.steps": 3,
    "base.generator.channels": 8,
    "base.generator.discriminator_width": 8,
    "increment.generator.steps": 3,
}


@pytest.fixture(scope="module")
def ray_here() -> Iterator[Any]:
    """One Ray for this module."""
    import ray

    ray.init(address="local", include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One stage store for this module, where nothing depends on who trains."""
    return tmp_path_factory.mktemp("stages")


@pytest.mark.slow
def test_run_chain_gives_the_rows_of_the_train_command(tmp_path: Path) -> None:
    run = tune_cl.configure("genifer", overrides=TINY_GENERATOR, train_seed=3)
    rows = tune_cl.run_chain(run, stages=tmp_path / "mine")
    write_yaml(tmp_path / "config.yaml", run)
    options = ["--output", str(tmp_path / "out"), "--stages", str(tmp_path / "theirs")]
    assert main(["train", "--config", str(tmp_path / "config.yaml"), *options]) == 0
    assert [row.comparable() for row in TrialFolder(tmp_path / "out").rows()] == [row.comparable() for row in rows]
    assert [row.increment for row in rows] == [0, 1, 2, 3]
    assert [use.phase for use in rows[1].stages] == ["classifier", "generator"]
    assert (tmp_path / "out" / "replay-00.png").is_file()
    assert tune_cl.load(tmp_path / "out" / "classifier.pt").shape.n_classes == 10


def test_run_chain_refuses_a_misspelt_parameter_of_a_file_with_its_near_match(tmp_path: Path) -> None:
    write_yaml(tmp_path / "mine.yaml", tune_cl.configure("genifer"))
    text = (tmp_path / "mine.yaml").read_text().replace("weight_feature:", "weight_featur:")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(TuneCLError, match=r"mine\.yaml: .*weight_featur: unknown key; did you mean 'weight_feature'"):
        tune_cl.run_chain(tmp_path / "mine.yaml", stages=tmp_path / "stages")
    assert not (tmp_path / "stages").exists()


def test_train_command_again_goes_on_and_refuses_another_run(
    tmp_path: Path, stages: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_yaml(tmp_path / "config.yaml", tune_cl.configure("finetune", overrides=CHANGES))
    options = ["train", "--config", str(tmp_path / "config.yaml"), "--stages", str(stages)]
    options += ["--output", str(tmp_path / "out")]
    assert main(options) == 0
    file = tmp_path / "out" / "increments.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:2]))  # as an interrupt leaves it
    assert main(options) == 0
    again = [row.comparable() for row in TrialFolder(tmp_path / "out").rows()]
    file.write_text("".join(lines))
    assert again == [row.comparable() for row in TrialFolder(tmp_path / "out").rows()]
    capfd.readouterr()
    assert main([*options, "--train-seed", "1"]) == 2
    assert "holds the rows of another run" in capfd.readouterr().err


def test_run_chain_leaves_the_threads_of_the_caller_and_reports_as_it_goes(stages: Path) -> None:
    import torch

    before, seen = torch.get_num_threads(), []
    run = tune_cl.configure("finetune", overrides=CHANGES)
    rows = tune_cl.run_chain(run, stages=stages, on_increment=lambda row: seen.append(row.increment))
    assert seen == [row.increment for row in rows] == [0, 1, 2, 3]
    assert torch.get_num_threads() == before


def test_configure_refuses_a_misspelt_path() -> None:
    with pytest.raises(tune_cl.TuneCLError, match=r"increment\.classifier\.epochs"):
        tune_cl.configure("finetune", overrides={"increment.classifier.epoch": 1})


def test_trainable_runs_in_a_plain_tuner(ray_here: Any, stages: Path, tmp_path: Path) -> None:
    from ray import tune

    path = "increment.classifier.learning_rate"
    stopped = {path: 5e-3}
    run = tune_cl.configure("finetune", overrides=CHANGES)
    with tune_cl.record(tmp_path / "mine", run, {path: tune.loguniform(1e-4, 1e-2)}, stages=stages) as recorder:
        settings = {"storage_path": str(tmp_path), "verbose": 0, "callbacks": [recorder.ray_callback()]}
        tuner = tune.Tuner(
            tune_cl.trainable(run, stages=stages),
            param_space={path: tune.grid_search([1e-3, 1e-2])},
            tune_config=tune.TuneConfig(metric="val/average_incremental_accuracy", mode="max"),
            run_config=tune.RunConfig(**settings),
        )
        results = tuner.fit()
        settings |= {"stop": {"increment": 1}}
        tune.Tuner(
            tune_cl.trainable(run, stages=stages), param_space=stopped, run_config=tune.RunConfig(**settings)
        ).fit()
    assert len(results) == 2 and not results.errors
    for result in results:
        rate = result.config[path]
        rows = tune_cl.run_chain(tune_cl.configure("finetune", overrides={**CHANGES, path: rate}), stages=stages)
        assert result.metrics["increment"] == result.metrics["training_iteration"] - 1 == 3
        for name in ("val/accuracy", "val/average_incremental_accuracy", "val/forgetting", "images_trained"):
            assert result.metrics[name] == pytest.approx(rows[-1].metrics[name])
        assert list(result.metrics_dataframe["val/accuracy"]) == [row.metrics["val/accuracy"] for row in rows]
    best = results.get_best_result()
    values = [result.metrics["val/average_incremental_accuracy"] for result in results]
    assert best.metrics["val/average_incremental_accuracy"] == max(values)
    recorded = tune_cl.open_result(tmp_path / "mine")
    assert [trial.state for trial in recorded.trials] == ["finished", "finished", "stopped"]
    assert recorded.trials[0].parameters == {path: 1e-3}, "the default of the space"
    assert (recorded.best.value, recorded.best.parameters) == (max(values), best.config)
    assert [row["val/accuracy"] for row in recorded.best.increments] == list(best.metrics_dataframe["val/accuracy"])
    assert len(recorded.trials[2].increments) == 2 and recorded.trials[2].parameters == stopped


@pytest.mark.slow
def test_a_fresh_trainable_shares_what_its_own_trials_train_and_nothing_else(
    ray_here: Any, stages: Path, tmp_path: Path
) -> None:
    from ray import tune

    path = "increment.classifier.learning_rate"
    for rate in (1e-3, 1e-2):
        tune_cl.run_chain(tune_cl.configure("finetune", overrides={**CHANGES, path: rate}), stages=stages)
    for fresh, trained in ((True, [1, 2, 2, 2]), (False, [0, 0, 0, 0])):
        tuner = tune.Tuner(
            tune_cl.trainable("finetune", overrides=CHANGES, stages=stages, fresh=fresh),
            param_space={path: tune.grid_search([1e-3, 1e-2])},
            run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
        )
        frames = [result.metrics_dataframe for result in tuner.fit()]
        rows = [[IncrementRow.model_validate_json(text) for text in frame["row"]] for frame in frames]
        origins = [[use.origin for trial in rows for use in trial[t].stages] for t in range(4)]
        assert [found.count("trained") for found in origins] == trained


@pytest.mark.parametrize("stages_survive", [True, False])
def test_restored_trainable_goes_on_at_the_right_increment(ray_here: Any, tmp_path: Path, stages_survive: bool) -> None:
    """Ray's checkpoint is a pointer: where the stages are gone, they are trained again, to the same rows."""
    from tune_cl.engine import ChainTrainable
    from tune_cl.streams import open_stream

    run = tune_cl.configure("finetune", overrides=CHANGES)
    given = {"stream": open_stream(run.stream), "base": run}
    whole = [row.comparable() for row in tune_cl.run_chain(run, stages=tmp_path / "alone")]

    first = started(ChainTrainable, run, stages=str(tmp_path / "stages"), **given)
    rows = [row_of(first.train()), row_of(first.train())]
    saved = tmp_path / "checkpoint"
    first.save(str(saved))
    first.stop()
    assert sum(file.stat().st_size for file in saved.rglob("*") if file.is_file()) < 10_000

    second = started(ChainTrainable, run, stages=str(tmp_path / ("stages" if stages_survive else "elsewhere")), **given)
    second.restore(str(saved))
    while True:
        result = second.train()
        rows.append(row_of(result))
        if result["done"]:
            break
    second.stop()
    assert rows == whole


def test_load_refuses_what_a_search_did_not_write(tmp_path: Path) -> None:
    with pytest.raises(tune_cl.TuneCLError, match="no such file"):
        tune_cl.load(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"something else")
    with pytest.raises(tune_cl.TuneCLError, match="not a classifier"):
        tune_cl.load(tmp_path / "weights.pt")


def test_importing_tune_cl_needs_neither_ray_nor_torch() -> None:
    import subprocess

    check = "import sys, tune_cl; print([m for m in ('ray', 'torch', 'optuna', 'wandb') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []


def started(kind: Any, run: RunConfig, **parameters: Any) -> Any:
    """A Trainable as Ray's worker makes it."""
    from ray.tune.trainable import Trainable

    class Given(kind):
        def setup(self, config: dict[str, Any]) -> None:
            super().setup(config, **parameters)

    trainable = Given(config={})
    assert isinstance(trainable, Trainable)
    return trainable


def row_of(result: dict[str, Any]) -> dict[str, Any]:
    """The comparable part of the row in a result."""
    from tune_cl.records import IncrementRow

    return IncrementRow.model_validate_json(result["row"]).comparable()
