"""Genifer's classifier loss on one composed batch, written out by hand; and what may and may not touch it."""

from typing import Any

import numpy as np
import pytest
import torch
from tiny_phases import base_state, phase_context, phase_data, subtree
from torch import Tensor

from tune_cl.nets import Classifier, build_classifier, build_generator
from tune_cl.replay import GeneratorReplay
from tune_cl.streams import Pixels
from tune_cl.training._classifier import RealBatches, classifier_steps, grown
from tune_cl.training._replay_classifier import ReplayLoss, prior_of, replayed_per_step

N_OLD, N_SEEN = 4, 6


def config_of(**changes: Any) -> Any:
    return subtree("genifer", "increment.classifier", {"weight_ce": 0.3, "weight_feature": 0.7, **changes})


def teacher() -> Classifier:
    return build_classifier(base_state()["classifier"]).frozen()


def student(training: bool = False) -> Classifier:
    """The grown classifier, moved off its teacher so that no term is zero."""
    net = grown(base_state(), phase_data(1), phase_context(1, "classifier"))
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=random))
    return net.train(training)


def batch(n: int = 6, replayed: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    images, old_images = (torch.randn(k, 1, 28, 28, generator=random) for k in (n, replayed))
    labels = torch.randint(N_OLD, N_SEEN, (n,), generator=random)
    return images, labels, old_images, torch.randint(N_OLD, (replayed,), generator=random)


def loss_of(config: Any) -> ReplayLoss:
    return ReplayLoss(config, teacher(), prior_of(config, phase_data(1)), N_OLD)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def by_hand(config: Any, net: Classifier) -> dict[str, float]:
    """The terms in NumPy, from features and logits of the networks."""
    images, labels, old_images, old_labels = batch()
    with torch.no_grad():
        features = net.features(torch.cat([images, old_images]), config.distillation_layer)
        z = net.logits_from(features, config.distillation_layer).double().numpy()
        f = features[len(images) :].flatten(1).double().numpy()
        old_f = teacher().features(old_images, config.distillation_layer).flatten(1).double().numpy()
        old_z = teacher()(old_images).double().numpy()
    n, new_counts = len(images), np.bincount(phase_data(1).new.labels.numpy(), minlength=N_SEEN)[N_OLD:]
    replayed_by_class = new_counts.sum() * replayed_per_step(config, N_OLD, N_SEEN - N_OLD) / config.batch_size / N_OLD
    old_counts = {
        "ce": None,
        "relaxed": config.epsilon * new_counts.mean(),
        "balanced": replayed_by_class,
    }[config.loss]
    shift = 0 if old_counts is None else config.tau * np.log(np.concatenate([np.full(N_OLD, old_counts), new_counts]))
    targets = np.concatenate([labels, old_labels]) if config.replay_labels == "hard" else labels.numpy()
    ce = -log_softmax(z + shift)[np.arange(len(targets)), targets].mean()
    t = config.temperature
    shared = z[n:] if config.distillation_over == "all" else z[n:, :N_OLD]
    kd = -(np.exp(log_softmax(old_z / t)) * log_softmax(shared / t)[:, :N_OLD]).sum(1).mean()
    feature = np.sqrt(((f - old_f) ** 2).sum(1)).mean()
    total = config.weight_ce * ce + (1 - config.weight_ce) * kd + config.weight_feature * feature
    return {"ce": ce, "kd": kd, "feature": feature, "total": total}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"replay_labels": "hard"},
        {"replay_labels": "hard", "loss": "balanced", "tau": 0.8, "replay_share": 0.25},
        {"loss": "relaxed", "epsilon": 0.01},
        {"temperature": 2.5, "distillation_layer": 5},
        {"distillation_layer": 6},
        {"distillation_over": "old", "temperature": 2.0},
    ],
)
def test_the_loss_is_that_of_the_formulas(changes, training):
    config, net = config_of(**changes), student(training)
    total, terms = loss_of(config)(net, *batch())
    expected = by_hand(config, net)
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(
        {name: expected[name] for name in ("ce", "kd", "feature")}, rel=1e-4
    )
    assert total.item() == pytest.approx(expected["total"], rel=1e-4)


def gradient(term: Tensor, images: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(term, images, retain_graph=True, allow_unused=True)
    return torch.zeros_like(images) if found is None else found


@pytest.mark.parametrize("labels_of_replay", ["soft", "hard"])
def test_distillation_reads_replayed_samples_only_and_soft_cross_entropy_real_ones_only(labels_of_replay):
    images, labels, old_images, old_labels = batch()
    images.requires_grad_()
    old_images.requires_grad_()
    # In eval mode no sample reaches another's features through batch norm.
    _, terms = loss_of(config_of(replay_labels=labels_of_replay))(student(), images, labels, old_images, old_labels)
    for name in ("kd", "feature"):
        assert gradient(terms[name], images).abs().max() == 0
        assert gradient(terms[name], old_images).flatten(1).norm(dim=1).min() > 0
    assert gradient(terms["ce"], images).flatten(1).norm(dim=1).min() > 0
    touched = gradient(terms["ce"], old_images).flatten(1).norm(dim=1)
    assert (touched.max() == 0) if labels_of_replay == "soft" else (touched.min() > 0)


def gradients_under(config: Any, old_labels: Tensor) -> tuple[float, list[Tensor]]:
    net = student(training=True)
    images, labels, old_images, _ = batch()
    total, _ = loss_of(config)(net, images, labels, old_images, old_labels)
    return total.item(), list(torch.autograd.grad(total, list(net.parameters())))


def test_labels_of_replay_change_nothing_under_soft_and_something_under_hard():
    old_labels = batch()[3]
    others = (old_labels + 1) % N_OLD
    first, second = (gradients_under(config_of(), labels) for labels in (old_labels, others))
    assert first[0] == second[0]
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))
    hard = config_of(replay_labels="hard")
    assert gradients_under(hard, old_labels)[0] != gradients_under(hard, others)[0]


def test_a_prior_shifts_the_cross_entropy_and_nothing_else():
    plain = loss_of(config_of(replay_labels="hard"))(student(), *batch())[1]
    shifted = loss_of(config_of(replay_labels="hard", loss="balanced", replay_share=0.2))(student(), *batch())[1]
    assert plain["kd"].item() == shifted["kd"].item() and plain["feature"].item() == shifted["feature"].item()
    assert plain["ce"].item() != pytest.approx(shifted["ce"].item(), rel=1e-3)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.67, 0.8])
def test_the_balanced_prior_is_that_of_the_labels_counted_over_epochs(share):
    config = config_of(replay_labels="hard", loss="balanced", replay_share=share)
    data, context = phase_data(1), phase_context(1, "classifier")
    generator = build_generator(base_state()["generator"]).eval().requires_grad_(False)
    source = GeneratorReplay(
        generator, N_OLD, Pixels(data.preprocessing, context.device), context.random_key, context.device
    )
    real = RealBatches(data.new, config.batch_size, data, context)
    counts, epochs = torch.zeros(N_SEEN), 60
    for step in range(epochs * classifier_steps(config, len(data.new.labels)) // config.epochs):
        counts += torch.bincount(real.draw(step)[1], minlength=N_SEEN)
        replayed = source.draw(replayed_per_step(config, N_OLD, N_SEEN - N_OLD), "replay", step)
        counts += torch.bincount(replayed.labels, minlength=N_SEEN)
    prior = prior_of(config, data)
    assert prior is not None and prior.shape == (N_SEEN,)
    assert torch.equal(counts[N_OLD:], counts[N_OLD:].mean().expand(2))
    torch.testing.assert_close(counts / counts.sum(), prior.exp(), rtol=0.12, atol=0)
    of_old = (counts[:N_OLD].sum() / counts.sum()).item()
    assert of_old == pytest.approx(prior.exp()[:N_OLD].sum().item(), rel=1e-6)


def test_an_unfilled_last_batch_keeps_the_share_of_replay():
    """16 images per class in batches of 12 of 32: the last of three batches is filled from the epoch's start."""
    config = config_of(replay_labels="hard", loss="balanced", batch_size=12, replay_share=0.4)
    prior = prior_of(config, phase_data(1))
    assert prior is not None
    replayed = replayed_per_step(config, N_OLD, N_SEEN - N_OLD)
    assert prior.exp()[:N_OLD].sum().item() == pytest.approx(replayed / (12 + 8), rel=1e-6)


def test_balanced_without_old_samples_in_the_loss_is_refused_with_the_ways_out():
    with pytest.raises(ValueError, match=r"replay_labels: hard.*loss: relaxed"):
        config_of(loss="balanced")


@pytest.mark.parametrize(
    ("batch_size", "share", "expected"), [(16, 0.5, 16), (16, 0.8, 64), (8, 0.25, 3), (4, 0.01, 1)]
)
def test_replayed_images_are_their_share_of_a_step(batch_size, share, expected):
    assert replayed_per_step(config_of(batch_size=batch_size, replay_share=share), 4, 2) == expected


def test_the_share_of_old_classes_can_take_the_place_of_a_fixed_share():
    config = config_of(batch_size=16, replay_share_rule="classes")
    assert [replayed_per_step(config, n_old, 10) for n_old in (10, 30, 50)] == [16, 48, 80]  # r / (1 - r) = n_old / 10
