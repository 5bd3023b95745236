"""Weights of new classes from their features, instead of random ones."""

import warnings

import numpy as np
import torch
from torch import Tensor

from tune_cl.losses import unit_vectors
from tune_cl.nets._classifier import Classifier
from tune_cl.nets._heads import CosineHead, ProxyHead

_JITTER = 0.01  # length of what keeps proxies of the same sample apart, beside a vector of length 1
_RESTARTS, _ITERATIONS = 10, 100  # of k-means; the clustering with the least sum of squares is taken


@torch.no_grad()
def imprint_head(classifier: Classifier, features: Tensor, labels: Tensor, n_old: int, seed: int) -> None:
    """Point the rows of new classes where their features are, as long as old rows are on average; in place.

    A cosine head's new row is the normalised mean of the class's normalised features times the mean length of the old
    rows (Hou et al., CVPR 2019; normalised again after the mean, as in the released code). With proxies the normalised
    features of a class are clustered by k-means, and each proxy takes the direction of a centre times the mean length
    of the old proxies (as in PODNet's released code). Where a class has fewer different samples than proxies each is a
    centre of its own, they repeat, and a random vector of length 0.01 is added to each proxy that repeats one: equal
    proxies would stay equal for ever.

    Args:
        classifier: with a head of kind 'cosine' or 'proxies' for all classes, old ones first. Old rows and the scale
            stay as they are.
        features: (N, D) pooled features of real samples, any float dtype.
        labels: (N,) int64, stream class indices in [n_old, n_classes).
        n_old: number of old classes, at least 1.
        seed: of k-means; a cosine head does not use it.

    Raises:
        ValueError: the head is linear, nothing is old, or features and labels do not fit or lack a new class.
    """
    head = classifier.head
    n_classes = classifier.shape.n_classes
    if not isinstance(head, CosineHead | ProxyHead):
        raise ValueError("only cosine heads and heads with proxies can be imprinted: a linear head has biases, too")
    if not 1 <= n_old <= n_classes:
        raise ValueError(f"imprinting needs old classes among the {n_classes}, got n_old = {n_old}")
    if features.shape != (len(labels), classifier.n_features):
        raise ValueError(f"{len(labels)} labels need features of {classifier.n_features}, got {tuple(features.shape)}")
    labels = labels.cpu()
    counts = torch.bincount(labels, minlength=n_classes)
    if len(counts) > n_classes or bool(counts[:n_old].any()) or not bool(counts[n_old:].all()):
        raise ValueError(f"imprinting needs samples of each class from {n_old} to {n_classes - 1}, and of no other")
    length = torch.linalg.vector_norm(head.weight[:n_old], dim=-1).mean()
    directions = unit_vectors(features.to(head.weight.device))
    rng = np.random.default_rng(seed)
    for c in range(n_old, n_classes):
        own = directions[(labels == c).to(directions.device)]
        if isinstance(head, CosineHead):
            row = unit_vectors(own.mean(dim=0))
        else:
            row = _centres(own, head.weight.shape[1], rng)
        head.weight[c] = row * length


def _centres(directions: Tensor, proxies: int, rng: np.random.Generator) -> Tensor:
    """Directions (proxies, D) of length 1 of the centres of samples (n, D), no two of them the same."""
    from scipy.cluster.vq import kmeans2, vq

    samples = directions.double().cpu().numpy()
    different = np.unique(samples, axis=0)
    if len(different) <= proxies:
        rows = different[np.arange(proxies) % len(different)]
        noise = rng.standard_normal(rows.shape)
        noise[: len(different)] = 0
        rows = rows + _JITTER * noise / np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), 1)
    else:
        with warnings.catch_warnings(action="ignore"):  # of a cluster that lost its samples: it keeps its centre
            tries = [kmeans2(samples, proxies, _ITERATIONS, minit="++", rng=rng)[0] for _ in range(_RESTARTS)]
        rows = min(tries, key=lambda centres: float(np.square(vq(samples, centres)[1]).sum()))
    return unit_vectors(torch.from_numpy(rows).to(directions))
