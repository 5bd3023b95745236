"""Herding against a search by the formula, one exemplar at a time; class means and the nearest one by plain loops."""

import numpy as np
import pytest
import torch

from tune_cl.replay import class_mean, herd, nearest_mean


def features_of(seed: int, n: int = 30, d: int = 7) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def herded_naively(features: torch.Tensor, n: int) -> list[int]:
    phi = features.double().numpy()
    phi = phi / np.sqrt((phi**2).sum(1, keepdims=True))
    mean = phi.sum(0) / len(phi)
    chosen: list[int] = []
    for k in range(1, n + 1):
        gaps = {
            x: np.linalg.norm(mean - (phi[x] + sum(phi[p] for p in chosen)) / k)
            for x in range(len(phi))
            if x not in chosen
        }
        chosen.append(min(gaps, key=gaps.__getitem__))
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_herding_follows_its_formula(seed):
    features = features_of(seed)
    assert herd(features, 12).tolist() == herded_naively(features, 12)


def test_a_smaller_memory_is_a_prefix_of_a_larger_one_and_none_is_taken_twice():
    features = features_of(0)
    assert herd(features, 5).tolist() == herd(features, 20).tolist()[:5]
    assert sorted(herd(features, 100).tolist()) == list(range(30))


def test_the_length_of_features_does_not_matter():
    features = features_of(1)
    scaled = features * torch.linspace(0.1, 10, 30).unsqueeze(1)
    assert herd(features, 10).tolist() == herd(scaled, 10).tolist()


def test_herded_exemplars_are_closer_to_the_class_mean_than_random_ones():
    features = features_of(2, n=200)
    mean = class_mean(features)
    herded = torch.linalg.vector_norm(class_mean(features[herd(features, 5)]) - mean)
    orders = [torch.randperm(200, generator=torch.Generator().manual_seed(seed)) for seed in range(20)]
    random = [torch.linalg.vector_norm(class_mean(features[order[:5]]) - mean) for order in orders]
    assert herded < min(random)


def test_the_nearest_mean_is_the_one_of_the_smallest_distance():
    features, means = features_of(3), torch.nn.functional.normalize(features_of(4, n=6), dim=1)
    found = nearest_mean(features, means)
    for one, label in zip(features.double().numpy(), found.tolist(), strict=True):
        one = one / np.linalg.norm(one)
        distances = [np.linalg.norm(one - mean) for mean in means.double().numpy()]
        assert label == int(np.argmin(distances))
