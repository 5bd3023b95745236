"""Cosine heads and proxies, against loops: their scores, how they grow, are imprinted and stored."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tune_cl.nets import (
    POOLED,
    Classifier,
    ClassifierShape,
    CosineHead,
    ProxyHead,
    build_classifier,
    grow_head,
    imprint_head,
    new_classifier,
    save_classifier,
)

LINEAR = ClassifierShape("small_cnn", 4, (1, 12, 12), 5)
COSINE = ClassifierShape("small_cnn", 4, (1, 12, 12), 5, head="cosine", scale=4.0)
PROXIES = ClassifierShape("small_cnn", 4, (1, 12, 12), 5, head="proxies", proxies=3)
ALL = pytest.mark.parametrize("shape", [LINEAR, COSINE, PROXIES], ids=lambda shape: shape.head)
BOTH = pytest.mark.parametrize("head_class", [CosineHead, ProxyHead])
LEARNING_SCALE = pytest.mark.parametrize("shape", [COSINE, PROXIES], ids=lambda shape: shape.head)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():  # heads that are built bare draw from the global generator
        torch.manual_seed(0)
        yield
    torch.set_num_threads(before)


def images(n: int = 6) -> torch.Tensor:
    return torch.randn(n, 1, 12, 12, generator=torch.Generator().manual_seed(1))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / math.sqrt((one @ one) * (other @ other)))


def test_a_cosine_head_scores_angles_whatever_the_lengths():
    head = CosineHead(7, 4, scale=3.0).double()
    features = 5 * torch.randn(6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    rows = head.weight.detach().numpy()
    expected = np.array([[cosine(feature, row) for row in rows] for feature in features.numpy()])
    np.testing.assert_allclose(head.scores(features).detach().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(head(features).detach().numpy(), 3 * expected, atol=1e-12)
    torch.testing.assert_close(head(100 * features), head(features))


def test_a_class_with_proxies_averages_its_cosines_by_their_own_softmax():
    head = ProxyHead(7, 4, proxies=3, scale=2.0).double()
    features = torch.randn(6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = np.zeros((6, 4))
    for i, feature in enumerate(features.numpy()):
        for c, rows in enumerate(head.weight.detach().numpy()):
            similarities = [cosine(feature, row) for row in rows]
            total = sum(math.exp(s) for s in similarities)
            expected[i, c] = sum(math.exp(s) / total * s for s in similarities)
    np.testing.assert_allclose(head.scores(features).detach().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(head(features).detach().numpy(), 2 * expected, atol=1e-12)


def test_proxies_by_distance_score_minus_the_squared_distance_of_directions():
    head = ProxyHead(7, 4, proxies=3, scale=2.0, similarity="distance").double()
    features = torch.randn(6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = np.zeros((6, 4))
    for i, feature in enumerate(features.numpy()):
        for c, rows in enumerate(head.weight.detach().numpy()):
            near = [-np.square(feature / np.linalg.norm(feature) - r / np.linalg.norm(r)).sum() for r in rows]
            total = sum(math.exp(s) for s in near)
            expected[i, c] = sum(math.exp(s) / total * s for s in near)
    np.testing.assert_allclose(head.scores(features).detach().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(head(features).detach().numpy(), 2 * expected, atol=1e-12)


def test_one_proxy_per_class_is_a_cosine_head():
    cosines, proxies = CosineHead(7, 4, scale=2.0), ProxyHead(7, 4, proxies=1, scale=2.0)
    with torch.no_grad():
        proxies.weight.copy_(cosines.weight.unsqueeze(1))
    features = torch.randn(6, 7, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(proxies(features), cosines(features))


@BOTH
def test_the_scale_learns_and_dead_features_have_a_finite_gradient(head_class):
    head = head_class(5, 3)
    features = torch.zeros(2, 5, requires_grad=True)
    logits = head(features + torch.tensor([[0.0], [1.0]]))
    assert logits[0].abs().sum() == 0
    (logits * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert head.scale.grad.abs() > 0
    assert features.grad.isfinite().all() and features.grad.abs().max() < 100


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@BOTH
def test_half_precision_features_are_compared_in_float32(head_class, dtype):
    head = head_class(512, 3)
    features = 3000 * torch.randn(4, 512, generator=torch.Generator().manual_seed(3)).to(dtype)  # norm beyond float16
    assert head(features).dtype == torch.float32
    torch.testing.assert_close(head(features), head(features.float()))


@BOTH
def test_rows_start_as_those_of_a_linear_layer(head_class):
    rows = head_class(64, 50).weight
    assert 0.9 / 8 < rows.abs().max() <= 1 / 8  # uniform within 1 / sqrt(64)
    assert rows.std().item() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(
    "wrong", [{"head": "cosinus"}, {"head": "cosine", "scale": 0.0}, {"head": "proxies", "proxies": 0}]
)
def test_impossible_heads_are_refused(wrong):
    with pytest.raises(ValueError):
        new_classifier(ClassifierShape("small_cnn", 4, (1, 12, 12), 5, **wrong), 0)


def test_logits_are_the_scale_times_the_scores_of_the_pooled_features():
    classifier = new_classifier(COSINE, 0).eval()
    assert classifier.head.scale.item() == 4.0
    expected = 4 * classifier.head.scores(classifier.features(images(), POOLED))
    torch.testing.assert_close(classifier(images()), expected)


@ALL
def test_growing_keeps_old_rows_and_the_scale_bit_for_bit(shape):
    old = new_classifier(shape, 0).eval()
    with torch.no_grad():
        if shape.head != "linear":
            old.head.scale.fill_(1.2345)
    grown = grow_head(old, 8, seed=5).eval()
    assert grown.shape == ClassifierShape(**{**vars(shape), "n_classes": 8})
    assert grown.head.weight.shape == (8, *old.head.weight.shape[1:])
    for name, tensor in old.state_dict().items():
        kept = grown.state_dict()[name]
        assert torch.equal(kept[:5] if name in ("head.weight", "head.bias") else kept, tensor), name
    torch.testing.assert_close(grown(images())[:, :5], old(images()), rtol=0, atol=1e-6)
    elsewhere = grow_head(new_classifier(shape, 9), 8, seed=5)
    assert torch.equal(elsewhere.head.weight[5:], grown.head.weight[5:])
    assert grown.head.weight[5:].abs().max() > 0
    assert not torch.equal(grow_head(old, 8, seed=6).head.weight[5:], grown.head.weight[5:])


def test_the_settings_of_a_linear_head_are_those_of_stages_stored_before_there_were_others():
    component = save_classifier(new_classifier(LINEAR, 0))
    assert list(component.settings.items()) == [
        ("network", "small_cnn"),
        ("width", 4),
        ("image_shape", (1, 12, 12)),
        ("n_classes", 5),
    ]
    assert list(component.tensors)[-2:] == ["head.weight", "head.bias"]
    assert build_classifier(component).shape == LINEAR


@pytest.mark.parametrize(
    ("shape", "expected"),
    [(COSINE, {"head": "cosine", "scale": 4.0}), (PROXIES, {"head": "proxies", "proxies": 3})],
    ids=["cosine", "proxies"],
)
def test_other_heads_are_stored_with_what_differs_and_built_again(shape, expected):
    classifier = new_classifier(shape, 0).eval()
    with torch.no_grad():
        classifier.head.scale.fill_(7.5)
    component = save_classifier(classifier)
    assert {name: component.settings[name] for name in list(component.settings)[4:]} == expected
    again = build_classifier(component).eval()
    assert again.shape == shape and again.head.scale.item() == 7.5
    assert torch.equal(again(images()), classifier(images()))


@ALL
def test_an_adjustment_moves_predictions_only_and_travels_with_the_stored_classifier(shape):
    classifier = new_classifier(shape, 0).eval()
    raw = classifier(images())
    assert torch.equal(classifier.predict(images()), raw)
    adjustment = torch.arange(5.0, dtype=torch.float64)
    classifier.set_adjustment(adjustment)
    adjustment.zero_()
    expected = raw - torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    assert torch.equal(classifier(images()), raw)
    assert torch.equal(classifier.logits_from(classifier.features(images(), 3), 3), raw)
    torch.testing.assert_close(classifier.predict(images()), expected)
    component = save_classifier(classifier)
    assert component.settings["adjusted"] is True and component.tensors["adjustment"].dtype == torch.float32
    torch.testing.assert_close(build_classifier(component).eval().predict(images()), expected)


def test_a_grown_head_and_a_withdrawn_adjustment_leave_nothing_behind():
    classifier = new_classifier(LINEAR, 0).eval()
    classifier.set_adjustment(torch.ones(5))
    grown = grow_head(classifier, 7, 0)
    assert grown.adjustment is None and "adjustment" not in grown.state_dict()
    assert classifier.adjustment is not None
    classifier.set_adjustment(None)
    assert torch.equal(classifier.predict(images()), classifier(images()))
    assert "adjusted" not in save_classifier(classifier).settings


@pytest.mark.parametrize("wrong", [torch.zeros(4), torch.tensor([0.0, 0, 0, 0, -math.inf])])
def test_misfitting_adjustments_are_refused(wrong):
    with pytest.raises(ValueError, match="one finite number for each of 5 classes"):
        new_classifier(LINEAR, 0).set_adjustment(wrong)


@pytest.fixture
def new_features() -> tuple[torch.Tensor, torch.Tensor]:
    """Features of the classes 5 to 7, in mixed order, 20 of each."""
    labels = torch.arange(60) % 3 + 5
    centres = torch.randn(8, 16, generator=torch.Generator().manual_seed(4))
    return centres[labels] + 0.3 * torch.randn(60, 16, generator=torch.Generator().manual_seed(5)), labels


def grown(shape: ClassifierShape) -> Classifier:
    classifier = grow_head(new_classifier(shape, 0), 8, 1)
    with torch.no_grad():
        classifier.head.weight[:5] *= torch.arange(1.0, 6.0).view(5, *[1] * (classifier.head.weight.ndim - 1))
    return classifier


def test_imprinted_rows_are_mean_directions_as_long_as_old_rows(new_features):
    classifier, (features, labels) = grown(COSINE), new_features
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    imprint_head(classifier, features, labels, 5, seed=0)
    rows = before["head.weight"].numpy()
    length = np.mean([math.sqrt(row @ row) for row in rows[:5]])
    for c in (5, 6, 7):
        own = [f / math.sqrt(f @ f) for f in features[labels == c].numpy()]
        mean = sum(own) / len(own)
        expected = mean / math.sqrt(mean @ mean) * length
        np.testing.assert_allclose(classifier.head.weight[c].detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(classifier.head.weight[:5], before["head.weight"][:5])
    assert classifier.head.weight.requires_grad
    assert all(torch.equal(t, before[name]) for name, t in classifier.state_dict().items() if name != "head.weight")


def test_imprinted_proxies_lie_among_the_samples_of_their_class(new_features):
    classifier, (features, labels) = grown(PROXIES), new_features
    old = classifier.head.weight[:5].detach().clone()
    imprint_head(classifier, features, labels, 5, seed=0)
    weight = classifier.head.weight.detach()
    assert torch.equal(weight[:5], old)
    torch.testing.assert_close(weight[5:].norm(dim=2), old.norm(dim=2).mean().expand(3, 3))
    for c in (5, 6, 7):
        own = nn.functional.normalize(features[labels == c])
        directions = nn.functional.normalize(weight[c])
        assert (directions @ own.mean(0) / own.mean(0).norm()).min() > 0.9  # near the class, and apart
        assert torch.pdist(directions).min() > 0.01
    again, other = grown(PROXIES), grown(PROXIES)
    imprint_head(again, features, labels, 5, seed=0)
    imprint_head(other, features, labels, 5, seed=1)
    assert torch.equal(again.head.weight, weight) and not torch.equal(other.head.weight, weight)


def test_imprinted_proxies_are_the_centres_of_a_classs_clusters():
    """Three tight groups of directions: k-means has one answer, which is found whatever the seed."""
    draws = torch.Generator().manual_seed(4)
    groups = nn.functional.normalize(torch.randn(3, 16, generator=draws))
    samples = (groups.repeat_interleave(12, 0) + 0.01 * torch.randn(36, 16, generator=draws))[torch.randperm(36)]
    expected = [
        nn.functional.normalize(nn.functional.normalize(samples[(samples @ groups.T).argmax(1) == g]).mean(0), dim=0)
        for g in range(3)
    ]
    for seed in range(5):
        classifier = grow_head(new_classifier(PROXIES, 0), 6, 1)
        imprint_head(classifier, 7 * samples, torch.full((36,), 5), 5, seed)
        found = nn.functional.normalize(classifier.head.weight[5].detach())
        order = (torch.stack(expected) @ found.T).argmax(1)
        torch.testing.assert_close(found[order], torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_proxies_of_a_single_sample_are_near_it_and_still_apart():
    classifier = grow_head(new_classifier(PROXIES, 0), 6, 1)
    sample = torch.randn(1, 16, generator=torch.Generator().manual_seed(6))
    imprint_head(classifier, sample, torch.tensor([5]), 5, seed=0)
    directions = nn.functional.normalize(classifier.head.weight[5].detach())
    assert (directions @ nn.functional.normalize(sample)[0]).min() > 0.999
    assert torch.pdist(directions).min() > 0.001


@LEARNING_SCALE
def test_imprinted_classes_recognise_their_own_features(shape, new_features):
    classifier, (features, labels) = grown(shape), new_features
    imprint_head(classifier, features.half(), labels, 5, seed=0)
    assert (classifier.head(features)[:, 5:].argmax(1) + 5 == labels).float().mean() > 0.95


@pytest.mark.parametrize(
    ("shape", "labels", "n_old", "message"),
    [
        (LINEAR, [5, 6, 7], 5, "linear head"),
        (COSINE, [5, 6, 7], 0, "needs old classes"),
        (COSINE, [5, 6, 6], 5, "each class from 5 to 7"),
        (COSINE, [4, 5, 6, 7], 5, "of no other"),
        (COSINE, [5, 6, 7, 8], 5, "of no other"),
    ],
)
def test_misfitting_imprints_are_refused_and_change_nothing(shape, labels, n_old, message):
    classifier = grow_head(new_classifier(shape, 0), 8, 1)
    before = classifier.head.weight.detach().clone()
    with pytest.raises(ValueError, match=message):
        imprint_head(classifier, torch.randn(len(labels), 16), torch.tensor(labels), n_old, seed=0)
    assert torch.equal(classifier.head.weight, before)
