"""The adversarial terms, against closed forms and finite differences."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tune_cl.losses import discriminator_loss, generator_loss, r1_penalty


def softplus(values: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, values)


def test_losses_are_mean_softplus_of_signed_scores():
    draws = np.random.default_rng(7)
    real, fake = draws.normal(size=8), draws.normal(size=(5, 1))
    expected = softplus(-real).mean() + softplus(fake).mean()
    assert discriminator_loss(torch.from_numpy(real), torch.from_numpy(fake)).item() == pytest.approx(expected)
    assert generator_loss(torch.from_numpy(fake)).item() == pytest.approx(softplus(-fake).mean())


def test_losses_of_extreme_half_precision_scores_are_exact_and_finite():
    scores = torch.tensor([60000.0, -60000.0], dtype=torch.float16)
    assert generator_loss(scores).item() == pytest.approx(float(scores[0]) / 2)
    assert discriminator_loss(scores, scores).item() == pytest.approx(float(scores[0]))


def test_discriminator_and_generator_pull_fake_scores_in_opposite_directions():
    fake = torch.zeros(4, requires_grad=True)
    (of_discriminator,) = torch.autograd.grad(discriminator_loss(torch.zeros(4), fake), fake)
    (of_generator,) = torch.autograd.grad(generator_loss(fake), fake)
    torch.testing.assert_close(of_discriminator, torch.full((4,), 0.125))
    torch.testing.assert_close(of_generator, torch.full((4,), -0.125))


def test_penalty_of_a_linear_discriminator_is_its_squared_weight():
    weight = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(8), dtype=torch.float64, requires_grad=True)
    features = torch.randn(6, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    penalty = r1_penalty((features * weight).sum((1, 2, 3)) + 4.0, features, gamma=0.3)
    assert penalty.item() == pytest.approx(0.15 * weight.square().sum().item())
    penalty.backward()
    torch.testing.assert_close(weight.grad, 0.3 * weight.detach())


def test_penalty_of_a_quadratic_discriminator_and_its_gradient_in_weights_and_features():
    """D(f) = f'Af / 2 with A symmetric: grad D = Af, R1 = g/2 mean |Af|², dR1/df_i = g A²f_i / B, dR1/dA by hand."""
    draws = torch.Generator().manual_seed(9)
    root = torch.randn(5, 5, generator=draws, dtype=torch.float64)
    matrix = (root + root.T).requires_grad_()
    features = torch.randn(7, 5, generator=draws, dtype=torch.float64, requires_grad=True)
    penalty = r1_penalty(0.5 * ((features @ matrix) * features).sum(1, keepdim=True), features, gamma=0.8)
    slopes = features.detach() @ matrix.detach()
    assert penalty.item() == pytest.approx(0.4 * slopes.square().sum(1).mean().item())
    penalty.backward()
    torch.testing.assert_close(features.grad, 0.8 * slopes @ matrix.detach() / 7)
    # grad D = (A + A')f / 2, hence dR1/dA = g / (2 B) sum (s f' + f s') with s = grad D.
    outer = slopes.T @ features.detach()
    torch.testing.assert_close(matrix.grad, 0.8 / 14 * (outer + outer.T))


class SmallDiscriminator(torch.nn.Module):
    """Two layers, so that the penalty's gradient passes through a nonlinearity."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(10)
        self.first = torch.nn.Parameter(torch.randn(4, 6, generator=draws, dtype=torch.float64))
        self.last = torch.nn.Parameter(torch.randn(6, generator=draws, dtype=torch.float64))

    def forward(self, features: Tensor) -> Tensor:
        return torch.tanh(features @ self.first) @ self.last


def test_penalty_is_finite_difference_slope_in_features_squared():
    network = SmallDiscriminator()
    features = torch.randn(3, 4, generator=torch.Generator().manual_seed(11), dtype=torch.float64, requires_grad=True)
    penalty = r1_penalty(network(features), features, gamma=2.0).item()
    step, total = 1e-6, 0.0
    with torch.no_grad():
        for axis in range(4):
            nudge = torch.zeros(4, dtype=torch.float64)
            nudge[axis] = step
            total += ((network(features + nudge) - network(features - nudge)) / (2 * step)).square().sum().item()
    assert penalty == pytest.approx(total / 3, rel=1e-7)


def test_gradient_of_penalty_in_discriminator_parameters_equals_finite_differences():
    network = SmallDiscriminator()
    features = torch.randn(3, 4, generator=torch.Generator().manual_seed(12), dtype=torch.float64, requires_grad=True)

    def penalty() -> Tensor:
        return r1_penalty(network(features), features, gamma=0.7)

    gradients = torch.autograd.grad(penalty(), list(network.parameters()))
    step = 1e-6
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        for place in range(parameter.numel()):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.view(-1)[place] += sign * step
                values.append(penalty().item())
                with torch.no_grad():
                    parameter.view(-1)[place] -= sign * step
            slope = (values[0] - values[1]) / (2 * step)
            assert gradient.view(-1)[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_penalty_on_features_leaves_what_made_them_untouched():
    extractor = torch.nn.Linear(4, 4, dtype=torch.float64)
    network = SmallDiscriminator()
    features = extractor(torch.randn(3, 4, dtype=torch.float64)).detach().requires_grad_()
    r1_penalty(network(features), features, gamma=1.0).backward()
    assert extractor.weight.grad is None
    assert network.first.grad is not None


def test_penalty_without_a_gradient_path_is_refused():
    features = torch.randn(3, 4, dtype=torch.float64)
    with pytest.raises(RuntimeError):
        r1_penalty(SmallDiscriminator()(features), features, gamma=1.0)
