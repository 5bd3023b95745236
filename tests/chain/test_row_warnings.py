"""Rows say where nothing was learned, and hold what a phase measured."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_chains import TIMES, rows_of, run_config, tiny_stream

import tune_cl.methods as methods_room
from tune_cl.chain import Chain, chance_warning
from tune_cl.errors import TuneCLError
from tune_cl.methods import Diverged, Method, Phase, PhaseResult, get_method, register
from tune_cl.nets import Component
from tune_cl.records import IncrementRow
from tune_cl.store import StageStore

BASE, FINETUNE = get_method("finetune").base[0], get_method("finetune").increment[0]


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(methods_room.METHODS, "_members", dict(methods_room.METHODS._members))
    yield


class Changed:
    """A phase of the package whose result is another."""

    def __init__(self, phase: Phase, **changes: Any) -> None:
        self.phase, self.changes = phase, changes

    def __call__(self, *given: Any) -> Any:
        result = self.phase.run(*given)
        changes = {name: make(result) if callable(make) else make for name, make in self.changes.items()}
        return replace(result, **changes)


def method_of(base: dict[str, Any] | None = None, increment: dict[str, Any] | None = None, **fields: Any) -> Method:
    """Fine-tuning whose phases hand back something else in places."""

    def phase(like: Phase, changes: dict[str, Any] | None) -> Phase:
        return like if changes is None else replace(like, kind="changed", run=Changed(like, **changes), **fields)

    return replace(
        get_method("finetune"), name="changed", base=(phase(BASE, base),), increment=(phase(FINETUNE, increment),)
    )


def rows(method: Method | None, stages: Path, horizon: int = 1, **given: Any) -> list[IncrementRow]:
    """The rows of a chain that learns something: twenty passes over few images."""
    if method is not None:
        register(method)
    changes = {"base.classifier.epochs": 20, "base.classifier.width": 8, "base.classifier.optimizer": "adamw"}
    changes |= {"base.classifier.learning_rate": 0.01, **given}
    run = run_config("finetune" if method is None else method.name, changes, horizon=horizon)
    return rows_of(Chain(run, tiny_stream(), StageStore(stages, TIMES), node="here"))


def test_a_chain_that_learns_has_no_warnings(tmp_path: Path):
    learnt = rows(None, tmp_path)
    assert learnt[0].metrics["val/accuracy"] > 0.5  # type: ignore[operator]
    assert [row.warnings for row in learnt] == [[], []]


def test_a_base_at_chance_is_told_by_its_own_stage_and_by_the_reused_one(tmp_path: Path):
    still = {"base.classifier.learning_rate": 1e-9, "base.classifier.epochs": 1}
    first = rows(None, tmp_path, **still)
    (warning,) = first[0].warnings
    assert warning.startswith("accuracy 0.") and " on 4 classes is not above chance (0.2500; " in warning
    assert "of 16 validation images)" in warning
    assert first[0].told_warnings() == [f"increment 0: {warning}"]
    again = rows(None, tmp_path, **still)
    assert again[0].stages[0].origin == "reused" and [r.warnings for r in again] == [r.warnings for r in first]


@pytest.mark.parametrize("term", ["ce", "nca", "bce"])
def test_a_classification_loss_of_exactly_zero_is_told_and_other_terms_may_be_zero(tmp_path: Path, term: str):
    others = {"ranking": 0.0, "kd": 0.0}
    changed = method_of(increment={"losses": {term: 0.0, **others}})
    row = rows(changed, tmp_path)[1]
    assert row.warnings == [
        f"the classifier phase ended with a loss {term} of exactly 0, from which nothing is learned"
    ]
    assert rows(None, tmp_path)[1].warnings == []


def test_a_phase_may_name_its_own_classification_losses(tmp_path: Path):
    own = method_of(increment={"losses": {"mine": 0.0, "ce": 0.0}}, classification=("mine",))
    (warning,) = rows(own, tmp_path)[1].warnings
    assert "a loss mine of exactly 0" in warning


def test_a_tiny_loss_is_none_of_exactly_zero(tmp_path: Path):
    assert rows(method_of(increment={"losses": {"ce": 1e-30}}), tmp_path)[1].warnings == []


@pytest.mark.parametrize(("scale", "warned"), [(-9.7, True), (0.0, True), (0.01, False)])
def test_a_learned_scale_that_is_not_above_zero_is_told(tmp_path: Path, scale: float, warned: bool):
    method = get_method("lucir")

    def scaled(result: PhaseResult) -> dict[str, Component]:
        part = result.changed["classifier"]
        return {"classifier": Component(part.kind, part.settings, {**part.tensors, "head.scale": torch.tensor(scale)})}

    base = replace(method.base[0], kind="scaled", run=Changed(method.base[0], changed=scaled))
    register(replace(method, name="scaled", base=(base, *method.base[1:])))
    chain = Chain(run_config("scaled", horizon=1), tiny_stream(), StageStore(tmp_path, TIMES), node="here")
    told = [warning for warning in chain.advance().row.warnings if "scale" in warning]
    assert bool(told) == warned
    assert all(f"the classifier phase ended with a learned scale of {scale:.3g};" in warning for warning in told)


@pytest.mark.parametrize(("n", "classes"), [(40, 4), (400, 4), (500, 50), (2000, 2)])
def test_guessing_is_warned_of_and_what_is_clearly_above_it_is_not(n: int, classes: int):
    """A thousand classifiers that guess: 99 % are told; one four standard deviations above chance is not."""
    images = [n // classes] * classes
    guesses = np.random.default_rng(0).binomial(n, 1 / classes, 1000)
    told = sum(chance_warning(int(right), images) is not None for right in guesses)
    assert told >= 980
    deviation = (n * (1 / classes) * (1 - 1 / classes)) ** 0.5
    assert chance_warning(round(n / classes + 4 * deviation) + 1, images) is None
    assert chance_warning(n, images) is None and chance_warning(0, images) is not None


def test_chance_is_that_of_the_largest_class_and_one_class_has_none():
    assert chance_warning(90, [90, 5, 5]) is not None, "always the largest one"
    assert chance_warning(99, [90, 5, 5]) is None
    assert chance_warning(40, [40]) is None


def test_what_a_phase_measures_is_in_the_row_under_its_name(tmp_path: Path):
    measured = method_of(increment={"metrics": {"buffer": 120, "der/kept": np.float32(0.5), "replay_accuracy": 0.25}})
    first, second = rows(measured, tmp_path)
    assert second.measured() == {"classifier/buffer": 120.0, "classifier/der/kept": 0.5} and first.measured() == {}
    assert second.metrics["replay_accuracy"] == 0.25 and "classifier/replay_accuracy" not in second.metrics
    again = rows(None, tmp_path / "other")[1]
    assert set(second.metrics) - set(again.metrics) == {"classifier/buffer", "classifier/der/kept"}
    reread = IncrementRow.model_validate_json(second.model_dump_json())
    assert reread == second and reread.comparable()["metrics"]["classifier/buffer"] == 120.0


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"metrics": {"x": "1"}}, r"metrics\['x'\] is a str; write float"),
    "tensor": ({"metrics": {"x": torch.tensor(1.0)}}, r"metrics\['x'\] is a Tensor; write float"),
    "bool": ({"metrics": {"x": True}}, r"metrics\['x'\] is a bool"),
    "none": ({"metrics": {"x": None}}, r"metrics\['x'\] is a NoneType"),
    "nan": ({"metrics": {"x": float("nan")}}, r"metrics\['x'\] is nan; a metric must be finite"),
    "name": ({"metrics": {1: 1.0}}, "metrics has the name 1"),
    "list": ({"metrics": [1.0]}, "metrics is a list; it must be a dictionary"),
    "loss": ({"losses": {"ce": "0.1"}}, r"losses\['ce'\] is a str"),
    "component": ({"changed": {"classifier": 3}}, r"changed\['classifier'\] is a int, not a tune_cl.nets.Component"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_result_that_cannot_be_stored_is_refused_in_a_sentence_that_names_the_phase(tmp_path: Path, case: str):
    changes, words = BAD[case]
    with pytest.raises(TuneCLError, match=rf"^phase 'classifier' \(changed\): {words}"):
        rows(method_of(increment=changes), tmp_path)


def test_a_mean_loss_that_is_not_finite_has_diverged_and_no_stage_of_it_is_stored(tmp_path: Path):
    with pytest.raises(Diverged, match=r"phase 'classifier' \(changed\): the mean of its loss 'ce'.*not finite"):
        rows(method_of(increment={"losses": {"ce": float("inf")}}), tmp_path)
    assert len(list(tmp_path.glob("??/*/stage.json"))) == 1, "that of the base"


def test_a_phase_that_returns_something_else_is_refused(tmp_path: Path):
    nothing = replace(FINETUNE, kind="nothing", run=lambda *given: None)
    with pytest.raises(TuneCLError, match=r"phase 'classifier' \(nothing\): returns a NoneType; it must return"):
        rows(replace(get_method("finetune"), name="nothing", increment=(nothing,)), tmp_path)


def test_rows_that_were_written_before_there_were_warnings_are_read(tmp_path: Path):
    row = rows(None, tmp_path)[0]
    old = row.model_dump()
    del old["warnings"]
    assert IncrementRow.model_validate(old) == row
