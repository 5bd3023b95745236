"""Memory layout: convolutions of small images are fastest where the channels of a pixel lie side by side."""

from typing import TypeVar

import torch
from torch import Tensor, nn

_Net = TypeVar("_Net", bound=nn.Module)


class LaidOut(nn.Module):
    """A network whose maps have one memory format from its input on, that of its weights; see `lay_out`."""

    memory_format: torch.memory_format = torch.contiguous_format

    def arranged(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) in the network's memory format, with strides that say so even where C is 1."""
        if self.memory_format is torch.contiguous_format or maps.dim() != 4:
            return maps
        if maps.shape[1] == 1:  # either format, by its strides; convolutions go by these
            batch, _, height, width = maps.shape
            return maps.reshape(batch, height, width).view(batch, height, width, 1).permute(0, 3, 1, 2)
        return maps.contiguous(memory_format=self.memory_format)


def lay_out(net: _Net, memory_format: torch.memory_format) -> _Net:
    """Bring a network's weights, and from now on its maps, to a memory format; returns the network itself."""
    for module in net.modules():
        if isinstance(module, LaidOut):
            module.memory_format = memory_format
    return net.to(memory_format=memory_format)
