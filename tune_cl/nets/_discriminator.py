"""The projection discriminator of Genifer, on the classifier's features (arXiv 2106.05350; Miyato & Koyama 2018)."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_cl.losses import at_least_float32
from tune_cl.nets._component import Component, seeded, to_component
from tune_cl.nets._constants import one_hot
from tune_cl.nets._equalised import EqualConv, EqualLinear
from tune_cl.nets._layout import LaidOut


@dataclass(frozen=True)
class DiscriminatorShape:
    """What a discriminator is built from."""

    feature_shape: tuple[int, int, int]  # (C, H, W) at the matching layer; pooled features are (D, 1, 1)
    n_classes: int  # one-hot width: the classes of the whole stream
    width: int  # channels of the first block; twice as many from the second on and in the dense layer
    group: int  # samples that share one minibatch standard deviation


class Discriminator(LaidOut):
    """Features (B, C, H, W) or (B, D), labels (B,) int64 -> scores (B,).

    Blocks of two 3x3 convolutions and an average pooling until the side is at most 3 pixels, minibatch standard
    deviation, convolution, dense layer, projection on the label. LeakyReLU 0.2, no normalisation layers. The row that
    h is projected on is the label's own plus one common to all labels (Miyato & Koyama's unconditional term).
    """

    def __init__(self, shape: DiscriminatorShape) -> None:
        super().__init__()
        self.shape = shape
        channels, side, _ = shape.feature_shape
        wide = 2 * shape.width
        blocks: list[nn.Module] = []
        while side > 3:
            width = shape.width if not blocks else wide
            convs = EqualConv(channels, width, 3), EqualConv(width, width, 3)
            blocks.append(nn.Sequential(convs[0], nn.LeakyReLU(0.2), convs[1], nn.LeakyReLU(0.2)))
            channels, side = width, side // 2
        self.blocks = nn.ModuleList(blocks)
        self.conv = EqualConv(channels + 1, wide, 3 if side > 1 else 1)
        self.dense = EqualLinear(wide * side * side, wide)
        self.projection = EqualLinear(shape.n_classes, wide)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Scores; positive means real."""
        x = self.arranged(features if features.dim() == 4 else features[:, :, None, None])
        with self.computing(x):
            for block in self.blocks:
                x = functional.avg_pool2d(block(x), 2)
            x = functional.leaky_relu(self.conv(self._with_deviation(x)), 0.2)
            h = functional.leaky_relu(self.dense(x.flatten(1)), 0.2)
        h = at_least_float32(h)
        # EqualLinear divides by sqrt(n_classes); undone here so that a class's row starts with unit variance.
        rows: Tensor = self.projection(one_hot(labels, self.shape.n_classes, h.dtype)) * math.sqrt(self.shape.n_classes)
        return (h * rows).sum(1) / math.sqrt(h.shape[1] / 4)

    def _with_deviation(self, x: Tensor) -> Tensor:
        """Append one channel: the standard deviation over a group of samples, averaged over features (Karras 2018)."""
        n, _, height, width = x.shape
        group = math.gcd(n, self.shape.group)
        y = at_least_float32(x).unflatten(0, (group, n // group))
        deviation = (y.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
        channel = deviation.repeat(group).reshape(n, 1, 1, 1).expand(n, 1, height, width)
        return torch.cat([x, channel.to(x.dtype)], dim=1)


def new_discriminator(shape: DiscriminatorShape, seed: int) -> Discriminator:
    """Build a discriminator with initial weights that depend on the seed and its own shape only."""
    with seeded(seed):
        return Discriminator(shape)


def save_discriminator(discriminator: Discriminator) -> Component:
    """The discriminator as plain data."""
    return to_component("discriminator", asdict(discriminator.shape), discriminator)


def build_discriminator(component: Component) -> Discriminator:
    """Build a discriminator again from plain data."""
    settings = {name: value for name, value in component.settings.items() if name != "layer"}
    settings["feature_shape"] = tuple(settings["feature_shape"])  # type: ignore[arg-type]
    discriminator = Discriminator(DiscriminatorShape(**settings))  # type: ignore[arg-type]
    discriminator.load_state_dict(dict(component.tensors))
    return discriminator
