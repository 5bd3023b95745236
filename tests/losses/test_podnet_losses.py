"""PODNet's losses, against loops in numpy."""

import math

import numpy as np
import pytest
import torch

from tune_cl.losses import nca, nca_formula, pod_flat, pod_spatial

SHAPES = [(5, 3, 4, 6), (5, 2, 3, 3)]  # two layers, one of them not square


@pytest.fixture
def maps() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    draws = torch.Generator().manual_seed(1)
    new, old = ([torch.randn(s, generator=draws, dtype=torch.float64) for s in SHAPES] for _ in range(2))
    return new, old


@pytest.fixture
def scores() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(2)
    values = 2 * torch.rand(30, 6, generator=draws, dtype=torch.float64) - 1
    return values, torch.randint(0, 6, (30,), generator=draws)


def profile(sample: np.ndarray) -> np.ndarray:
    channels, height, width = sample.shape
    rows = [sum(sample[c, h, w] ** 2 for w in range(width)) for c in range(channels) for h in range(height)]
    columns = [sum(sample[c, h, w] ** 2 for h in range(height)) for c in range(channels) for w in range(width)]
    vector = np.array(rows + columns)
    return vector / math.sqrt(vector @ vector)


def released_by_hand(scores: np.ndarray, eta: float, labels: np.ndarray) -> float:
    """Step by step: scale, take the largest off, and let the true class count as exp(0) in the denominator."""
    costs = []
    for row, y in zip(eta * scores, labels, strict=True):
        shifted = row - row.max()
        denominator = sum(1.0 if i == y else math.exp(s) for i, s in enumerate(shifted))
        costs.append(-(shifted[y] - math.log(denominator)))
    return float(np.mean(costs))


def formula_by_hand(scores: np.ndarray, eta: float, labels: np.ndarray, margin: float) -> float:
    costs = []
    for row, y in zip(scores, labels, strict=True):
        others = sum(math.exp(eta * s) for i, s in enumerate(row) if i != y)
        costs.append(max(0.0, -math.log(math.exp(eta * (row[y] - margin)) / others)))
    return float(np.mean(costs))


def test_pod_spatial_is_the_distance_of_normalised_profiles_averaged_over_layers(maps):
    new, old = maps
    per_layer = [
        np.mean([np.linalg.norm(profile(a) - profile(b)) for a, b in zip(x.numpy(), y.numpy(), strict=True)])
        for x, y in zip(new, old, strict=True)
    ]
    assert pod_spatial(new, old).item() == pytest.approx(np.mean(per_layer), rel=1e-12)
    assert pod_spatial(new[:1], old[:1]).item() == pytest.approx(per_layer[0], rel=1e-12)


def test_pod_spatial_is_blind_to_scale_sign_and_the_order_of_pixels_in_what_is_pooled(maps):
    new, old = maps
    base = pod_spatial(new, old).item()
    assert pod_spatial([-3 * a for a in new], [0.1 * a for a in old]).item() == pytest.approx(base, rel=1e-9)
    swapped = [a.flip(3) for a in new]
    assert pod_spatial(swapped, old).item() != pytest.approx(base, rel=1e-3)  # columns do count


def test_gradient_of_pod_spatial_is_right_and_zero_where_the_maps_agree(maps):
    new, old = [a.requires_grad_() for a in maps[0]], maps[1]
    assert torch.autograd.gradcheck(lambda *a: pod_spatial(a, old), new)
    pod_spatial(new, [a.detach().clone() for a in new]).backward()
    assert all((a.grad == 0).all() for a in new)


def test_dead_maps_have_a_finite_loss_and_gradient(maps):
    dead = torch.zeros(SHAPES[0], requires_grad=True)
    loss = pod_spatial([dead], [maps[1][0].float()])
    loss.backward()
    assert loss.item() == pytest.approx(1.0) and dead.grad.isfinite().all()


def test_pod_flat_is_the_chord_between_the_directions():
    one, other = np.random.default_rng(3).normal(size=(2, 9, 6))
    cosines = np.array([a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(one, other, strict=True)])
    expected = np.sqrt(2 - 2 * cosines).mean()
    assert pod_flat(torch.from_numpy(5 * one), torch.from_numpy(other)).item() == pytest.approx(expected, rel=1e-9)
    assert pod_flat(torch.from_numpy(-other), torch.from_numpy(other)).item() == pytest.approx(2)
    inputs = torch.from_numpy(one).requires_grad_()
    assert torch.autograd.gradcheck(lambda e: pod_flat(e, torch.from_numpy(other)), inputs)


@pytest.mark.parametrize("eta", [1.0, 7.0, 0.3, -2.0])
def test_nca_is_the_released_arithmetic(scores, eta):
    values, labels = scores
    expected = released_by_hand(values.numpy(), eta, labels.numpy())
    assert nca(values, eta, labels).item() == pytest.approx(expected, rel=1e-12)


def test_nca_is_cross_entropy_where_the_true_class_leads_and_a_little_above_elsewhere(scores):
    values, _ = scores
    leading = values.scatter(1, values.argmax(1, keepdim=True), 1.5)
    best = leading.argmax(1)
    reference = torch.nn.functional.cross_entropy(4 * leading, best)
    assert nca(leading, 4.0, best).item() == pytest.approx(reference.item(), rel=1e-12)
    trailing = values.argmin(1)
    above = nca(values, 4.0, trailing) - torch.nn.functional.cross_entropy(4 * values, trailing)
    assert 0 < above.item() < math.log(2)


def test_nca_wants_a_larger_scale_as_long_as_classes_are_told_apart():
    """The gradient into the scale has the sign of cross-entropy's, which the margin of the formula would turn."""
    eta = torch.tensor(1.0, requires_grad=True)
    values, labels = torch.tensor([[0.3, -0.3, -0.3]]), torch.tensor([0])
    nca(values, eta, labels).backward()
    assert eta.grad < 0


@pytest.mark.parametrize(("eta", "margin"), [(1.0, 0.6), (7.0, 0.6), (3.0, 0.0), (2.0, 1.5)])
def test_nca_formula_is_the_papers_formula(scores, eta, margin):
    values, labels = scores
    expected = formula_by_hand(values.numpy(), eta, labels.numpy(), margin)
    assert expected > 0
    assert nca_formula(values, eta, labels, margin).item() == pytest.approx(expected, rel=1e-12)


def test_the_margin_of_nca_formula_has_no_gradient_into_the_scale(scores):
    values, labels = scores
    gradients = []
    for margin in (0.0, 2.0):  # at most 2 keeps every sample above the hinge
        eta = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
        nca_formula(values - 10 * torch.nn.functional.one_hot(labels, 6), eta, labels, margin).backward()
        gradients.append(eta.grad.item())
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-12)


def test_two_equal_scores_cost_the_margin_in_the_formula_and_log_2_as_released():
    values, labels = torch.tensor([[0.3, 0.3]], dtype=torch.float64), torch.tensor([0])
    assert nca_formula(values, 5.0, labels, 0.6).item() == pytest.approx(3.0)
    assert nca_formula(values, 5.0, labels, 0.0).item() == pytest.approx(0.0)
    assert nca(values, 5.0, labels).item() == pytest.approx(math.log(2))


def test_in_the_formula_a_class_that_leads_by_enough_costs_nothing_and_has_no_gradient():
    values = torch.tensor([[0.9, 0.1], [0.9, 0.5]], requires_grad=True)
    loss = nca_formula(values, 10.0, torch.tensor([0, 0]))
    loss.backward()
    assert loss.item() == pytest.approx((0.6 - 0.4) * 10 / 2, rel=1e-5)
    torch.testing.assert_close(values.grad, torch.tensor([[0.0, 0.0], [-5.0, 5.0]]))


def test_nca_teaches_scores_and_scale(scores):
    values, labels = scores[0].requires_grad_(), scores[1]
    eta = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, e: nca(s, e, labels), (values, eta))
    assert torch.autograd.gradcheck(lambda s, e: nca_formula(s, e, labels, 0.0), (values, eta))


def test_nca_is_stable_at_a_huge_scale():
    values = torch.tensor([[1.0, -1.0, 0.5]], requires_grad=True)
    for loss, expected in (
        (nca(values, 1e4, torch.tensor([1])), 2e4),
        (nca_formula(values, 1e4, torch.tensor([1])), 2.6e4),
    ):
        (gradient,) = torch.autograd.grad(loss, values)
        assert loss.item() == pytest.approx(expected, rel=1e-4) and gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised_to_float32(maps, scores, dtype):
    new, old = ([(300 * a).to(dtype) for a in stages] for stages in maps)  # squares are beyond float16
    wide = [[a.double() for a in stages] for stages in (new, old)]
    pairs = [
        (pod_spatial(new, old), pod_spatial(*wide)),
        (pod_flat(new[0].flatten(1), old[0].flatten(1)), pod_flat(wide[0][0].flatten(1), wide[1][0].flatten(1))),
        (nca(scores[0].to(dtype), 8.0, scores[1]), nca(scores[0].to(dtype).double(), 8.0, scores[1])),
        (nca_formula(scores[0].to(dtype), 8.0, scores[1]), nca_formula(scores[0].to(dtype).double(), 8.0, scores[1])),
    ]
    for loss, reference in pairs:
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(reference.item(), rel=1e-5)


def test_misfitting_arguments_are_refused(maps):
    new, old = maps
    for wrong in (([], []), (new, old[:1]), (new, old[::-1]), ([new[0].flatten(1)], [old[0].flatten(1)])):
        with pytest.raises(ValueError, match="layer by layer"):
            pod_spatial(*wrong)
    with pytest.raises(ValueError, match="twice"):
        pod_flat(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="at least two classes"):
        nca(torch.zeros(2, 1), 1.0, torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="at least two classes"):
        nca_formula(torch.zeros(2, 1), 1.0, torch.tensor([0, 0]))
