"""The counts behind a prior are those of the samples that a phase really draws, class by class, at each increment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from objectives_by_hand import class_weights, cross_entropy
from torch import Tensor
from unequal_classes import (
    EXEMPLAR_METHODS,
    REPLAY_HOSTS,
    UNEQUAL,
    Step,
    Trained,
    config_of,
    data_of,
    start_of,
    state_of,
    train,
)

from tune_cl.nets import Classifier, build_classifier
from tune_cl.training import _rehearsal
from tune_cl.training._replay_classifier import prior_of

each_method = pytest.mark.parametrize("host", EXEMPLAR_METHODS)
COUNTS = [*UNEQUAL.old, *UNEQUAL.new]
BENT = {"tau": 0.7, "alpha": 3.0, "epsilon": 0.3}
# By hand: alpha 3 times 1, 4, 2 and 3 exemplars; epsilon 0.3 of (5 + 16 + 11) / 3 images.
BENT_COUNTS = {"balanced": [3, 12, 6, 9, 5, 16, 11], "relaxed": [3.2, 3.2, 3.2, 3.2, 5, 16, 11]}


def log_share(counts: Sequence[float], tau: float = 1.0) -> np.ndarray:
    return tau * np.log(np.array(counts) / np.sum(counts))


@pytest.fixture
def priors(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Each prior that an exemplar method makes."""
    made = []
    make = _rehearsal.training_prior

    def spy(*arguments: Any) -> Tensor | None:
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(_rehearsal, "training_prior", spy)
    return made


@each_method
def test_an_epoch_draws_each_image_once_and_the_prior_is_the_log_share_of_what_was_drawn(host, priors):
    trained = train(host, batch_size=14, learning_rate=0.01, loss="balanced")
    assert len(trained.batches) == 3
    assert trained.counts == COUNTS
    assert priors[0].numpy() == pytest.approx(log_share(trained.counts), abs=1e-5)


@each_method
@pytest.mark.parametrize("loss", ["balanced", "relaxed"])
def test_a_bent_prior_follows_its_formula_class_by_class(host, loss, priors):
    train(host, loss=loss, **BENT)
    assert priors[0].numpy() == pytest.approx(log_share(BENT_COUNTS[loss], 0.7), abs=1e-5)


@each_method
def test_a_class_balanced_sampler_draws_every_class_as_often_as_the_others(host):
    loss = {"podnet": "nca", "icarl": "bce"}.get(host, "ce")
    drawn = {
        sampler: np.array(train(host, loss=loss, sampler=sampler, batch_size=420).counts) / 420
        for sampler in ("shuffled", "class_balanced")
    }
    assert drawn["shuffled"] == pytest.approx(np.exp(log_share(COUNTS)))
    assert drawn["class_balanced"] == pytest.approx([1 / 7] * 7, abs=0.05)


@each_method
def test_post_hoc_adjustment_takes_the_bent_log_share_from_predictions_alone(host):
    plain, posthoc = train(host, loss="ce"), train(host, loss="posthoc", **BENT)
    assert all(torch.equal(tensor, posthoc.tensors[name]) for name, tensor in plain.tensors.items())
    images = torch.randn(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (build_classifier(t.result.changed["classifier"]).eval() for t in (plain, posthoc))
        assert torch.equal(one(images), other(images))
        shift = (one.predict(images) - other.predict(images)).numpy()
    assert shift == pytest.approx(np.tile(log_share(BENT_COUNTS["balanced"], 0.7), (5, 1)), abs=1e-5)


@pytest.mark.parametrize("method", REPLAY_HOSTS)
def test_the_prior_under_replay_follows_its_formula_class_by_class(method):
    """Share 1 / 4 in batches of 12: 4 replayed images beside them, so 32 / 3 of four old classes in an epoch."""
    data, share = data_of(method, UNEQUAL), {"batch_size": 12, "replay_share": 0.25}
    expected = {"balanced": [3 * 32 / 12] * 4, "relaxed": [0.3 * 32 / 3] * 4}
    for loss, old in expected.items():
        for labels in ("soft", "hard") if loss == "relaxed" else ("hard",):
            prior = prior_of(config_of(method, loss=loss, replay_labels=labels, **share, **BENT), data)
            assert prior is not None
            assert prior.numpy() == pytest.approx(log_share([*old, *UNEQUAL.new], 0.7), abs=1e-5)


def ce_by_hand(trained: Trained, start: Classifier, config: Any, n_old: int) -> float:
    """The cross-entropy of the only step, under the counts of what was drawn in it."""
    ((images, labels),) = trained.batches
    counts = np.bincount(labels, minlength=start.shape.n_classes).astype(float)
    for old_images, old_labels in trained.replayed:
        images, labels = torch.cat([images, old_images]), torch.cat([labels, old_labels])
        counts[:n_old] = len(old_labels) / n_old  # as often as any other, in expectation
    return cross_entropy(start(images), labels, class_weights(config, counts, n_old)).item()


LATER = Step(old=(1, 2, 1, 2, 3, 1, 4), new=(9, 4), t=2)


@pytest.mark.parametrize("method", [*EXEMPLAR_METHODS, "lwf", *REPLAY_HOSTS])
def test_the_prior_is_made_anew_at_each_increment_from_what_it_draws(method):
    changes: dict[str, Any] = {"loss": "relaxed" if method == "lwf" else "balanced"}
    if method in REPLAY_HOSTS:
        changes |= {"replay_labels": "hard", "replay_share": 0.2}
    state = state_of(method)
    for step, n_seen in ((UNEQUAL, 7), (LATER, 9)):
        trained, start = train(method, step, state, **changes), start_of(method, step, state)
        by_hand = ce_by_hand(trained, start, config_of(method, **changes), step.n_old)
        assert trained.result.losses["ce"] == pytest.approx(by_hand, rel=1e-4)
        assert len(trained.tensors["head.weight"]) == n_seen
        state.update(trained.result.changed)
