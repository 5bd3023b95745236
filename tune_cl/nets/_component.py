"""Networks as plain data: what a stage stores, and how a network is built again from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Plain = int | float | str | bool | tuple[int, ...]


@dataclass(frozen=True)
class Component:
    """One part of a chain's state: settings that rebuild it and its tensors (on the CPU).

    Nothing in it needs a pickle: it is saved as a dictionary of plain values and tensors and read with `weights_only`.
    """

    kind: str
    settings: Mapping[str, Plain]
    tensors: Mapping[str, Tensor] = field(repr=False)


def to_component(kind: str, settings: Mapping[str, Plain], net: nn.Module) -> Component:
    """Copy a network's tensors to the CPU, detached."""
    tensors = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in net.state_dict().items()
    }
    return Component(kind, dict(settings), tensors)


class seeded:
    """Context in which torch's global CPU generator starts from a seed; it is put back afterwards."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __enter__(self) -> None:
        self._state = torch.random.get_rng_state()
        torch.default_generator.manual_seed(self._seed)

    def __exit__(self, *_: object) -> None:
        torch.random.set_rng_state(self._state)
