"""What holds of a balanced or relaxed loss in each method that has one: identities, limits, bare logits to predict."""

from typing import Any

import numpy as np
import pytest
import torch
from objectives_by_hand import bare_logits, cross_entropy
from unequal_classes import EQUAL, EXEMPLAR_METHODS, REPLAY_HOSTS, UNEQUAL, Trained, start_of, train

from tune_cl.nets import Classifier, build_classifier

# Replayed images as many as old classes are to new ones: of 15 new images, 5 of each class, there are 20 replayed.
HARD = {"replay_labels": "hard", "replay_share_rule": "classes"}
BALANCED: list[tuple[str, dict[str, Any]]] = [
    *((host, {"loss": "balanced"}) for host in EXEMPLAR_METHODS),
    *((method, {"loss": "balanced", **HARD}) for method in REPLAY_HOSTS),
]
RELAXED: list[tuple[str, dict[str, Any]]] = [
    *((host, {"loss": "relaxed"}) for host in EXEMPLAR_METHODS),
    *((method, {"loss": "relaxed", **labels}) for method in REPLAY_HOSTS for labels in ({}, HARD)),
]
SIGMOIDS: tuple[str, dict[str, Any]] = ("icarl", {"loss": "balanced_bce"})
LWF: tuple[str, dict[str, Any]] = ("lwf", {"loss": "relaxed"})
PLAIN = {"balanced": "ce", "relaxed": "ce", "balanced_bce": "bce"}


def plain(changes: dict[str, Any]) -> dict[str, Any]:
    return {**changes, "loss": PLAIN[changes["loss"]]}


def bit_equal(one: Trained, other: Trained) -> bool:
    return all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())


def close(one: Trained, other: Trained) -> bool:
    """Equal but for the rounding of a constant that was added to all logits."""
    a, b = one.tensors, other.tensors
    return all(torch.allclose(a[name].double(), b[name].double(), rtol=1e-4, atol=1e-4) for name in a)


def assert_predicts_by_bare_logits(classifier: Classifier) -> None:
    images = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(classifier.predict(images), bare_logits(classifier, images))


@pytest.mark.parametrize(("method", "changes"), [*BALANCED, SIGMOIDS])
def test_equal_counts_are_the_plain_loss(method, changes):
    assert close(train(method, EQUAL, **changes), train(method, EQUAL, **plain(changes)))
    assert not close(train(method, UNEQUAL, **changes), train(method, UNEQUAL, **plain(changes)))


@pytest.mark.parametrize(("method", "changes"), [*BALANCED, *RELAXED])
def test_an_exponent_of_zero_is_plain_cross_entropy_bit_for_bit(method, changes):
    assert bit_equal(train(method, tau=0.0, **changes), train(method, **plain(changes)))


@pytest.mark.parametrize("host", EXEMPLAR_METHODS)
def test_post_hoc_adjustment_by_an_exponent_of_zero_predicts_by_bare_logits(host):
    classifier = build_classifier(train(host, loss="posthoc", tau=0.0).result.changed["classifier"]).eval()
    assert_predicts_by_bare_logits(classifier)


@pytest.mark.parametrize(("method", "changes"), [*RELAXED, LWF])
def test_relaxed_with_a_whole_count_for_old_classes_is_plain_cross_entropy(method, changes):
    expected = train(method, EQUAL, **plain(changes))
    assert close(train(method, EQUAL, epsilon=1.0, **changes), expected)
    assert not close(train(method, EQUAL, epsilon=0.1, **changes), expected)


ALONE = {"lwf": {"weight_kd": 0.0}, **{method: {"weight_ce": 1.0, "weight_feature": 0.0} for method in REPLAY_HOSTS}}


@pytest.mark.parametrize("method", ALONE)
@pytest.mark.parametrize("step", [EQUAL, UNEQUAL], ids=["equal", "unequal"])
def test_relaxed_tends_to_balanced_cross_entropy_over_the_new_classes_alone(method, step):
    """With equal counts that is plain cross-entropy over them; the head's old rows get no gradient from either."""
    trained = train(method, step, loss="relaxed", epsilon=1e-30, **ALONE[method])
    start = start_of(method, step)
    ((images, labels),) = trained.batches
    everything = torch.cat([images, *(old_images for old_images, _ in trained.replayed)])
    z = start(everything)[: len(images), 4:]
    counts = np.ones(3) if step is EQUAL else np.array(step.new)
    assert trained.result.losses["ce"] == pytest.approx(cross_entropy(z, labels - 4, counts).item(), rel=1e-4)
    moved = (trained.tensors["head.weight"] - start.head.weight.detach()).abs().amax(1)
    assert moved[:4].max() < 1e-6 < moved[4:].min()


@pytest.mark.parametrize(("method", "changes"), [*BALANCED, *RELAXED, SIGMOIDS, LWF])
def test_prediction_is_by_bare_logits(method, changes):
    assert_predicts_by_bare_logits(build_classifier(train(method, **changes).result.changed["classifier"]).eval())
