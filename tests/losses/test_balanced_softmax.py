"""Class priors, against closed forms, numpy and counted label draws."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from tune_cl.losses import expected_counts, log_prior, shifted_cross_entropy

N_OLD, N_NEW = 4, 3
COUNTS = torch.tensor([20.0, 20.0, 5.0, 20.0, 500.0, 320.0, 700.0])


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(64, N_OLD + N_NEW, generator=draws, dtype=torch.float64)
    return logits, torch.randint(0, N_OLD + N_NEW, (64,), generator=draws)


def of_new_classes(batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    logits, labels = batch
    return logits, N_OLD + labels % N_NEW


def test_loss_is_the_published_formula(batch):
    logits, labels = batch
    z, n, y = logits.numpy(), COUNTS.double().numpy(), labels.numpy()
    rows = np.arange(len(y))
    expected = -np.log(n[y] * np.exp(z[rows, y]) / (n * np.exp(z)).sum(1)).mean()
    assert shifted_cross_entropy(logits, labels, log_prior(COUNTS.double(), N_OLD)).item() == pytest.approx(expected)


def test_no_prior_and_equal_counts_are_plain_cross_entropy(batch):
    plain = cross_entropy(*batch).item()
    assert shifted_cross_entropy(*batch, None).item() == plain
    equal = log_prior(torch.full((N_OLD + N_NEW,), 37.0), N_OLD)
    assert shifted_cross_entropy(*batch, equal).item() == pytest.approx(plain, abs=1e-6)


def test_scaling_all_counts_changes_nothing(batch):
    one = shifted_cross_entropy(*batch, log_prior(COUNTS.double(), N_OLD))
    thousand = shifted_cross_entropy(*batch, log_prior(1000 * COUNTS.double(), N_OLD))
    assert thousand.item() == pytest.approx(one.item(), abs=1e-12)


def test_gradient_is_softmax_of_shifted_logits_minus_onehot(batch):
    logits, labels = batch[0].requires_grad_(), batch[1]
    shifted_cross_entropy(logits, labels, log_prior(COUNTS.double(), N_OLD)).backward()
    shifted = np.exp(logits.detach().numpy()) * COUNTS.double().numpy()
    expected = shifted / shifted.sum(1, keepdims=True) - np.eye(N_OLD + N_NEW)[labels.numpy()]
    np.testing.assert_allclose(logits.grad.numpy() * len(labels), expected, atol=1e-12)


def test_optimum_under_imbalanced_labels_predicts_classes_as_equally_likely():
    """The reason for the loss: fitted to skewed labels without any input, the bare logits become equal."""
    counts = torch.tensor([10.0, 90.0, 300.0], dtype=torch.float64)
    labels = torch.repeat_interleave(torch.arange(3), counts.long())
    logits = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=100, tolerance_grad=1e-10)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = shifted_cross_entropy(logits.expand(len(labels), 3), labels, log_prior(counts, 1))
        loss.backward()
        return loss

    optimiser.step(closure)
    assert (logits.max() - logits.min()).item() < 1e-4


def test_prior_has_one_normalised_entry_per_seen_class():
    prior = log_prior(COUNTS, N_OLD)
    assert prior.shape == COUNTS.shape
    assert prior.exp().sum().item() == pytest.approx(1.0, abs=1e-6)


def test_exponent_scales_the_prior_and_at_zero_leaves_plain_cross_entropy(batch):
    torch.testing.assert_close(log_prior(COUNTS, N_OLD, tau=0.5), 0.5 * log_prior(COUNTS, N_OLD))
    none = log_prior(torch.cat([torch.zeros(N_OLD), COUNTS[N_OLD:]]), N_OLD, tau=0.0)
    assert torch.equal(none, torch.zeros(N_OLD + N_NEW))
    assert shifted_cross_entropy(*batch, none).item() == cross_entropy(*batch).item()


def test_alpha_multiplies_the_counts_of_old_classes_only():
    expected = COUNTS.clone()
    expected[:N_OLD] *= 2.5
    torch.testing.assert_close(log_prior(COUNTS, N_OLD, alpha=2.5), log_prior(expected, N_OLD))


def test_epsilon_replaces_zeros_only_and_is_a_count_untouched_by_alpha():
    counts = torch.tensor([0.0, 8.0, 100.0])
    expected = torch.log(torch.tensor([2.0, 24.0, 100.0]) / 126.0)
    torch.testing.assert_close(log_prior(counts, 2, alpha=3.0, epsilon=2.0), expected)


def test_relaxed_with_equal_new_counts_runs_from_new_classes_alone_to_all_seen_classes(batch):
    logits, labels = of_new_classes(batch)
    counts = torch.cat([torch.zeros(N_OLD), torch.full((N_NEW,), 500.0)])
    alone = cross_entropy(logits[:, N_OLD:], labels - N_OLD).item()
    everything = cross_entropy(logits, labels).item()
    losses = [
        shifted_cross_entropy(logits, labels, log_prior(counts, N_OLD, epsilon=epsilon)).item()
        for epsilon in (1e-12, 1e-3, 1.0, 100.0, 500.0)
    ]
    assert losses[0] == pytest.approx(alone, abs=1e-6)
    assert losses[-1] == pytest.approx(everything, abs=1e-6)
    assert losses == sorted(losses) and losses[1] < losses[-2]


def test_relaxed_with_unequal_new_counts_tends_to_balanced_loss_over_new_classes_alone(batch):
    logits, labels = of_new_classes(batch)
    counts = torch.cat([torch.zeros(N_OLD), COUNTS[N_OLD:]])
    relaxed = shifted_cross_entropy(logits, labels, log_prior(counts, N_OLD, epsilon=1e-12))
    alone = shifted_cross_entropy(logits[:, N_OLD:], labels - N_OLD, log_prior(COUNTS[N_OLD:].double(), 0))
    assert relaxed.item() == pytest.approx(alone.item(), abs=1e-6)
    plain = cross_entropy(logits[:, N_OLD:], labels - N_OLD)
    assert abs(relaxed.item() - plain.item()) > 1e-3


def test_classes_without_samples_are_refused_with_a_sentence_that_names_the_ways_out():
    counts = torch.tensor([0.0, 0.0, 5.0])
    with pytest.raises(ValueError, match=r"relaxed.*replay_labels: hard"):
        log_prior(counts, 2)


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"epsilon": -1.0}])
def test_impossible_generalisations_are_refused(wrong):
    with pytest.raises(ValueError):
        log_prior(COUNTS, N_OLD, **wrong)


def test_negative_counts_and_too_many_old_classes_are_refused():
    with pytest.raises(ValueError):
        log_prior(torch.tensor([-1.0, 2.0]), 1)
    with pytest.raises(ValueError):
        log_prior(COUNTS, len(COUNTS) + 1)


def test_loss_and_gradient_stay_finite_for_zero_counts_under_a_tiny_epsilon():
    prior = log_prior(torch.tensor([0.0, 0.0, 6000.0]), 2, epsilon=1e-30)
    assert torch.isfinite(prior).all()
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = shifted_cross_entropy(logits, torch.tensor([0, 1, 2, 2, 1, 0, 2, 2]), prior)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    logits = (8 * torch.randn(32, 3, generator=torch.Generator().manual_seed(2))).to(dtype)
    labels = torch.arange(32) % 3
    counts = torch.tensor([1.0, 1e5, 3e5])  # beyond float16
    loss = shifted_cross_entropy(logits, labels, log_prior(counts, 1))
    reference = shifted_cross_entropy(logits.double(), labels, log_prior(counts.double(), 1))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(reference.item(), rel=1e-6)
    halves = log_prior(torch.tensor([30000.0] * 40, dtype=dtype), 20)  # their sum is beyond float16
    torch.testing.assert_close(halves, torch.full((40,), -math.log(40)))


def test_integer_counts_give_a_float_prior():
    torch.testing.assert_close(log_prior(torch.tensor([1, 3]), 1), torch.tensor([0.25, 0.75]).log())


def test_half_replay_of_fifty_classes_beside_ten_new_ones_counts_a_hundred_each():
    counts = expected_counts(torch.full((10,), 500.0), 50, 0.5)
    torch.testing.assert_close(counts, torch.cat([torch.full((50,), 100.0), torch.full((10,), 500.0)]))
    prior = log_prior(counts, 50)
    assert (prior[-1] - prior[0]).item() == pytest.approx(math.log(5), abs=1e-6)
    assert math.log(5) == pytest.approx(1.609, abs=1e-3)


def test_without_replay_in_the_loss_old_classes_count_nothing():
    counts = expected_counts(torch.tensor([3.0, 4.0]), 5, 0.0)
    assert counts.tolist() == [0, 0, 0, 0, 0, 3, 4]


def test_base_task_has_the_counts_of_its_data():
    assert expected_counts(torch.tensor([3, 4]), 0, 0.5).tolist() == [3, 4]


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_impossible_shares_of_replay_are_refused(share):
    with pytest.raises(ValueError, match="share of replay"):
        expected_counts(torch.tensor([3.0]), 5, share)


@pytest.mark.parametrize("replayed_per_batch", [16, 24])
def test_expected_counts_are_those_counted_over_epochs_of_composed_batches(replayed_per_batch):
    """Batches of 32: real images without replacement, the rest replayed with labels uniform over the old classes."""
    n_old, new_counts, epochs = 6, torch.tensor([400, 700, 820]), 60
    draws = np.random.default_rng(3)
    real_per_batch = 32 - replayed_per_batch
    real = np.repeat(np.arange(3) + n_old, new_counts.numpy())
    assert len(real) % real_per_batch == 0
    seen = np.zeros(n_old + 3)
    for _ in range(epochs):
        order = draws.permutation(real)
        for start in range(0, len(order), real_per_batch):
            replayed = draws.integers(0, n_old, replayed_per_batch)
            labels = np.concatenate([order[start : start + real_per_batch], replayed])
            seen += np.bincount(labels, minlength=n_old + 3)
    expected = expected_counts(new_counts, n_old, replayed_per_batch / 32).numpy()
    np.testing.assert_allclose(seen[n_old:] / epochs, expected[n_old:])
    np.testing.assert_allclose(seen[:n_old] / epochs, expected[:n_old], rtol=0.03)
