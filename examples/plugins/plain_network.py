"""A network: five plain convolutions, the second and fourth with stride 2.

tune-cl search --space finetune --plugin examples/plugins/plain_network.py --set base.classifier.network=plain
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from tune_cl.nets import Network


def layers(channels: Sequence[int], final_relu: bool) -> list[nn.Module]:
    """A convolution each, with a ReLU but perhaps after the last."""
    made: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(channels)):
        convolution = nn.Conv2d(before, after, 3, stride=1 + i % 2, padding=1)
        made.append(nn.Sequential(convolution, nn.ReLU()) if final_relu or i < 4 else convolution)
    return made


NETWORK = Network("plain", multiples=(1, 1, 2, 2, 4), build=layers)
