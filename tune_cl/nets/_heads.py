"""Heads that compare directions: one per class (LUCIR), or several proxies per class (PODNet).

Their logits are a learned scale times scores: cosines, or 2 cos - 2. A class prior is added by the loss, after the
scale; margin losses and NCA read the scores. Rows of old classes are a prefix of `weight`, as in a linear head.
"""

import math

import torch
from torch import Tensor, nn

from tune_cl.losses import unit_vectors

SIMILARITIES = ("cosine", "distance")


class CosineHead(nn.Module):
    """Features (B, D) -> logits (B, n_classes) = scale * cos(weight_c, features), float32 or wider.

    Source: Hou et al., CVPR 2019 (LUCIR).

    Raises:
        ValueError: the scale is not above 0.
    """

    def __init__(self, n_features: int, n_classes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(_initial_rows(n_classes, n_features))  # (n_classes, D), of any length
        self.scale = nn.Parameter(_initial_scale(scale))  # scalar, learned

    def scores(self, features: Tensor) -> Tensor:
        """Cosines (B, n_classes) in [-1, 1], without the scale."""
        return unit_vectors(features) @ unit_vectors(self.weight).mT

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, n_classes)."""
        return self.scale * self.scores(features)


class ProxyHead(nn.Module):
    """Features (B, D) -> logits (B, n_classes) = scale * score_c, float32 or wider, with several proxies per class.

    Source: Douillard et al., ECCV 2020 (arXiv 2004.13513, PODNet: its local similarity classifier). `similarity` is
    'distance', -|f - w|^2 = 2 cos - 2 of unit vectors, as in the released code, or 'cosine', as in the paper's formula:
    differences between classes, and the softmax over proxies, are half as strong then.

    Raises:
        ValueError: there is no proxy, no such similarity, or the scale is not above 0.
    """

    def __init__(
        self, n_features: int, n_classes: int, proxies: int = 10, scale: float = 1.0, similarity: str = "cosine"
    ) -> None:
        super().__init__()
        if proxies < 1:
            raise ValueError(f"a class needs at least one proxy, got {proxies}")
        if similarity not in SIMILARITIES:
            raise ValueError(f"a similarity is one of {', '.join(SIMILARITIES)}, not {similarity!r}")
        rows = _initial_rows(n_classes * proxies, n_features)
        self.weight = nn.Parameter(rows.view(n_classes, proxies, n_features))  # of any length
        self.scale = nn.Parameter(_initial_scale(scale))  # scalar, learned
        self.similarity = similarity

    def scores(self, features: Tensor) -> Tensor:
        """Similarities to each class's proxies, averaged by their own softmax: (B, n_classes), unscaled.

        In [-1, 1] for 'cosine', in [-4, 0] for 'distance'.
        """
        directions = unit_vectors(self.weight)
        found: Tensor = (unit_vectors(features) @ directions.flatten(0, 1).mT).unflatten(1, directions.shape[:2])
        if self.similarity == "distance":
            found = 2 * found - 2
        return (found.softmax(dim=2) * found).sum(dim=2)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, n_classes)."""
        return self.scale * self.scores(features)


Head = nn.Linear | CosineHead | ProxyHead


def new_head(
    kind: str, n_features: int, n_classes: int, proxies: int, scale: float, similarity: str = "cosine"
) -> Head:
    """Build a head with whatever initial weights the global generator gives.

    Args:
        kind: 'linear', 'cosine' or 'proxies'.
        n_features: D.
        n_classes: number of logits.
        proxies: per class; read by 'proxies' only.
        scale: what the learned scale starts at; not read by 'linear'.
        similarity: 'cosine' or 'distance'; read by 'proxies' only.

    Raises:
        ValueError: there is no such kind, or a setting is out of its range.
    """
    if kind == "linear":
        return nn.Linear(n_features, n_classes)
    if kind == "cosine":
        return CosineHead(n_features, n_classes, scale)
    if kind == "proxies":
        return ProxyHead(n_features, n_classes, proxies, scale, similarity)
    raise ValueError(f"a head is 'linear', 'cosine' or 'proxies', not {kind!r}")


def _initial_rows(rows: int, n_features: int) -> Tensor:
    """Rows as `nn.Linear` starts them: uniform within 1 / sqrt(D)."""
    return nn.init.kaiming_uniform_(torch.empty(rows, n_features), a=math.sqrt(5))


def _initial_scale(scale: float) -> Tensor:
    if not scale > 0:
        raise ValueError(f"a head's scale must start above 0, got {scale}")
    return torch.tensor(float(scale))
