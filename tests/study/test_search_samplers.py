import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from pydantic import model_validator
from search_trees import (
    AUGMENTATION,
    GAMMA,
    LABELS,
    LOSS,
    LR,
    STEPS,
    Config,
    quality,
    resolved,
    run_all,
    settings,
    space_dict,
    write_space,
)

from tune_cl.errors import TuneCLError
from tune_cl.methods import Settings, get_method, parameter
from tune_cl.study import Proposal, SearchSpace, Study, load_space, resolve, unreachable_values
from tune_cl.study._samplers import startup_trials


def proposals(folder: Path, name: str, content: dict[str, Any] | None = None, **changes: Any) -> list[dict[str, Any]]:
    """The parameters of all trials of a whole search."""
    study = Study.open(folder / f"{name}.journal", name, resolved(folder, content or space_dict()), settings(**changes))
    run_all(study)
    return [trial.parameters for trial in study.trials()]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_search_twice_proposes_the_same(tmp_path: Path, sampler: str) -> None:
    assert proposals(tmp_path, "one", sampler=sampler) == proposals(tmp_path, "two", sampler=sampler)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_another_search_seed_proposes_otherwise_except_for_the_default(tmp_path: Path, sampler: str) -> None:
    one = proposals(tmp_path, "one", sampler=sampler)
    two = proposals(tmp_path, "two", sampler=sampler, search_seed=1)
    assert one[0] == two[0]
    assert all(a != b for a, b in zip(one[1:], two[1:], strict=True))


def test_proposals_do_not_depend_on_the_hash_seed_of_the_process(tmp_path: Path) -> None:
    # Optuna's grouped TPE keeps sets of names, whose order changes with every process.
    script = (
        "import sys, pathlib; from test_search_samplers import proposals\n"
        "print(proposals(pathlib.Path(sys.argv[1]), sys.argv[2]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), f"seed-{seed}"],
            env={**environment, "PYTHONHASHSEED": str(seed)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert printed[0] == printed[1] == f"{proposals(tmp_path, 'here')}\n"


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_every_proposal_lies_in_its_range_and_conditional_parameters_come_only_where_they_count(
    tmp_path: Path, sampler: str
) -> None:
    space = resolved(tmp_path, space_dict())
    drawn = proposals(tmp_path, "one", sampler=sampler, trials=40)
    for parameters in drawn:
        assert all(space.ranges[path].contains(value) for path, value in parameters.items())
        assert (GAMMA in parameters) == (parameters[AUGMENTATION] != "off")
        assert parameters.keys() >= {LR, STEPS, AUGMENTATION}
    assert {parameters[AUGMENTATION] for parameters in drawn} == {"off", "fixed", "adaptive"}
    assert len({parameters[LR] for parameters in drawn}) == 40


def test_random_proposals_depend_on_seed_and_number_only(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict())
    finished = proposals(tmp_path, "finished", sampler="random")
    failing = Study.open(tmp_path / "failing.journal", "failing", space, settings(sampler="random"))
    while (proposal := failing.ask()) is not None:
        failing.tell_failed(proposal.number, "no reason")
    running = Study.open(tmp_path / "running.journal", "running", space, settings(sampler="random"))
    while running.ask() is not None:
        pass
    assert [t.parameters for t in failing.trials()] == finished
    assert [t.parameters for t in running.trials()] == finished


def test_tpe_is_random_until_enough_trials_are_told_and_counts_stopped_but_not_failed_ones(tmp_path: Path) -> None:
    # With 6 trials, TPE takes over after 2 told ones (a third).
    space = resolved(tmp_path, space_dict())
    at_random = proposals(tmp_path, "random", sampler="random", trials=6)

    def third(name: str, end_of_second: str) -> dict[str, Any]:
        study = Study.open(tmp_path / f"{name}.journal", name, space, settings(trials=6))
        for number in (0, 1):
            proposal = study.ask()
            assert proposal is not None
            for increment in range(4):
                study.report(number, increment, quality(proposal.configuration, increment))
            if number == 0 or end_of_second == "finished":
                study.tell_finished(number)
            elif end_of_second == "stopped":
                study.tell_stopped(number)
            else:
                study.tell_failed(number, "no reason")
        proposal = study.ask()
        assert proposal is not None
        return proposal.parameters

    assert third("failed", "failed") == at_random[2]
    assert third("stopped", "stopped") != at_random[2]
    assert third("finished", "finished") != at_random[2]


def test_tpe_learns_from_the_values_of_stopped_trials(tmp_path: Path) -> None:
    space = resolved(tmp_path, space_dict({LR: {"log": [1e-5, 1e-1]}}))

    def next_rate(name: str, good_below: float) -> float:
        """Eleven trials, all but the default stopped; those below a learning rate got further before they were."""
        study = Study.open(tmp_path / f"{name}.journal", name, space, settings(trials=30, sampler="tpe"))
        for number in range(12):
            proposal = study.ask()
            assert proposal is not None
            study.report(number, 0, 0.5)
            if number == 0:
                study.tell_failed(number, "out of the way")
                continue
            if (proposal.parameters[LR] < 1e-3) == (good_below > 0):
                study.report(number, 1, 0.9)
            study.tell_stopped(number)
        proposal = study.ask()
        assert proposal is not None
        return float(proposal.parameters[LR])

    assert next_rate("low", 1.0) != next_rate("high", -1.0)


def test_start_up_takes_at_most_a_third_of_a_search_but_two() -> None:
    assert [startup_trials(trials) for trials in (1, 6, 8, 9, 12, 30, 300)] == [2, 2, 2, 3, 4, 10, 10]
    assert all(startup_trials(trials) <= trials / 3 for trials in range(6, 200))


def test_sampling_warns_of_nothing_and_logs_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proposals(tmp_path, "quiet")
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before


def test_combinations_that_the_method_refuses_are_drawn_again_and_cost_no_trial(tmp_path: Path) -> None:
    parameters = {LOSS: {"choice": ["ce", "balanced"]}, LABELS: {"choice": ["soft", "hard"]}}
    drawn = proposals(tmp_path, "one", space_dict(parameters), sampler="random", trials=30)
    assert len(drawn) == 30
    pairs = {(p[LOSS], p[LABELS]) for p in drawn}
    assert pairs == {("ce", "soft"), ("ce", "hard"), ("balanced", "hard")}


class Fussy(Settings):
    x: float = parameter(0.5, "A number.", source="test", ge=0, le=1)

    @model_validator(mode="after")
    def _only_a_half(self) -> "Fussy":
        if self.x != 0.5:
            raise ValueError("x must be a half")
        return self


def test_a_space_of_which_only_the_default_is_allowed_is_refused_before_anything_begins(tmp_path: Path) -> None:
    file = write_space(tmp_path, space_dict({"x": {"uniform": [0, 1]}}))
    space = resolve(file, config=Fussy, scale="small28", budget="quick", overrides={})
    message = r"toy.yaml: nothing but the default is allowed by the method, since x must be a half; widen"
    with pytest.raises(TuneCLError, match=message):
        unreachable_values(space)
    study = Study.open(tmp_path / "s.journal", "s", space, settings(trials=3))
    run_all_alike(study)
    assert [trial.parameters for trial in study.trials()] == [{"x": 0.5}] * 3, "and never ends in an exception"


def run_all_alike(study: Study) -> None:
    while isinstance(proposal := study.ask(), Proposal):
        study.report(proposal.number, 3, 0.5)
        study.tell_finished(proposal.number)


NETWORKS = {
    "base.classifier.network": {"choice": ["small_cnn", "resnet18"], "default": "small_cnn"},
    "base.classifier.epochs": 1,
    "increment.classifier.epochs": 1,
}


def networks(**changes: Any) -> SearchSpace:
    file, method = load_space("finetune"), get_method("finetune")
    return resolve(file, config=method.config, scale="small28", budget="quick", overrides={**NETWORKS, **changes})


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("limit", [None, 1, 3])
def test_a_choice_that_the_method_never_allows_ends_no_search(tmp_path: Path, sampler: str, limit: int | None) -> None:
    space = networks()  # resnet18 has width 64 alone, and the width here is fixed at 16
    for seed in range(10):
        changes = {"search_seed": seed, "sampler": sampler, "trials": 8, "base_configurations": limit}
        study = Study.open(tmp_path / f"{seed}.journal", "s", space, settings(**changes))
        for _ in range(8):
            run_by_rate(study)
        assert study.ask() is None
        trials = study.trials()
        assert [trial.state for trial in trials] == ["finished"] * 8
        assert {trial.parameters["base.classifier.network"] for trial in trials} == {"small_cnn"}
        assert len({trial.parameters["increment.classifier.learning_rate"] for trial in trials}) == 8


def run_by_rate(study: Study) -> None:
    """Run a trial whose value is better with a learning rate near 0.003."""
    proposal = study.ask()
    assert isinstance(proposal, Proposal)
    rate = proposal.configuration["increment"]["classifier"]["learning_rate"]
    study.report(proposal.number, 3, 1 - abs(math.log10(rate) + 2.5))
    study.tell_finished(proposal.number)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_choice_that_is_allowed_with_one_value_of_another_is_found_and_no_refused_pair_begins(
    tmp_path: Path, sampler: str
) -> None:
    space = networks(**{"base.classifier.width": {"choice": [8, 16, 32, 64], "default": 16}})
    assert unreachable_values(space) == []
    settled = set()
    for seed in range(4):
        study = Study.open(
            tmp_path / f"{seed}.journal", "s", space, settings(search_seed=seed, sampler=sampler, trials=12)
        )
        for _ in range(12):
            run_by_rate(study)
        settled |= {
            (t.parameters["base.classifier.network"], t.parameters["base.classifier.width"]) for t in study.trials()
        }
    assert ("resnet18", 64) in settled
    assert {width for network, width in settled if network == "resnet18"} == {64}


def test_where_nearly_nothing_is_allowed_proposals_are_settled_with_what_is(tmp_path: Path) -> None:
    file = write_space(tmp_path, space_dict({"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}}))
    space = resolve(file, config=HalfFussy, scale="small28", budget="quick", overrides={})
    for sampler in ("tpe", "random"):
        studies = []
        for name in ("whole", "cut"):
            path = tmp_path / f"{sampler}-{name}.journal"
            study = Study.open(path, "s", space, settings(trials=6, sampler=sampler))
            while isinstance(proposal := study.ask(), Proposal):
                study.report(proposal.number, 3, proposal.configuration["y"])
                study.tell_finished(proposal.number)
                if name == "cut":
                    study = Study.open(path, "s", space, settings(trials=6, sampler=sampler))
            studies.append(study.trials())
        assert studies[0] == studies[1], "a function of seed, number and history"
        assert {trial.parameters["x"] for trial in studies[0]} == {0.5}
        assert len({trial.parameters["y"] for trial in studies[0]}) == 6


class HalfFussy(Fussy):
    y: float = parameter(0.5, "Another number.", source="test", ge=0, le=1)


def test_a_choice_that_can_never_be_allowed_is_named_with_the_reason() -> None:
    (found,) = unreachable_values(networks())
    assert str(found).startswith("base.classifier.network: resnet18 is never allowed here (")
    assert "network 'resnet18' has width 64, not 16" in str(found)
    wide = networks(**{"base.classifier.width": {"int": [1, 1024], "default": 16}})
    assert unreachable_values(wide) == [], "64 is one of a thousand widths"


def test_configurations_are_those_of_the_method(tmp_path: Path) -> None:
    study = Study.open(tmp_path / "s.journal", "s", resolved(tmp_path, space_dict()), settings())
    while (proposal := study.ask()) is not None:
        assert Config.model_validate(proposal.configuration).model_dump() == proposal.configuration
