"""`tune-cl sweep`: a space becomes a W&B sweep file and a sweep file a space; what is lost is said."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tune_cl.api.asked import what_is_asked
from tune_cl.cli.main import main
from tune_cl.options import SearchOptions

RATE = "increment.classifier.learning_rate"
LOSS = "increment.classifier.loss"


def asked(space: object, **options: Any) -> Any:
    return what_is_asked(SearchOptions(str(space), **options), None)


def sweep(path: Path, **content: Any) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(("space", "budget"), [("genifer", "quick"), ("lwf", "full"), ("lucir", "quick")])
def test_space_comes_back_from_its_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], space: str, budget: str
) -> None:
    there, back = str(tmp_path / "sweep.yaml"), str(tmp_path / "space.yaml")
    changes = ["--set", "base.classifier.epochs=3", "--set", f"{RATE}={{log: [1e-4, 3e-2]}}"]
    assert main(["sweep", "export", space, "--budget", budget, "--output", there, *changes]) == 0
    said = capsys.readouterr().err
    assert main(["sweep", "import", there, "--output", back]) == 0
    before = asked(space, budget=budget, overrides={"base.classifier.epochs": 3, RATE: {"log": [1e-4, 3e-2]}})
    after = asked(back)
    assert set(after.space.ranges) == set(before.space.ranges)
    for path, range_ in before.space.ranges.items():
        assert (after.space.ranges[path].kind, after.space.ranges[path].values) == (range_.kind, range_.values)
        assert (f"{path}: a sweep has no conditions" in said) == any(
            parent in before.space.ranges for parent, _ in range_.when
        )
    assert (after.space.fixed, after.space.default) == (before.space.fixed, before.space.default)
    assert after.option == before.option


def test_sweep_file_is_what_wandb_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "export", "lwf", "--set", f"{LOSS}={{choice: [ce, relaxed], default: ce}}"]) == 0
    out, err = capsys.readouterr()
    content = yaml.safe_load(out)
    assert (content["method"], content["run_cap"]) == ("bayes", 8)
    assert content["metric"] == {"name": "val/average_incremental_accuracy", "goal": "maximize"}
    assert content["parameters"]["method"] == {"value": "lwf"}
    assert content["parameters"][LOSS] == {"values": ["ce", "relaxed"]}
    assert content["parameters"][RATE]["distribution"] == "log_uniform_values"
    assert content["early_terminate"]["type"] == "hyperband"
    said = [line.removeprefix("not expressed: ").partition(":")[0] for line in err.splitlines()]
    assert {"trial 0", "sampler auto", "scheduler halving", "program"} <= set(said)


def test_condition_and_prior_are_said_to_be_lost(capsys: pytest.CaptureFixture[str]) -> None:
    epsilon = "increment.classifier.epsilon"
    range_ = f"{epsilon}={{log: [1e-6, 1], when: {{{LOSS}: relaxed}}, prior: 1e-3}}"
    choice = f"{LOSS}={{choice: [ce, relaxed], default: ce}}"
    assert main(["sweep", "export", "lwf", "--set", choice, "--set", range_]) == 0
    err = capsys.readouterr().err
    assert f"{epsilon}: a sweep has no conditions" in err and f"only when {LOSS} is relaxed" in err
    assert f"{epsilon}: a sweep has no priors" in err


def test_foreign_sweep_becomes_a_space_and_what_is_none_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sweep(
        tmp_path / "sweep.yaml",
        program="train.py",
        method="grid",
        metric={"name": "val_loss", "goal": "minimize"},
        parameters={
            "increment": {
                "parameters": {
                    "classifier": {
                        "parameters": {
                            "learning_rate": {"distribution": "log_uniform", "min": -9, "max": -7},
                            "weight_kd": {"distribution": "normal", "mu": 1, "sigma": 1},
                            "epochs": {"min": 2, "max": 9},
                        }
                    }
                }
            },
            "lr": {"values": [1, 2]},
            LOSS: {"values": ["ce", "relaxed"], "probabilities": [0.9, 0.1]},
        },
    )
    out = tmp_path / "space.yaml"
    assert main(["sweep", "import", str(file), "--space", "lwf", "--output", str(out)]) == 0
    err = capsys.readouterr().err
    for word in (
        "program: ",
        "method grid: ",
        "val_loss",
        "weight_kd: a range has two ends",
        "lr: no such",
        "probabil",
    ):
        assert word in err
    found = asked(out).space
    low, high = found.ranges[RATE].values
    assert (low, high) == (pytest.approx(1.234e-4, rel=1e-3), pytest.approx(9.119e-4, rel=1e-3))
    assert found.ranges["increment.classifier.epochs"].kind == "int"
    assert low <= found.default[RATE] <= high
    assert set(found.ranges) == {RATE, LOSS, "increment.classifier.epochs"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["exprot", "lwf"], "did you mean 'export'"),
        (["import", "{file}"], "names no method; name the space that it is imported into, such as --space lwf"),
        (["import", "{file}", "--space", "lwf"], f"sweep.yaml: {RATE}: log: 0 has no logarithm"),
        (["import", "{file}", "--space", "lfw"], "did you mean 'lwf.yaml'"),
        (["import", "nowhere.yaml"], "no such file"),
        (["export", "lwf", "--space", "lwf"], "--space is an option of import"),
        (["export", "lfw"], "did you mean 'lwf.yaml'"),
    ],
)
def test_bad_input_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    file = sweep(tmp_path / "sweep.yaml", parameters={RATE: {"distribution": "log_uniform_values", "min": 0, "max": 1}})
    assert main(["sweep", *(word.format(file=file) for word in argv)]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1
