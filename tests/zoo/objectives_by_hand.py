"""The exemplar methods' classifier objectives, from their formulas, with none of the package's losses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tune_cl.nets import POOLED, Classifier

Terms = dict[str, Tensor]
Objective = Callable[[Any, Classifier, Classifier, Tensor, Tensor, np.ndarray], Terms]


def class_weights(config: Any, counts: np.ndarray, n_old: int) -> np.ndarray:
    """(alpha n_j)^tau, or epsilon times the new classes' mean count in place of old ones; ones for plain CE."""
    n = np.asarray(counts, dtype=np.float64).copy()
    if config.loss == "balanced":
        n[:n_old] *= config.alpha
    elif config.loss == "relaxed":
        n[:n_old] = config.epsilon * n[n_old:].mean()
    else:
        return np.ones_like(n)
    return n ** getattr(config, "tau", 1.0)


def cross_entropy(logits: Tensor, labels: Tensor, n: np.ndarray) -> Tensor:
    """-log(n_y e^z_y / sum_j n_j e^z_j)."""
    e = torch.as_tensor(n) * logits.double().exp()
    return -(e[torch.arange(len(labels)), labels] / e.sum(1)).log().mean()


def distillation(logits: Tensor, old_logits: Tensor, temperature: float) -> Tensor:
    """Cross-entropy between the softmaxes over the old classes, no factor T^2."""
    old, new = old_logits / temperature, logits[:, : old_logits.shape[1]] / temperature
    return -(old.softmax(1) * new.softmax(1).log()).sum(1).mean()


def il_baseline(
    config: Any, student: Classifier, teacher: Classifier, images: Tensor, labels: Tensor, counts: np.ndarray
) -> Terms:
    z, old = student(images), teacher(images)
    n_old, n_seen = old.shape[1], z.shape[1]
    ce = cross_entropy(z, labels, class_weights(config, counts, n_old))
    kd = distillation(z, old, config.temperature)
    share = n_old / n_seen
    total = (1 - share) * ce + share * kd if config.weighting == "classes" else ce + config.weight_kd * kd
    return {"ce": ce, "kd": kd, "total": total}


def icarl(
    config: Any, student: Classifier, teacher: Classifier, images: Tensor, labels: Tensor, counts: np.ndarray
) -> Terms:
    z, old = student(images), teacher(images)
    n_old = old.shape[1]
    if config.loss in ("bce", "balanced_bce"):
        n, k = counts.sum(), len(counts)
        shift = -np.log((n / k / counts) * ((n - counts) / (n - n / k)))
        shift = np.where(np.arange(k) < n_old, 0.0, shift) if config.loss == "balanced_bce" else np.zeros(k)
        phi = (z.double() + torch.tensor(shift)).sigmoid()
        targets = torch.cat([old.double().sigmoid(), torch.eye(k).double()[labels][:, n_old:]], 1)
        bce = -(targets * phi.log() + (1 - targets) * (1 - phi).log()).mean()
        return {"bce": bce, "total": bce}
    ce = cross_entropy(z, labels, class_weights(config, counts, n_old))
    kd = distillation(z, old, config.temperature)
    return {"ce": ce, "kd": kd, "total": ce + config.weight_kd * config.temperature**2 * kd}


def lucir(
    config: Any, student: Classifier, teacher: Classifier, images: Tensor, labels: Tensor, counts: np.ndarray
) -> Terms:
    features = unit(student.features(images, POOLED))
    cosines = features @ unit(student.head.weight).T
    n_old = len(teacher.head.weight)
    n_new = len(student.head.weight) - n_old
    ce = cross_entropy(student.head.scale * cosines, labels, class_weights(config, counts, n_old))
    feature = (1 - (features * unit(teacher.features(images, POOLED))).sum(1)).mean()
    ranking = margin_ranking(cosines, labels, n_old, config.margin, config.ranking_classes)
    weight = config.weight_feature * (n_old / n_new) ** 0.5
    total = ce + weight * feature + config.weight_ranking * ranking
    return {"ce": ce, "feature": feature, "ranking": ranking, "total": total}


def podnet(
    config: Any, student: Classifier, teacher: Classifier, images: Tensor, labels: Tensor, counts: np.ndarray
) -> Terms:
    features, old_features = (unit(net.features(images, POOLED)) for net in (student, teacher))
    n_old, n_seen = len(teacher.head.weight), len(student.head.weight)
    scores, eta = proxy_scores(student, features), student.head.scale
    if config.loss == "nca":
        classification = nca(scores, eta, labels)
    elif config.loss == "nca_formula":
        classification = formula(scores, eta, labels, config.margin)
    else:
        classification = cross_entropy(eta * scores, labels, class_weights(config, counts, n_old))
    stages = [(profiles(student.features(images, s)), profiles(teacher.features(images, s))) for s in (2, 3, 4, 5)]
    spatial = sum((new - old).norm(dim=1).mean() for new, old in stages) / 4
    flat = (features - old_features).norm(dim=1).mean()
    factor = (n_seen / (n_seen - n_old)) ** 0.5
    total = classification + factor * config.weight_spatial * spatial + factor * config.weight_flat * flat
    name = "nca" if config.loss.startswith("nca") else "ce"
    return {name: classification, "spatial": spatial, "flat": flat, "total": total}


def lwf(
    config: Any, student: Classifier, teacher: Classifier, images: Tensor, labels: Tensor, counts: np.ndarray
) -> Terms:
    z, old = student(images), teacher(images)
    ce = cross_entropy(z, labels, class_weights(config, counts, old.shape[1]))
    kd = distillation(z, old, config.temperature)
    return {"ce": ce, "kd": kd, "total": ce + config.weight_kd * kd}


OBJECTIVES: dict[str, Objective] = {
    "il_baseline": il_baseline,
    "icarl": icarl,
    "lucir": lucir,
    "podnet": podnet,
    "lwf": lwf,
}


def unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


def profiles(maps: Tensor) -> Tensor:
    """Squared maps (B, C, H, W) pooled over their width and over their height, of length 1."""
    squares = maps**2
    return unit(torch.cat([squares.sum(3).flatten(1), squares.sum(2).flatten(1)], 1))


def proxy_scores(network: Classifier, features: Tensor) -> Tensor:
    """sum_k s_ck d_ck with d_ck = -|theta_ck - h|^2 and s_ck its softmax over a class's proxies: (B, C)."""
    distances = -(features[:, None, None] - unit(network.head.weight)).square().sum(3)
    return (distances.softmax(2) * distances).sum(2)


def bare_logits(network: Classifier, images: Tensor) -> Tensor:
    """A network's logits by its kind of head, from its features."""
    features, kind = network.features(images, POOLED), network.shape.head
    if kind == "linear":
        return features @ network.head.weight.T + network.head.bias
    scores = unit(features) @ unit(network.head.weight).T if kind == "cosine" else proxy_scores(network, unit(features))
    return network.head.scale * scores


def nca(scores: Tensor, eta: Tensor, labels: Tensor) -> Tensor:
    """With a = eta s - max of eta s: -log(e^a_y / (e^0 + sum_(i != y) e^a_i)), as released."""
    losses = []
    for of, y in zip(scores, labels, strict=True):
        a = eta * of - (eta * of).max()
        others = torch.cat([a[:y], a[y + 1 :]])
        losses.append(-(a[y].exp() / (1 + others.exp().sum())).log())
    return torch.stack(losses).mean()


def formula(scores: Tensor, eta: Tensor, labels: Tensor, margin: float) -> Tensor:
    """[-log(e^(eta s_y - eta' margin) / sum_(i != y) e^(eta s_i))]_+, without a gradient through eta'."""
    losses = []
    for of, y in zip(scores, labels, strict=True):
        others = torch.cat([of[:y], of[y + 1 :]])
        losses.append(-((eta * of[y] - eta.item() * margin).exp() / (eta * others).exp().sum()).log())
    return torch.stack(losses).clamp(min=0).mean()


def margin_ranking(cosines: Tensor, labels: Tensor, n_old: int, margin: float, k: int) -> Tensor:
    """Mean over old samples and the k nearest new classes of max(0, m - cos_y + cos_i)."""
    lacking = [
        (margin - of[y] + of[n_old:].sort(descending=True).values[:k]).clamp(min=0).mean()
        for of, y in zip(cosines, labels, strict=True)
        if y < n_old
    ]
    return torch.stack(lacking).mean()
