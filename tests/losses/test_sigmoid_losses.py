"""iCaRL's binary losses and the balanced sigmoid, against numpy and closed forms."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from tune_cl.losses import binary_distillation, sigmoid_shift

N_OLD, N_NEW = 4, 3
COUNTS = torch.tensor([20.0, 20.0, 5.0, 20.0, 500.0, 320.0, 700.0], dtype=torch.float64)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(32, N_OLD + N_NEW, generator=draws, dtype=torch.float64)
    labels = torch.randint(0, N_OLD + N_NEW, (32,), generator=draws)
    return logits, labels, 3 * torch.randn(32, N_OLD, generator=draws, dtype=torch.float64)


def binary_by_hand(logits: np.ndarray, targets: np.ndarray) -> float:
    p = expit(logits)
    return float(-(targets * np.log(p) + (1 - targets) * np.log1p(-p)).mean())


def onehot(labels: torch.Tensor) -> np.ndarray:
    return np.eye(N_OLD + N_NEW)[labels.numpy()]


def test_without_an_old_classifier_it_is_one_sigmoid_per_class(batch):
    logits, labels, _ = batch
    expected = binary_by_hand(logits.numpy(), onehot(labels))
    assert binary_distillation(logits, labels).item() == pytest.approx(expected, rel=1e-9)


def test_old_classes_learn_from_the_old_sigmoids_and_new_ones_from_the_labels(batch):
    logits, labels, old_logits = batch
    targets = onehot(labels)
    targets[:, :N_OLD] = expit(old_logits.numpy())
    expected = binary_by_hand(logits.numpy(), targets)
    assert binary_distillation(logits, labels, old_logits).item() == pytest.approx(expected, rel=1e-9)


def test_labels_of_old_classes_say_nothing_beside_an_old_classifier(batch):
    logits, labels, old_logits = batch
    moved = torch.where(labels < N_OLD, (labels + 1) % N_OLD, labels)
    assert not torch.equal(moved, labels)
    assert binary_distillation(logits, moved, old_logits) == binary_distillation(logits, labels, old_logits)


def test_gradient_is_sigmoid_minus_target(batch):
    logits, labels, old_logits = batch
    shift = sigmoid_shift(COUNTS)
    logits.requires_grad_()
    binary_distillation(logits, labels, old_logits, shift).backward()
    z = logits.detach().numpy()
    expected = expit(np.concatenate([z[:, :N_OLD], z[:, N_OLD:] + shift.numpy()[N_OLD:]], axis=1)) - onehot(labels)
    expected[:, :N_OLD] = expit(z[:, :N_OLD]) - expit(old_logits.numpy())
    np.testing.assert_allclose(logits.grad.numpy() * logits.numel(), expected, atol=1e-12)


def test_a_student_that_agrees_with_the_old_classifier_has_no_gradient_there(batch):
    logits, labels, old_logits = batch
    student = torch.cat([old_logits, logits[:, N_OLD:]], dim=1).requires_grad_()
    binary_distillation(student, labels, old_logits, sigmoid_shift(COUNTS)).backward()
    assert student.grad[:, :N_OLD].abs().max() < 1e-12 < student.grad[:, N_OLD:].abs().max()


def test_the_shift_moves_what_is_learnt_from_labels_and_never_what_is_distilled(batch):
    logits, labels, old_logits = batch
    shift = sigmoid_shift(COUNTS)
    everywhere = binary_by_hand((logits + shift).numpy(), onehot(labels))
    assert binary_distillation(logits, labels, None, shift).item() == pytest.approx(everywhere, rel=1e-9)
    other_old = shift.clone()
    other_old[:N_OLD] = 9
    assert binary_distillation(logits, labels, old_logits, other_old) == binary_distillation(
        logits, labels, old_logits, shift
    )


def test_the_shift_is_the_published_formula():
    n, k = COUNTS.sum().item(), len(COUNTS)
    expected = [-np.log(((n / k) / c) * ((n - c) / (n - n / k))) for c in COUNTS.tolist()]
    np.testing.assert_allclose(sigmoid_shift(COUNTS).numpy(), expected, rtol=1e-12)
    assert sigmoid_shift(COUNTS)[2] < sigmoid_shift(COUNTS)[0] < 0 < sigmoid_shift(COUNTS)[6]


def test_the_shift_is_the_log_odds_against_those_of_equal_classes():
    share, k = COUNTS / COUNTS.sum(), len(COUNTS)
    expected = torch.logit(share) - torch.logit(torch.tensor(1 / k, dtype=torch.float64))
    torch.testing.assert_close(sigmoid_shift(COUNTS), expected)


@pytest.mark.parametrize("counts", [torch.full((7,), 37.0), torch.full((3,), 0.1), torch.tensor([6, 6])])
def test_equal_counts_shift_nothing_at_all(counts):
    assert sigmoid_shift(counts).tolist() == [0.0] * len(counts)


def test_scaling_all_counts_changes_nothing_and_integers_are_counts():
    torch.testing.assert_close(sigmoid_shift(1000 * COUNTS), sigmoid_shift(COUNTS))
    torch.testing.assert_close(sigmoid_shift(COUNTS.long()), sigmoid_shift(COUNTS.float()))


def test_optimum_under_imbalanced_labels_is_that_of_equal_classes():
    """Fitted to skewed labels without any input, each bare sigmoid says 1 / k."""
    counts = torch.tensor([10.0, 90.0, 300.0], dtype=torch.float64)
    labels = torch.repeat_interleave(torch.arange(3), counts.long())
    logits = torch.logit(torch.full((3,), 1 / 3, dtype=torch.float64)).requires_grad_()
    binary_distillation(logits.expand(len(labels), 3), labels, None, sigmoid_shift(counts)).backward()
    assert logits.grad.abs().max() < 1e-12


def test_tiny_counts_beside_large_ones_stay_finite():
    shift = sigmoid_shift(torch.tensor([1e-20, 500.0]))
    assert shift.isfinite().all()
    torch.testing.assert_close(shift[0], -shift[1])


@pytest.mark.parametrize("counts", [torch.tensor([5.0]), torch.tensor([[1.0, 2.0]])])
def test_a_single_class_has_no_shift(counts):
    with pytest.raises(ValueError, match="at least two classes"):
        sigmoid_shift(counts)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_classes_without_samples_are_refused_by_number(bad):
    with pytest.raises(ValueError, match=r"\(\[1\]\)"):
        sigmoid_shift(torch.tensor([3.0, bad, 2.0]))


def test_misfitting_logits_and_shifts_are_refused(batch):
    logits, labels, old_logits = batch
    with pytest.raises(ValueError, match="cannot learn from"):
        binary_distillation(logits[:, :2], labels % 2, old_logits)
    with pytest.raises(ValueError, match="cannot learn from"):
        binary_distillation(logits, labels, old_logits[:3])
    with pytest.raises(ValueError, match="one entry for each of 7 classes"):
        binary_distillation(logits, labels, None, torch.zeros(1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised_to_float32_and_large_logits_stay_finite(batch, dtype):
    logits, labels, old_logits = (100 * batch[0]).to(dtype), batch[1], (100 * batch[2]).to(dtype)
    logits.requires_grad_()
    loss = binary_distillation(logits, labels, old_logits, sigmoid_shift(COUNTS.float()))
    reference = binary_distillation(logits.double(), labels, old_logits.double(), sigmoid_shift(COUNTS))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(reference.item(), rel=1e-5)
    loss.backward()
    assert logits.grad.isfinite().all()
    assert sigmoid_shift(torch.tensor([30000.0, 30000.0, 60000.0], dtype=dtype)).dtype == torch.float32
