"""How a network computes: with which memory layout, in which precision."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn

from tune_cl.options import Numerics

_Net = TypeVar("_Net", bound=nn.Module)
_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class LaidOut(nn.Module):
    """A network whose maps have one memory format from its input on, and its convolutions one precision.

    What it is built with is the contiguous format and the precision of its weights; see `lay_out`.
    """

    memory_format: torch.memory_format = torch.contiguous_format
    lowered: bool = False  # whether convolutions and matrix products are in bfloat16

    def arranged(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) in the network's memory format, with strides that say so even where C is 1."""
        if self.memory_format is torch.contiguous_format or maps.dim() != 4:
            return maps
        if maps.shape[1] == 1:  # either format, by its strides; convolutions go by these
            batch, _, height, width = maps.shape
            return maps.reshape(batch, height, width).view(batch, height, width, 1).permute(0, 3, 1, 2)
        return maps.contiguous(memory_format=self.memory_format)

    def computing(self, maps: Tensor) -> AbstractContextManager[object]:
        """Context in which convolutions have the network's precision; weights and batch-norm statistics keep theirs."""
        return torch.autocast(maps.device.type, torch.bfloat16) if self.lowered else nullcontext()

    @contextmanager
    def full_precision(self) -> Iterator[None]:
        """Context in which the network computes in the precision of its weights."""
        lowered, self.lowered = self.lowered, False
        try:
            yield
        finally:
            self.lowered = lowered


def lay_out(net: _Net, numerics: Numerics) -> _Net:
    """Bring a network's weights, and from now on its maps, to a memory format and precision; returns the network.

    Args:
        net: any network; one of your own that is no `LaidOut` has its weights laid out and computes as it likes.
        numerics: as resolved.
    """
    memory_format = _FORMATS[numerics.memory_format]
    for module in net.modules():
        if isinstance(module, LaidOut):
            module.memory_format, module.lowered = memory_format, numerics.precision == "bfloat16"
    return net.to(memory_format=memory_format)
