"""LUCIR's losses, against loops in numpy."""

import numpy as np
import pytest
import torch

from tune_cl.losses import less_forget, margin_ranking, unit_vectors

N_OLD, N_NEW = 4, 3


@pytest.fixture
def cosines() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    values = 2 * torch.rand(40, N_OLD + N_NEW, generator=draws, dtype=torch.float64) - 1
    return values, torch.randint(0, N_OLD + N_NEW, (40,), generator=draws)


def ranked_by_hand(cosines: np.ndarray, labels: np.ndarray, n_old: int, margin: float, k: int) -> float:
    costs = []
    for row, label in zip(cosines, labels, strict=True):
        if label < n_old:
            nearest = sorted(row[n_old:], reverse=True)[:k]
            costs += [max(0.0, margin - row[label] + other) for other in nearest]
    return float(np.mean(costs))


def test_less_forget_is_one_minus_the_mean_cosine_whatever_the_lengths():
    one, other = np.random.default_rng(2).normal(size=(2, 9, 6))
    angles = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(one, other, strict=True)]
    expected = 1 - np.mean(angles)
    assert less_forget(torch.from_numpy(one), torch.from_numpy(7 * other)).item() == pytest.approx(expected, rel=1e-12)


def test_less_forget_runs_from_0_for_the_same_direction_to_2_for_the_opposite():
    features = torch.randn(5, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert less_forget(3 * features, features).item() == pytest.approx(0, abs=1e-12)
    assert less_forget(-features, features).item() == pytest.approx(2)


def test_gradient_of_less_forget_is_across_the_feature():
    features = torch.randn(5, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64, requires_grad=True)
    less_forget(features, torch.ones(5, 8)).backward()
    assert (features.grad * features).sum(1).abs().max() < 1e-12
    assert torch.autograd.gradcheck(lambda f: less_forget(f, torch.ones(5, 8).double()), features)


@pytest.mark.parametrize(("margin", "k"), [(0.5, 2), (0.1, 1), (0.9, 3)])
def test_margin_ranking_is_the_released_mean_over_the_nearest_new_classes(cosines, margin, k):
    values, labels = cosines
    expected = ranked_by_hand(values.numpy(), labels.numpy(), N_OLD, margin, k)
    assert margin_ranking(values, labels, N_OLD, margin, k).item() == pytest.approx(expected, rel=1e-12)


def test_more_ranked_classes_than_new_ones_are_all_of_them(cosines):
    assert margin_ranking(*cosines, N_OLD, k=10) == margin_ranking(*cosines, N_OLD, k=N_NEW)
    values, labels = cosines[0][:, : N_OLD + 1], cosines[1] % N_OLD
    expected = ranked_by_hand(values.numpy(), labels.numpy(), N_OLD, 0.5, 1)
    assert margin_ranking(values, labels, N_OLD).item() == pytest.approx(expected)


def test_samples_of_new_classes_have_no_part_in_margin_ranking(cosines):
    values, labels = cosines[0].requires_grad_(), cosines[1]
    margin_ranking(values, labels, N_OLD).backward()
    assert (values.grad[labels >= N_OLD] == 0).all() and values.grad[labels < N_OLD].abs().sum() > 0
    alone = margin_ranking(values[labels < N_OLD], labels[labels < N_OLD], N_OLD)
    assert alone.item() == pytest.approx(margin_ranking(values, labels, N_OLD).item())


def test_a_batch_without_old_samples_costs_nothing_and_still_has_a_graph(cosines):
    values = cosines[0].requires_grad_()
    loss = margin_ranking(values, torch.full((40,), N_OLD), N_OLD)
    loss.backward()
    assert loss.item() == 0 and (values.grad == 0).all()


def test_old_samples_that_lead_by_the_margin_cost_nothing():
    values = torch.tensor([[0.9, -1.0, 0.39, 0.3], [0.9, -1.0, 0.5, 0.39]])
    assert margin_ranking(values[:1], torch.tensor([0]), 2).item() == 0
    assert margin_ranking(values[1:], torch.tensor([0]), 2).item() == pytest.approx(0.1 / 2)


def test_misfitting_arguments_are_refused(cosines):
    with pytest.raises(ValueError, match="at least one must be new"):
        margin_ranking(*cosines, N_OLD + N_NEW)
    with pytest.raises(ValueError, match="k = 0"):
        margin_ranking(*cosines, N_OLD, k=0)
    with pytest.raises(ValueError, match="twice"):
        less_forget(torch.zeros(3, 4), torch.zeros(1, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised_to_float32(cosines, dtype):
    features = 3000 * torch.randn(4, 2048, generator=torch.Generator().manual_seed(4)).to(dtype)  # norm beyond float16
    other = features.roll(1, 0)
    loss = less_forget(features, other)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(less_forget(features.double(), other.double()).item(), abs=1e-6)
    values, labels = cosines[0].to(dtype), cosines[1]
    ranked = margin_ranking(values, labels, N_OLD)
    assert ranked.dtype == torch.float32
    assert ranked.item() == pytest.approx(margin_ranking(values.double(), labels, N_OLD).item(), rel=1e-6)


def test_unit_vectors_leave_zero_vectors_alone_and_pass_on_their_gradient():
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    units = unit_vectors(vectors)
    torch.testing.assert_close(units, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    (units * torch.tensor([1.0, 2.0])).sum().backward()
    torch.testing.assert_close(vectors.grad[1], torch.tensor([1.0, 2.0]))
    assert less_forget(vectors, torch.ones(2, 2)).isfinite()
