"""The networks below a head, cut into five layers each: layer 1 is the stem, 2-5 are blocks.

torchvision is imported where it is used: that takes longer than what a command without its networks has to say.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional


def small_layers(channels: Sequence[int], final_relu: bool) -> list[nn.Module]:
    """Five 3x3 convolutions with batch norm; 28x28 images become 28, 14, 14, 7 and 7 pixels wide."""
    strides = [1, 2, 1, 2, 1]
    layers: list[nn.Module] = []
    for i in range(5):
        convolution = nn.Conv2d(channels[i], channels[i + 1], 3, stride=strides[i], padding=1, bias=False)
        relu = [nn.ReLU()] if final_relu or i < 4 else []
        layers.append(nn.Sequential(convolution, nn.BatchNorm2d(channels[i + 1]), *relu))
    return layers


def resnet18_layers(channels: Sequence[int], final_relu: bool, cifar: bool) -> list[nn.Module]:
    """torchvision's ResNet-18: its own stem (7x7, stride 2, max-pool), or a CIFAR stem (3x3, stride 1, no max-pool)."""
    from torchvision.models import resnet18

    net = resnet18(weights=None, num_classes=1)
    if cifar:
        stem = nn.Conv2d(channels[0], 64, 3, padding=1, bias=False)
    else:
        stem = nn.Conv2d(channels[0], 64, 7, stride=2, padding=3, bias=False)
    _initialise(stem)
    first = [stem, net.bn1, net.relu] if cifar else [stem, net.bn1, net.relu, net.maxpool]
    if not final_relu:
        net.layer4[-1] = LinearBlock(512, 512)
        _initialise_all([net.layer4[-1]])
    return [nn.Sequential(*first), net.layer1, net.layer2, net.layer3, net.layer4]


def resnet32_layers(channels: Sequence[int], final_relu: bool, projection: bool) -> list[nn.Module]:
    """The CIFAR ResNet-32 of He et al. 2016 (arXiv 1512.03385, section 4.2): 32x32 images become 32, 32, 16, 8 and 8.

    Three groups of five basic blocks, all ReLUs in place; layer 5 is an identity, so layers 4 and 5 are one activation.
    Shortcuts that change the shape have no parameters (option A, theirs) or are projections (option B, LUCIR's).
    """
    from torchvision.models.resnet import BasicBlock

    layers: list[nn.Module] = [nn.Sequential(*_resnet32_stem(channels))]
    for before, after in pairwise(channels[1:5]):
        shortcut = _projection(before, after) if projection else _PaddedShortcut()
        first = BasicBlock(before, after) if before == after else BasicBlock(before, after, 2, shortcut)
        layers.append(nn.Sequential(first, *(BasicBlock(after, after) for _ in range(4))))
    if not final_relu:
        layers[-1] = nn.Sequential(*list(layers[-1].children())[:-1], LinearBlock(channels[4], channels[4]))
    _initialise_all(layers)
    return [*layers, nn.Identity()]


def podnet_layers(channels: Sequence[int], final_relu: bool) -> list[nn.Module]:
    """The ResNet-32 that PODNet trains on CIFAR: 32x32 images become 32, 32, 16, 8 and 8.

    No ReLU after a block, residual branches that start at 0, shortcuts without parameters; the last of the fifteen
    blocks is layer 5, so that POD-spatial compares its maps, too.
    """
    layers: list[nn.Module] = [nn.Sequential(*_resnet32_stem(channels))]
    for before, after, blocks in zip(channels[1:4], channels[2:5], (5, 5, 4), strict=True):
        rest = [LinearBlock(after, after) for _ in range(blocks - 1)]
        layers.append(nn.Sequential(LinearBlock(before, after), *rest))
    last = LinearBlock(channels[4], channels[5])
    layers.append(nn.Sequential(last, nn.ReLU()) if final_relu else nn.Sequential(last))
    _initialise_all(layers)
    for layer in layers:
        for module in layer.modules():
            if isinstance(module, LinearBlock):
                nn.init.zeros_(module.bn2.weight)
    return layers


class LinearBlock(nn.Module):
    """A basic block without the ReLU after the sum: (B, C, H, W) -> (B, C', H', W'). Named as torchvision's."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=1 if before == after else 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample = nn.Identity() if before == after else _PaddedShortcut()

    def forward(self, maps: Tensor) -> Tensor:
        """The block's output."""
        residual: Tensor = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(maps)))))
        shortcut: Tensor = self.downsample(maps)
        return shortcut + residual


def _resnet32_stem(channels: Sequence[int]) -> list[nn.Module]:
    stem = nn.Conv2d(channels[0], channels[1], 3, padding=1, bias=False)
    return [stem, nn.BatchNorm2d(channels[1]), nn.ReLU(inplace=True)]


def _projection(before: int, after: int) -> nn.Module:
    """Option B of He et al.: a 1x1 convolution with stride 2 and batch norm."""
    return nn.Sequential(nn.Conv2d(before, after, 1, stride=2, bias=False), nn.BatchNorm2d(after))


class _PaddedShortcut(nn.Module):
    """Option A of He et al., which their CIFAR networks have: every second pixel, new channels zero; no parameters."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 2 C, ceil(H / 2), ceil(W / 2))."""
        return functional.pad(maps[:, :, ::2, ::2], (0, 0, 0, 0, 0, maps.shape[1]))


def _initialise(convolution: nn.Conv2d) -> None:
    """As torchvision's ResNets start."""
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")


def _initialise_all(layers: list[nn.Module]) -> None:
    for layer in layers:
        for module in layer.modules():
            if isinstance(module, nn.Conv2d):
                _initialise(module)
