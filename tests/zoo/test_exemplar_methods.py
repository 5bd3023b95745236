"""Exemplar methods: what they refuse and what they leave alone, balanced finetuning, and budgets."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tiny_phases import phase_data, phase_of, run_phase, same, subtree

from tune_cl.methods import PhaseResult, Sizes, get_method
from tune_cl.nets import Component
from tune_cl.streams import ClassUniform, RandomKey
from tune_cl.training._batches import RealBatches

EXEMPLAR_METHODS = ("il_baseline", "icarl", "lucir", "podnet")
LINEAR = ("il_baseline", "icarl")
SGD = {"optimizer": "sgd", "schedule": "constant", "epochs": 2}
each_method = pytest.mark.parametrize("host", EXEMPLAR_METHODS)


@cache
def before(host: str, size: int = 3) -> Mapping[str, Component]:
    """The state at the end of an exemplar method's base task."""
    state: dict[str, Component] = {}
    scale = {"scale": 4.0} if host in ("lucir", "podnet") else {}
    state.update(run_phase(host, 0, "classifier", state, scale).changed)
    state.update(run_phase(host, 0, "memory", state, {"size": size}).changed)
    return state


def train(host: str, loss: str, size: int = 3, **changes: Any) -> PhaseResult:
    return run_phase(host, 1, "classifier", before(host, size), {**SGD, "loss": loss, **changes})


def moved(before: Mapping[str, Component], after: Mapping[str, Component]) -> set[str]:
    """Tensors of the classifier that changed."""
    old, new = before["classifier"].tensors, after["classifier"].tensors
    return {name for name in old if not torch.equal(old[name], new[name])}


@each_method
def test_the_next_increment_distils_raw_logits_after_a_post_hoc_adjustment(host):
    results = []
    for loss in ("ce", "posthoc"):
        state = {**before(host), **train(host, loss).changed}
        state.update(run_phase(host, 1, "memory", state).changed)
        results.append(run_phase(host, 2, "classifier", state, {**SGD, "loss": "ce"}))
    assert same(results[0].changed["classifier"], results[1].changed["classifier"])


@each_method
@pytest.mark.parametrize("loss", ["balanced", "relaxed", "posthoc"])
def test_a_class_balanced_sampler_on_top_of_a_balanced_loss_is_refused(host, loss):
    with pytest.raises(ValidationError, match="over-balances; set sampler: shuffled, or loss: ce"):
        subtree(host, "increment.classifier", {"loss": loss, "sampler": "class_balanced"})
    subtree(host, "increment.classifier", {"loss": "ce", "sampler": "class_balanced"})


@each_method
def test_balanced_finetuning_after_a_post_hoc_adjustment_is_refused(host):
    changes = {"increment": {"classifier": {"loss": "posthoc"}, "finetune": {"epochs": 5}}}
    with pytest.raises(ValidationError, match=r"the same bias twice: set increment\.finetune\.epochs: 0"):
        get_method(host).config.model_validate(changes)


@pytest.mark.parametrize("host", ["lucir", "podnet"])
def test_old_rows_of_the_head_stay_bit_for_bit_where_they_are_frozen(host):
    old = before(host)["classifier"].tensors["head.weight"]
    frozen, trained = (train(host, "balanced", old_head=choice) for choice in ("frozen", "trained"))
    assert torch.equal(frozen.changed["classifier"].tensors["head.weight"][:4], old)
    assert not torch.equal(trained.changed["classifier"].tensors["head.weight"][:4], old)
    assert "head.scale" in moved(before(host), frozen.changed)


@each_method
def test_balanced_finetuning_trains_the_head_alone_on_as_many_images_of_each_class(host, monkeypatch):
    drawn = []
    draw = RealBatches.draw

    def spy(self, step):
        images, labels = draw(self, step)
        drawn.append(labels)
        return images, labels

    state = {**before(host), **train(host, "ce").changed}
    monkeypatch.setattr(RealBatches, "draw", spy)
    result = run_phase(host, 1, "finetune", state, {"epochs": 1, "batch_size": 9, "batch_norm": "eval"})
    assert torch.bincount(torch.cat(drawn)).tolist() == [3] * 6
    assert moved(state, result.changed) == {"head.weight"} | ({"head.bias"} if host in LINEAR else set())
    assert result.images_trained == 18


@pytest.mark.parametrize("host", ["lucir", "podnet"])
def test_finetuning_trains_the_scale_and_the_statistics_of_batch_norm_where_it_is_told_to(host):
    state = {**before(host), **train(host, "ce").changed}

    def what_moves(**changes: Any) -> set[str]:
        return moved(state, run_phase(host, 1, "finetune", state, {"epochs": 1, **changes}).changed)

    assert "head.scale" in what_moves(scale="trained") and "head.scale" not in what_moves(scale="frozen")
    statistics = {name for name in state["classifier"].tensors if "running" in name or "num_batches" in name}
    assert what_moves(batch_norm="train") - what_moves(batch_norm="eval") == statistics
    assert what_moves() & statistics == (statistics if host == "podnet" else set())  # PODNet's released code


@each_method
def test_balanced_finetuning_of_no_epochs_is_no_stage(host):
    method = get_method(host)
    for epochs, expected in ((0, ["classifier", "memory"]), (3, ["classifier", "finetune", "memory"])):
        config = method.config.model_validate({"increment": {"finetune": {"epochs": epochs}}})
        assert [phase.name for phase in method.phases(config, 1, 3)] == expected


@each_method
def test_a_small_balanced_set_is_passed_over_until_the_least_number_of_steps(host):
    state = {**before(host), **train(host, "ce").changed}
    changes = {"epochs": 2, "batch_size": 8, "minimum_steps": 10}  # 18 images: 3 steps in a pass
    result = run_phase(host, 1, "finetune", state, changes)
    sizes = Sizes(new=(16, 16), n_old=4, memory=12)
    planned = phase_of(host, 1, "finetune").images(subtree(host, "increment.finetune", changes), sizes)
    assert result.images_trained == planned == 12 * 8
    result = run_phase(host, 1, "finetune", state, {**changes, "minimum_steps": 6})
    assert result.images_trained == 6 * 8


WITHOUT = {"base": {"memory": {"size": 0}}}


@each_method
def test_without_a_memory_there_are_no_exemplars_no_class_means_and_no_such_phases(host):
    method = get_method(host)
    config = method.config.model_validate(
        {**WITHOUT, "increment": {"classifier": {"loss": "relaxed"}, "finetune": {"epochs": 0}}}
    )
    assert [phase.name for phase in method.phases(config, 0, 3)] == ["classifier"]
    assert [phase.name for phase in method.phases(config, 1, 3)] == ["classifier"]
    assert not method.nearest_mean(config) and method.nearest_mean(method.config())
    assert method.sizes(config, old=[16] * 4, new=[16] * 2).memory == 0


@each_method
@pytest.mark.parametrize(
    ("increment", "message"),
    [
        (
            {"classifier": {"loss": "balanced"}},
            "counts the old classes' exemplars.*set increment.classifier.loss: relaxed",
        ),
        (
            {"classifier": {"loss": "posthoc"}},
            "counts the old classes' exemplars.*set increment.classifier.loss: relaxed",
        ),
        ({"classifier": {"sampler": "class_balanced"}}, "draws the old classes' exemplars.*set sampler: shuffled"),
        ({"finetune": {"epochs": 1}}, "trains on the old classes' exemplars.*set increment.finetune.epochs: 0"),
    ],
)
def test_what_needs_exemplars_says_so_where_none_are_kept(host, increment, message):
    given = {"finetune": {"epochs": 0}, **increment}
    with pytest.raises(ValidationError, match=message):
        get_method(host).config.model_validate({**WITHOUT, "increment": given})


@each_method
def test_without_a_memory_an_increment_trains_on_its_own_images_alone(host):
    state = {"classifier": before(host)["classifier"]}
    result = run_phase(host, 1, "classifier", state, {**SGD, "loss": "relaxed"})
    assert result.images_trained == 2 * 32  # 2 x 16 images in batches of 8
    assert all(tensor.isfinite().all() for tensor in result.changed["classifier"].tensors.values())


def test_il_baseline_without_a_memory_and_with_a_fixed_weight_is_learning_without_forgetting():
    base = run_phase("lwf", 0, "classifier", {})
    same_settings = {
        **SGD,
        "loss": "relaxed",
        "epsilon": 0.2,
        "weight_kd": 3.0,
        "temperature": 1.5,
        "weight_decay": 0.0,
    }
    ours = run_phase("il_baseline", 1, "classifier", base.changed, {**same_settings, "weighting": "fixed"})
    theirs = run_phase("lwf", 1, "classifier", base.changed, same_settings)
    assert same(ours.changed["classifier"], theirs.changed["classifier"])


def test_a_class_balanced_sampler_draws_each_class_equally_often():
    labels = torch.tensor([0] * 90 + [1] * 9 + [2])
    sampler = ClassUniform(labels, 3000, RandomKey(0, 1, "classifier"), "order")
    counts = torch.bincount(labels[sampler.indices(0)]) / 3000
    assert counts.tolist() == pytest.approx([1 / 3] * 3, abs=0.04)
    assert not torch.equal(sampler.indices(0), sampler.indices(1))
    assert torch.equal(
        sampler.indices(5), ClassUniform(labels, 3000, RandomKey(0, 1, "classifier"), "order").indices(5)
    )


@each_method
def test_each_image_trains_once_an_epoch_memory_included(host):
    phase = phase_of(host, 1, "classifier")
    config = subtree(host, "increment.classifier", SGD)
    result = train(host, "ce")
    sizes = get_method(host).sizes(
        get_method(host).config.model_validate({"base": {"memory": {"size": 3}}}), old=[16] * 4, new=[16] * 2
    )
    assert sizes.memory == 12
    assert result.images_trained == phase.images(config, sizes) == 2 * 48  # 44 images in batches of 8


def test_icarl_refuses_sigmoids_on_top_of_a_softmax_base_and_the_reverse():
    config = get_method("icarl").config
    with pytest.raises(ValidationError, match=r"set base\.classifier\.loss: bce"):
        config.model_validate({"increment": {"classifier": {"loss": "bce"}}})
    with pytest.raises(ValidationError, match=r"set base\.classifier\.loss: ce"):
        config.model_validate({"base": {"classifier": {"loss": "bce"}}})


def test_a_memory_host_never_gets_the_past():
    for host in EXEMPLAR_METHODS:
        assert not any(phase.sees_past for phase in (*get_method(host).base, *get_method(host).increment))
        assert phase_data(1, memory=before(host)["memory"]).past is None
