"""The networks that a classifier can have, by name; a plug-in brings others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from tune_cl.errors import TuneCLError
from tune_cl.nets._backbones import podnet_layers, resnet18_layers, resnet32_layers, small_layers
from tune_cl.registry import Origin, Registry


@dataclass(frozen=True)
class Network:
    """A convolutional network below the head, cut into five layers.

    Attributes:
        name: what a configuration calls it.
        multiples: channels after layers 1 to 5, in widths.
        build: (channels after layers 0 to 5, whether layer 5 ends with its ReLU) -> the five layers, with initial
            weights from PyTorch's global generator. Layer 0 is the image, (B, C, H, W); each layer maps
            (B, channels[i], H, W) to (B, channels[i + 1], H', W').
        width: channels after the stem; None where that is free.

    Example:
        >>> def layers(channels, final_relu):
        ...     return [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(channels)]
        >>> NETWORK = Network("plain", multiples=(1, 1, 2, 2, 2), build=layers)
    """

    name: str
    multiples: tuple[int, int, int, int, int]
    build: Callable[[Sequence[int], bool], list[nn.Module]]
    width: int | None = None


_RESNET18, _RESNET32 = (1, 1, 2, 4, 8), (1, 1, 2, 4, 4)
NETWORKS: Registry[Network] = Registry("network")
for _network in (
    Network("small_cnn", (1, 2, 2, 4, 4), small_layers),
    Network("resnet18_cifar", _RESNET18, partial(resnet18_layers, cifar=True), 64),
    Network("resnet32_cifar", _RESNET32, partial(resnet32_layers, projection=False), 16),
    Network("resnet32_projection", _RESNET32, partial(resnet32_layers, projection=True), 16),
    Network("resnet32_podnet", _RESNET32, podnet_layers, 16),
    Network("resnet18", _RESNET18, partial(resnet18_layers, cifar=False), 64),
):
    NETWORKS.add(_network.name, _network)


def network_names() -> tuple[str, ...]:
    """The networks that can be named in a configuration."""
    return tuple(NETWORKS.names())


def get_network(name: str) -> Network:
    """Look a network up.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in NETWORKS:
        raise ValueError(f"network {NETWORKS.unknown(name)}")
    return NETWORKS.get(name, "network")


def network_source(name: object) -> str | None:
    """The hash of a network's source; None for the package's own, and for what is no network's name."""
    return NETWORKS.source(str(name))


def register_network(network: Network, origin: Origin) -> None:
    """Make a network from outside the package known in this process; a new source replaces the old one.

    Raises:
        TuneCLError: it is not sound, or another has its name.
    """
    if len(network.multiples) != 5 or any(not isinstance(m, int) or m < 1 for m in network.multiples):
        raise TuneCLError(
            f"network {network.name!r}: multiples are five whole numbers from 1 on, not {network.multiples}"
        )
    NETWORKS.add(network.name, network, origin)


def fixed_width(network: str) -> int | None:
    """Channels after the stem of a network that has one width only; None where the width is free."""
    return get_network(network).width


def channels_of(network: str, width: int, image_channels: int) -> list[int]:
    """Channels after layers 0 (the image) to 5."""
    return [image_channels, *(width * multiple for multiple in get_network(network).multiples)]


def build_layers(network: str, width: int, image_channels: int, final_relu: bool = True) -> list[nn.Module]:
    """Layers 1 to 5 with whatever initial weights the global generator gives.

    Args:
        network: one of `network_names()`.
        width: channels after the stem.
        image_channels: channels of the images.
        final_relu: False leaves out the ReLU at the end of layer 5, as LUCIR does before its cosine head.

    Raises:
        ValueError: there is no such network, it does not have this width, or it is not cut into five.
    """
    found = get_network(network)
    if found.width is not None and width != found.width:
        raise ValueError(f"{network} has width {found.width}, not {width}")
    layers = list(found.build(channels_of(network, width, image_channels), final_relu))
    if len(layers) != 5:
        raise ValueError(f"network {network!r}: its build gives {len(layers)} layers; five are needed")
    return layers
