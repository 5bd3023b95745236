"""Classifier phases: what they start from, what a step computes, and equal budgets on every rung of the ladder."""

import copy

import numpy as np
import pytest
import torch
from tiny_phases import base_state, mid_state, phase_context, phase_data, run_phase, same, subtree
from torch import nn
from torch.nn import functional

from tune_cl.methods import Diverged
from tune_cl.nets import ClassifierShape, new_classifier, save_classifier
from tune_cl.streams import RandomKey
from tune_cl.training._classifier import RealBatches, grown, train_base
from tune_cl.training._loop import ClassifierTraining, check_weights, train_classifier
from tune_cl.training._replay_classifier import train_with_generator

ONE_STEP = {"epochs": 1, "batch_size": 32}  # 16 training images of each of an increment's two classes
FROZEN = {"learning_rate": 1e-30, "weight_decay": 0.0}


def test_the_base_classifier_starts_from_weights_of_its_place():
    trained = run_phase("finetune", 0, "classifier", {}, FROZEN).changed["classifier"]
    shape = ClassifierShape("small_cnn", 4, (1, 28, 28), 4)
    start = save_classifier(new_classifier(shape, RandomKey(0, 0, "classifier").seed("weights")))
    for name, tensor in start.tensors.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(trained.tensors[name], tensor, rtol=0, atol=1e-20, msg=name)


def first_step_losses(method: str, learning_rate: float) -> dict[str, float]:
    t = 0 if method == "base" else 1
    changes = {"epochs": 1, "batch_size": 64} if t == 0 else ONE_STEP
    name = "finetune" if t == 0 else method
    result = run_phase(name, t, "classifier", base_state(), {**changes, "learning_rate": learning_rate})
    return dict(result.losses)


@pytest.mark.parametrize("method", ["base", "finetune", "lwf", "genifer", "oracle", "joint"])
def test_two_learning_rates_see_the_same_weights_batches_and_replay(method):
    """The losses of the first step are taken before the first update: they are equal only if all draws are."""
    assert first_step_losses(method, 1e-4) == first_step_losses(method, 0.5)


def test_another_train_seed_draws_otherwise():
    config, data = subtree("finetune", "base.classifier", {"epochs": 1, "batch_size": 64}), phase_data(0)
    first, second = (train_base(config, data, {}, phase_context(0, "classifier", seed)).losses for seed in (0, 1))
    assert first != second


def test_fine_tuning_is_cross_entropy_over_all_seen_classes():
    data, context = phase_data(1), phase_context(1, "classifier")
    student = grown(base_state(), data, context).train()
    images, labels = RealBatches(data.new, 32, data, context).draw(0)
    expected = functional.cross_entropy(student(images), labels).item()
    assert run_phase("finetune", 1, "classifier", base_state(), ONE_STEP).losses["ce"] == pytest.approx(expected)


def test_without_an_update_a_grown_classifier_keeps_its_old_head_and_its_features():
    changed = run_phase("finetune", 1, "classifier", base_state(), {**ONE_STEP, **FROZEN}).changed["classifier"]
    old = base_state()["classifier"].tensors
    assert changed.settings["n_classes"] == 6
    assert torch.equal(changed.tensors["head.weight"][:4], old["head.weight"])
    assert torch.equal(changed.tensors["layers.2.0.weight"], old["layers.2.0.weight"])


@pytest.mark.parametrize("method", ["finetune", "lwf", "genifer", "oracle", "joint"])
def test_every_layer_of_the_classifier_is_trained_at_an_increment(method):
    trained = run_phase(method, 1, "classifier", base_state()).changed["classifier"].tensors
    old = base_state()["classifier"].tensors
    for name in ("layers.0.0.weight", "layers.4.0.weight", "layers.4.1.weight"):
        assert not torch.equal(trained[name], old[name]), name
    assert not torch.equal(trained["head.weight"][:4], old["head.weight"])


def test_every_rung_of_the_ladder_takes_as_many_steps_and_those_with_replay_as_many_images():
    """32 images of the increment, 8 real ones in a step, 2 epochs: 8 steps; replay doubles the images of a step."""
    images = {
        method: run_phase(method, 1, "classifier", base_state(), {"epochs": 2}).images_trained
        for method in ("finetune", "lwf", "genifer", "oracle", "joint")
    }
    assert images == {"finetune": 64, "lwf": 64, "genifer": 128, "oracle": 128, "joint": 128}


def test_a_phase_does_not_change_the_state_it_is_given():
    before = copy.deepcopy(dict(mid_state()))
    for method in ("finetune", "lwf", "genifer", "oracle", "joint"):
        run_phase(method, 1, "classifier", base_state())
    run_phase("genifer", 1, "generator", mid_state())
    assert all(same(component, before[name]) for name, component in mid_state().items())


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_teachers_batch_norm_follows_its_switch(mode):
    losses = run_phase("genifer", 1, "classifier", base_state(), {**ONE_STEP, "teacher_batch_norm": mode}).losses
    other = run_phase("genifer", 1, "classifier", base_state(), ONE_STEP).losses
    assert (losses == other) == (mode == "eval")


def test_replay_accuracy_is_that_of_the_old_classifier_whatever_is_learnt():
    results = [
        train_with_generator(
            subtree("genifer", "increment.classifier", {"learning_rate": rate}),
            phase_data(1),
            base_state(),
            phase_context(1, "classifier"),
        )
        for rate in (1e-4, 0.1)
    ]
    assert results[0].metrics == results[1].metrics
    assert 0 <= results[0].metrics["replay_accuracy"] <= 1


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("steps", [1.0] * 3 + [0.2] * 3 + [0.04] * 2 + [0.008] * 2),
        ("constant", [1.0] * 10),
        ("cosine", [(1 + np.cos(np.pi * step / 10)) / 2 for step in range(10)]),
    ],
)
def test_learning_rates_follow_the_schedule(schedule, expected):
    """With plain gradient 1 and no momentum yet, RAdam's first steps move by the rate: read the rates themselves."""
    net = nn.Linear(1, 1, bias=False)
    config = ClassifierTraining(optimizer="sgd", learning_rate=1.0, weight_decay=0.0, schedule=schedule)
    positions: list[float] = []

    def loss(step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        positions.append(net.weight.item())
        return net.weight.sum(), {}

    train_classifier(net, config, 10, loss, phase_context(0, "classifier"))
    positions.append(net.weight.item())
    velocity, moved = 0.0, []
    for rate in expected:  # Nesterov momentum 0.9 on a gradient of 1
        velocity = 0.9 * velocity + 1.0
        moved.append(rate * (1.0 + 0.9 * velocity))
    assert -np.diff(positions) == pytest.approx(moved, rel=1e-4)


def test_losses_are_means_over_the_last_tenth_of_the_steps():
    net = nn.Linear(1, 1)
    config = ClassifierTraining(optimizer="adamw", learning_rate=1e-6)

    def loss(step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return net.weight.sum(), {"step": torch.tensor(float(step))}

    assert train_classifier(net, config, 30, loss, phase_context(0, "classifier")) == {"step": 28.0}


def test_a_weight_that_is_not_finite_after_the_last_step_ends_the_phase():
    net = nn.BatchNorm1d(2)
    check_weights(net, "the classifier")
    assert net.running_mean is not None
    net.running_mean[1] = float("inf")
    with pytest.raises(Diverged, match="the classifier: running_mean"):
        check_weights(net, "the classifier")


def test_a_classifier_whose_last_update_overflows_has_diverged():
    """One step only: its loss is finite, the weights after it are not."""
    changes = {**ONE_STEP, "optimizer": "sgd", "learning_rate": 10.0, "weight_decay": 1.0}
    state = dict(base_state())
    far = torch.full((4,), -1e38)  # never predicted, so it is not in the loss; weight decay overflows
    tensors = {n: far if n == "head.bias" else t for n, t in state["classifier"].tensors.items()}
    state["classifier"] = type(state["classifier"])("classifier", state["classifier"].settings, tensors)
    with pytest.raises(Diverged, match=r"head\.bias is not finite after the last step"):
        run_phase("finetune", 1, "classifier", state, {**changes, "epochs": 1})
