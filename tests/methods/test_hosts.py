"""The Balanced Softmax family inside each host with a memory: limits, identities, and what a prior must not touch."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_phases import phase_context, phase_data, phase_of, run_phase, same, subtree

from tune_cl.methods import PhaseResult, _hosts, get_method
from tune_cl.methods._batches import RealBatches
from tune_cl.methods._prior import PriorParameters, posthoc_adjustment, training_prior
from tune_cl.nets import Component, build_classifier
from tune_cl.streams import ClassUniform, Place, join

HOSTS = ("il_baseline", "icarl", "lucir", "podnet")
SGD = {"optimizer": "sgd", "schedule": "constant", "epochs": 2}
each_host = pytest.mark.parametrize("host", HOSTS)


@cache
def before(host: str, size: int = 3) -> Mapping[str, Component]:
    """The state at the end of a host's base task."""
    state: dict[str, Component] = {}
    scale = {"scale": 4.0} if host in ("lucir", "podnet") else {}
    state.update(run_phase(host, 0, "classifier", state, scale).changed)
    state.update(run_phase(host, 0, "memory", state, {"size": size}).changed)
    return state


def train(host: str, loss: str, size: int = 3, **changes: Any) -> PhaseResult:
    return run_phase(host, 1, "classifier", before(host, size), {**SGD, "loss": loss, **changes})


def weights(result: PhaseResult) -> dict[str, torch.Tensor]:
    return {name: t for name, t in result.changed["classifier"].tensors.items() if name != "adjustment"}


def moved(before: Mapping[str, Component], after: Mapping[str, Component]) -> set[str]:
    """Tensors of the classifier that changed."""
    old, new = before["classifier"].tensors, after["classifier"].tensors
    return {name for name in old if not torch.equal(old[name], new[name])}


def close(one: PhaseResult, other: PhaseResult) -> bool:
    """Equal but for the rounding of a constant that was added to all logits."""
    a, b = weights(one), weights(other)
    return all(torch.allclose(a[name].double(), b[name].double(), rtol=1e-3, atol=1e-4) for name in a)


@each_host
def test_an_exponent_of_zero_is_plain_cross_entropy_bit_for_bit(host):
    plain = weights(train(host, "ce"))
    for loss in ("balanced", "relaxed"):
        zero = weights(train(host, loss, tau=0.0))
        assert all(torch.equal(plain[name], zero[name]) for name in plain)


@each_host
def test_equal_counts_are_plain_cross_entropy(host):
    everything = 16  # all training images of a class are exemplars: as many as a new class has
    assert close(train(host, "balanced", everything), train(host, "ce", everything))
    assert not close(train(host, "balanced"), train(host, "ce"))


@each_host
def test_relaxed_with_a_whole_count_for_old_classes_is_plain_cross_entropy(host):
    assert close(train(host, "relaxed", epsilon=1.0), train(host, "ce"))
    assert not close(train(host, "relaxed", epsilon=0.01), train(host, "ce"))


@each_host
def test_relaxed_at_the_share_of_the_exemplars_is_balanced(host):
    assert close(train(host, "relaxed", epsilon=3 / 16), train(host, "balanced"))


@each_host
def test_post_hoc_adjustment_trains_as_plain_cross_entropy_and_only_predicts_otherwise(host):
    plain, posthoc = train(host, "ce"), train(host, "posthoc", tau=0.7)
    assert all(torch.equal(tensor, weights(posthoc)[name]) for name, tensor in weights(plain).items())
    counts = np.array([3] * 4 + [16] * 2)
    images = torch.randn(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (build_classifier(result.changed["classifier"]).eval() for result in (plain, posthoc))
        assert torch.equal(one(images), other(images))
        shift = (one.predict(images) - other.predict(images)).numpy()
    assert shift == pytest.approx(np.tile(0.7 * np.log(counts / counts.sum()), (5, 1)), abs=1e-5)


@each_host
def test_the_next_increment_distils_raw_logits_after_a_post_hoc_adjustment(host):
    results = []
    for loss in ("ce", "posthoc"):
        state = {**before(host), **train(host, loss).changed}
        state.update(run_phase(host, 1, "memory", state).changed)
        results.append(run_phase(host, 2, "classifier", state, {**SGD, "loss": "ce"}))
    assert same(results[0].changed["classifier"], results[1].changed["classifier"])


@each_host
@pytest.mark.parametrize("loss", ["ce", "balanced", "relaxed"])
def test_prediction_is_by_bare_logits_unless_it_is_post_hoc(host, loss):
    classifier = build_classifier(train(host, loss).changed["classifier"]).eval()
    images = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    assert classifier.adjustment is None
    assert torch.equal(classifier.predict(images), classifier(images))


@each_host
def test_the_prior_has_one_entry_per_class_seen_and_is_made_anew_at_each_increment(host, monkeypatch):
    seen = []

    def spy(loss, config, counts, n_old):
        seen.append((counts.tolist(), n_old))
        return training_prior(loss, config, counts, n_old)

    monkeypatch.setattr(_hosts, "training_prior", spy)
    state = dict(run_phase(host, 0, "classifier", {}).changed)
    state.update(run_phase(host, 0, "memory", state, {"budget": "total", "size": 24}).changed)
    for t in (1, 2):
        state.update(run_phase(host, t, "classifier", state, {**SGD, "loss": "balanced"}).changed)
        state.update(run_phase(host, t, "memory", state).changed)
    assert seen == [([6.0] * 4 + [16.0] * 2, 4), ([4.0] * 6 + [16.0] * 2, 6)]


@each_host
def test_the_counts_are_those_of_the_labels_that_enter_the_loss_in_an_epoch(host, monkeypatch):
    counted = []

    def spy(loss, config, counts, n_old):
        counted.append(counts)
        return training_prior(loss, config, counts, n_old)

    monkeypatch.setattr(_hosts, "training_prior", spy)
    size = 4  # 4 * 4 + 2 * 16 images: three whole batches of 16
    train(host, "balanced", size, batch_size=16)
    state = before(host, size)
    data = phase_data(1, memory=state["memory"])
    assert data.memory is not None
    real = RealBatches(join([data.memory, data.new]), 16, data, phase_context(1, "classifier"))
    labels = torch.cat([real.draw(step)[1] for step in range(3)])
    assert torch.equal(torch.bincount(labels, minlength=6).float(), counted[0])


@each_host
@pytest.mark.parametrize("loss", ["balanced", "relaxed", "posthoc"])
def test_a_class_balanced_sampler_on_top_of_a_balanced_loss_is_refused(host, loss):
    with pytest.raises(ValidationError, match="over-balances; set sampler: shuffled, or loss: ce"):
        subtree(host, "increment.classifier", {"loss": loss, "sampler": "class_balanced"})
    subtree(host, "increment.classifier", {"loss": "ce", "sampler": "class_balanced"})


@pytest.mark.parametrize("host", ["lucir", "podnet"])
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


@pytest.mark.parametrize("host", ["lucir", "podnet"])
def test_balanced_finetuning_trains_the_head_alone_on_as_many_images_of_each_class(host, monkeypatch):
    drawn = []
    draw = RealBatches.draw

    def spy(self, step):
        images, labels = draw(self, step)
        drawn.append(labels)
        return images, labels

    state = {**before(host), **train(host, "ce").changed}
    monkeypatch.setattr(RealBatches, "draw", spy)
    result = run_phase(host, 1, "finetune", state, {"epochs": 1, "batch_size": 9})
    assert torch.bincount(torch.cat(drawn)).tolist() == [3] * 6
    assert moved(state, result.changed) == {"head.weight", "head.scale"}
    assert result.images_trained == 18


@pytest.mark.parametrize("host", ["lucir", "podnet"])
def test_balanced_finetuning_of_no_epochs_is_no_stage(host):
    method = get_method(host)
    for epochs, expected in ((0, ["classifier", "memory"]), (3, ["classifier", "finetune", "memory"])):
        config = method.config.model_validate({"increment": {"finetune": {"epochs": epochs}}})
        assert [phase.name for phase in method.phases(config, 1, 3)] == expected


def test_a_class_balanced_sampler_draws_each_class_equally_often():
    labels = torch.tensor([0] * 90 + [1] * 9 + [2])
    sampler = ClassUniform(labels, 3000, Place(0, 1, "classifier"), "order")
    counts = torch.bincount(labels[sampler.indices(0)]) / 3000
    assert counts.tolist() == pytest.approx([1 / 3] * 3, abs=0.04)
    assert not torch.equal(sampler.indices(0), sampler.indices(1))
    assert torch.equal(sampler.indices(5), ClassUniform(labels, 3000, Place(0, 1, "classifier"), "order").indices(5))


@each_host
def test_each_image_trains_once_an_epoch_memory_included(host):
    phase = phase_of(host, 1, "classifier")
    config = subtree(host, "increment.classifier", SGD)
    result = train(host, "ce")
    sizes = get_method(host).sizes(
        get_method(host).config.model_validate({"base": {"memory": {"size": 3}}}), old=[16] * 4, new=[16] * 2
    )
    assert sizes.memory == 12
    assert result.images_trained == phase.images(config, sizes) == 2 * 48  # 44 images in batches of 8


@pytest.mark.parametrize("loss", ["balanced", "relaxed"])
def test_a_prior_follows_its_formula(loss):
    counts, n_old = np.array([2.0, 5.0, 40.0, 80.0]), 2
    config = PriorParameters(tau=0.8, alpha=3.0, epsilon=0.25)
    n = counts.copy()
    n[:2] = 3.0 * n[:2] if loss == "balanced" else 0.25 * 60
    expected = 0.8 * np.log(n / n.sum())
    found = training_prior(loss, config, torch.tensor(counts, dtype=torch.float32), n_old)
    assert found is not None
    assert found.numpy() == pytest.approx(expected, abs=1e-5)
    assert posthoc_adjustment(loss, config, torch.tensor(counts), n_old) is None


def test_the_baseline_weighs_distillation_by_the_share_of_old_classes():
    """(1 - l) CE + l KD with l = 4 / 6, from the terms that the phase reports of its only step."""
    one: dict[str, Any] = {"epochs": 1, "batch_size": 64, "loss": "balanced"}
    classes = train("il_baseline", **one)
    fixed = train("il_baseline", weighting="fixed", weight_kd=2.0, **one)  # the same up to the factor 1 / 3
    assert classes.losses == fixed.losses
    one["weight_decay"] = 0.0
    slow = train("il_baseline", **one, learning_rate=0.03)
    assert close(slow, train("il_baseline", weighting="fixed", weight_kd=2.0, **one, learning_rate=0.01))
    assert not close(slow, train("il_baseline", weighting="fixed", weight_kd=1.0, **one, learning_rate=0.01))


def test_icarl_refuses_sigmoids_on_top_of_a_softmax_base_and_the_reverse():
    config = get_method("icarl").config
    with pytest.raises(ValidationError, match=r"set base\.classifier\.loss: bce"):
        config.model_validate({"increment": {"classifier": {"loss": "bce"}}})
    with pytest.raises(ValidationError, match=r"set base\.classifier\.loss: ce"):
        config.model_validate({"base": {"classifier": {"loss": "bce"}}})


def test_a_memory_host_never_gets_the_past():
    for host in HOSTS:
        assert not any(phase.sees_past for phase in (*get_method(host).base, *get_method(host).increment))
        assert phase_data(1, memory=before(host)["memory"]).past is None
