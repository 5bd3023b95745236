"""The networks below a head, cut into five stages each: stage 1 is the stem, 2-5 are blocks.

torchvision is imported where it is used: that takes longer than what a command without its networks has to say.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

NETWORKS = ("small_cnn", "resnet18_cifar", "resnet32_cifar", "resnet18")

_FIXED_WIDTHS = {"resnet18_cifar": 64, "resnet32_cifar": 16, "resnet18": 64}

_MULTIPLES = {  # channels after stages 1 to 5, in widths
    "small_cnn": (1, 2, 2, 4, 4),
    "resnet18_cifar": (1, 1, 2, 4, 8),
    "resnet32_cifar": (1, 1, 2, 4, 4),
    "resnet18": (1, 1, 2, 4, 8),
}


def fixed_width(network: str) -> int | None:
    """Channels after the stem of a network that has one width only; None where the width is free."""
    return _FIXED_WIDTHS.get(network)


def channels_of(network: str, width: int, image_channels: int) -> list[int]:
    """Channels after stages 0 (the image) to 5."""
    return [image_channels, *(width * multiple for multiple in _MULTIPLES[network])]


def build_stages(network: str, width: int, image_channels: int) -> list[nn.Module]:
    """Stages 1 to 5 with whatever initial weights the global generator gives.

    Args:
        network: one of `NETWORKS`.
        width: channels after the stem.
        image_channels: channels of the images.

    Raises:
        ValueError: there is no such network, or it does not have this width.
    """
    if network not in NETWORKS:
        raise ValueError(f"there is no network {network!r}: there are {', '.join(NETWORKS)}")
    fixed = fixed_width(network)
    if fixed is not None and width != fixed:
        raise ValueError(f"{network} has width {fixed}, not {width}")
    if network == "small_cnn":
        return _small_stages(channels_of(network, width, image_channels))
    if network == "resnet32_cifar":
        return _resnet32_stages(channels_of(network, width, image_channels))
    return _resnet18_stages(image_channels, cifar=network == "resnet18_cifar")


def _small_stages(channels: list[int]) -> list[nn.Module]:
    """Five 3x3 convolutions with batch norm; 28x28 images become 28, 14, 14, 7 and 7 pixels wide."""
    strides = [1, 2, 1, 2, 1]
    return [
        nn.Sequential(
            nn.Conv2d(channels[i], channels[i + 1], 3, stride=strides[i], padding=1, bias=False),
            nn.BatchNorm2d(channels[i + 1]),
            nn.ReLU(),
        )
        for i in range(5)
    ]


def _resnet18_stages(image_channels: int, cifar: bool) -> list[nn.Module]:
    """torchvision's ResNet-18: its own stem (7x7, stride 2, max-pool), or a CIFAR stem (3x3, stride 1, no max-pool)."""
    from torchvision.models import resnet18

    net = resnet18(weights=None, num_classes=1)
    if cifar:
        stem = nn.Conv2d(image_channels, 64, 3, padding=1, bias=False)
    else:
        stem = nn.Conv2d(image_channels, 64, 7, stride=2, padding=3, bias=False)
    _initialise(stem)
    first = [stem, net.bn1, net.relu] if cifar else [stem, net.bn1, net.relu, net.maxpool]
    return [nn.Sequential(*first), net.layer1, net.layer2, net.layer3, net.layer4]


def _resnet32_stages(channels: list[int]) -> list[nn.Module]:
    """The CIFAR ResNet-32 of He et al. 2016 (arXiv 1512.03385, section 4.2): 32x32 images become 32, 32, 16, 8 and 8.

    Three groups of five basic blocks, all ReLUs in place; stage 5 is an identity, so stages 4 and 5 are one activation.
    """
    from torchvision.models.resnet import BasicBlock

    stem = nn.Conv2d(channels[0], channels[1], 3, padding=1, bias=False)
    stages: list[nn.Module] = [nn.Sequential(stem, nn.BatchNorm2d(channels[1]), nn.ReLU(inplace=True))]
    for before, after in pairwise(channels[1:5]):
        first = BasicBlock(before, after) if before == after else BasicBlock(before, after, 2, _PaddedShortcut())
        stages.append(nn.Sequential(first, *(BasicBlock(after, after) for _ in range(4))))
    for stage in stages:
        for module in stage.modules():
            if isinstance(module, nn.Conv2d):
                _initialise(module)
    return [*stages, nn.Identity()]


class _PaddedShortcut(nn.Module):
    """Option A of He et al., which their CIFAR networks have: every second pixel, new channels zero; no parameters."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 2 C, ceil(H / 2), ceil(W / 2))."""
        return functional.pad(maps[:, :, ::2, ::2], (0, 0, 0, 0, 0, maps.shape[1]))


def _initialise(convolution: nn.Conv2d) -> None:
    """As torchvision's ResNets start."""
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
