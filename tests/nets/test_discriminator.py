"""The discriminator: size, minibatch deviation and projection against independent computations."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tune_cl.nets import (
    Component,
    Discriminator,
    DiscriminatorShape,
    build_discriminator,
    new_discriminator,
    save_discriminator,
)

CIFAR = DiscriminatorShape((256, 8, 8), 100, width=256, group=32)
SMALL = DiscriminatorShape((6, 7, 7), 5, width=4, group=4)


def scrambled(shape: DiscriminatorShape) -> Discriminator:
    discriminator = new_discriminator(shape, 4)
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in discriminator.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=random))
    return discriminator


def features(shape: DiscriminatorShape, n: int) -> Tensor:
    return torch.randn(n, *shape.feature_shape, generator=torch.Generator().manual_seed(6))


def test_the_cifar_discriminator_has_8_2_million_parameters():
    assert sum(p.numel() for p in new_discriminator(CIFAR, 0).parameters()) == pytest.approx(8.2e6, rel=0.005)


def test_the_cifar_blocks_go_from_8_to_2_pixels_and_from_256_to_512_channels():
    discriminator = new_discriminator(CIFAR, 0)
    convs = [tuple(block[i].weight.shape[:2]) for block in discriminator.blocks for i in (0, 2)]
    assert convs == [(256, 256), (256, 256), (512, 256), (512, 512)]
    assert discriminator.conv.weight.shape == (512, 513, 3, 3)
    assert discriminator.dense.weight.shape == (512, 512 * 2 * 2)


def test_scores_are_those_of_the_formulas():
    """Blocks, pooling, minibatch deviation over interleaved groups, and the projection <h, W_y> / sqrt(wide / 4)."""
    discriminator = scrambled(SMALL)
    x, labels = features(SMALL, 8), torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    tensors = discriminator.state_dict()

    def convolve(x: Tensor, name: str) -> Tensor:
        weight = tensors[f"{name}.weight"]
        out = functional.conv2d(x, weight / math.sqrt(weight[0].numel()), padding=weight.shape[-1] // 2)
        return out + tensors[f"{name}.bias"].view(1, -1, 1, 1)

    def rectify(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    expected = rectify(convolve(rectify(convolve(x, "blocks.0.0")), "blocks.0.2"))
    expected = functional.avg_pool2d(expected, 2)  # 7 -> 3 pixels
    values = expected.numpy()
    deviations = np.empty(8)
    for first in range(2):  # two groups of four: every second sample
        members = values[first::2]
        deviations[first::2] = np.sqrt(members.var(axis=0) + 1e-8).mean()
    channel = torch.tensor(deviations, dtype=torch.float32).view(8, 1, 1, 1).expand(8, 1, 3, 3)
    expected = rectify(convolve(torch.cat([expected, channel], 1), "conv")).flatten(1)
    dense = tensors["dense.weight"]
    h = rectify(expected @ (dense / math.sqrt(dense.shape[1])).T + tensors["dense.bias"])
    rows = tensors["projection.weight"].T + tensors["projection.bias"] * math.sqrt(5)
    scores = (h * rows[labels]).sum(1) / math.sqrt(8 / 4)
    with torch.no_grad():
        torch.testing.assert_close(discriminator(x, labels), scores, rtol=1e-4, atol=1e-5)


def test_the_projection_of_512_channels_is_divided_by_the_root_of_128():
    discriminator = new_discriminator(CIFAR, 0)
    with torch.no_grad():
        discriminator.dense.weight.zero_()
        discriminator.dense.bias.fill_(1.0)  # h = 1
        score = discriminator(features(CIFAR, 1), torch.tensor([3]))
        row = discriminator.projection.weight[:, 3]
    assert score.item() == pytest.approx(row.sum().item() / math.sqrt(128), rel=1e-4)
    assert row.std().item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 2, 2), (3, 3, 3), (3, 4, 4), (1, 28, 28), (3, 32, 32)])
def test_every_stage_can_be_matched(shape):
    discriminator = new_discriminator(DiscriminatorShape(shape, 5, 4, 4), 0)
    x, labels = torch.randn(6, *shape), torch.arange(6) % 5
    assert discriminator(x, labels).shape == (6,)
    if shape[1:] == (1, 1):  # pooled features come without height and width
        assert torch.equal(discriminator(x.flatten(1), labels), discriminator(x, labels))


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7, 8])
def test_any_batch_size_is_scored_and_a_lonely_sample_has_no_deviation(n):
    assert torch.isfinite(scrambled(SMALL)(features(SMALL, n), torch.zeros(n, dtype=torch.int64))).all()


def test_the_label_decides_with_the_features():
    discriminator, x = scrambled(SMALL), features(SMALL, 4)
    with torch.no_grad():
        scores = torch.stack([discriminator(x, torch.full((4,), label)) for label in range(5)])
    assert len({round(value, 4) for value in scores[:, 0].tolist()}) == 5


def test_a_saved_discriminator_is_built_again_whatever_else_its_settings_say():
    discriminator = scrambled(SMALL)
    component = save_discriminator(discriminator)
    component = Component(component.kind, {**component.settings, "layer": 4}, component.tensors)
    again = build_discriminator(component)
    assert again.shape == SMALL
    x, labels = features(SMALL, 4), torch.arange(4)
    with torch.no_grad():
        assert torch.equal(again(x, labels), discriminator(x, labels))
