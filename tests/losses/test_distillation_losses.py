"""Distillation on logits, features and pixels, against scipy and numpy."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from tune_cl.losses import distillation, feature_distance, image_distance


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(4)
    return 2 * torch.randn(12, 9, generator=draws, dtype=torch.float64), 2 * torch.randn(
        12, 6, generator=draws, dtype=torch.float64
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("over", ["all", "old"])
def test_distillation_is_the_soft_cross_entropy_without_a_temperature_factor(logits, temperature, over):
    student, teacher = (values.numpy() for values in logits)
    targets = softmax(teacher / temperature, axis=1)
    scored = student if over == "all" else student[:, :6]
    expected = -(targets * log_softmax(scored / temperature, axis=1)[:, :6]).sum(1).mean()
    assert distillation(*logits, temperature, over).item() == pytest.approx(expected, rel=1e-12)


def test_perfect_student_over_old_classes_reaches_the_teachers_entropy(logits):
    _, teacher = logits
    expected = entropy(softmax(teacher.numpy(), axis=1), axis=1).mean()
    student = torch.cat([teacher, torch.full((12, 3), 7.0, dtype=torch.float64)], dim=1)
    assert distillation(student, teacher, 1.0, "old").item() == pytest.approx(expected, rel=1e-12)


def test_mass_on_new_classes_costs_over_all_classes_and_nothing_over_the_old(logits):
    student, teacher = logits
    confident = student.clone()
    confident[:, 6:] += 5
    assert distillation(confident, teacher, 1.0, "all") > distillation(student, teacher, 1.0, "all") + 1
    assert distillation(confident, teacher, 1.0, "old") == distillation(student, teacher, 1.0, "old")


def test_gradient_over_all_classes_is_softmax_minus_targets_over_temperature(logits):
    student, teacher = logits
    student.requires_grad_()
    distillation(student, teacher, 2.0).backward()
    targets = np.concatenate([softmax(teacher.numpy() / 2, axis=1), np.zeros((12, 3))], axis=1)
    expected = (softmax(student.detach().numpy() / 2, axis=1) - targets) / 2 / 12
    np.testing.assert_allclose(student.grad.numpy(), expected, atol=1e-14)


def test_distillation_of_half_precision_logits_is_computed_in_float32():
    student = torch.tensor([[300.0, -300.0, 0.0]], dtype=torch.float16, requires_grad=True)
    loss = distillation(student, torch.tensor([[-200.0, 200.0]], dtype=torch.float16), 0.01)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(60000.0)
    loss.backward()
    assert torch.isfinite(student.grad).all()


def test_misfitting_logits_and_temperatures_are_refused(logits):
    student, teacher = logits
    with pytest.raises(ValueError, match="cannot learn from"):
        distillation(teacher, student)
    with pytest.raises(ValueError, match="cannot learn from"):
        distillation(student[:3], teacher)
    with pytest.raises(ValueError, match="temperature"):
        distillation(student, teacher, 0.0)


def test_feature_distance_is_the_mean_unsquared_norm_per_sample():
    draws = np.random.default_rng(5)
    one, other = draws.normal(size=(2, 7, 4, 3, 3))
    expected = np.mean([np.linalg.norm((a - b).ravel()) for a, b in zip(one, other, strict=True)])
    assert feature_distance(torch.from_numpy(one), torch.from_numpy(other)).item() == pytest.approx(expected)
    shifted = torch.from_numpy(other) + 3 * (torch.from_numpy(one) - torch.from_numpy(other))
    assert feature_distance(shifted, torch.from_numpy(other)).item() == pytest.approx(3 * expected)


def test_gradient_of_feature_distance_is_a_unit_vector_per_sample_and_zero_where_features_agree():
    teacher = torch.zeros(2, 3, dtype=torch.float64)
    student = torch.tensor([[0.0, 0.0, 0.0], [0.0, 3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    feature_distance(student, teacher).backward()
    torch.testing.assert_close(student.grad * 2, torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.6, 0.8]]).double())


def test_feature_distance_of_half_precision_does_not_overflow():
    student = torch.full((2, 90000), 300.0, dtype=torch.float16)
    distance = feature_distance(student, torch.zeros_like(student))
    assert distance.dtype == torch.float32
    assert distance.item() == pytest.approx(90000.0, rel=1e-3)  # beyond float16


def test_image_distance_is_the_mean_absolute_difference():
    draws = np.random.default_rng(6)
    one, other = draws.normal(size=(2, 5, 3, 4, 4))
    expected = np.abs(one - other).mean()
    assert image_distance(torch.from_numpy(one), torch.from_numpy(other)).item() == pytest.approx(expected)
