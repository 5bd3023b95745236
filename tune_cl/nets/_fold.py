"""Batch norm of a network that is not trained any more, folded into the convolutions before it."""

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tune_cl.nets._backbones import LinearBlock
from tune_cl.nets._classifier import Classifier


def folded(classifier: Classifier) -> Classifier:
    """A copy in eval mode without gradients in which a convolution does what its batch norm did after it.

    The outputs are the same but for rounding. Where it is not known which batch norm follows a convolution, as in a
    block from outside the package, both stay as they are.
    """
    copied = copy.deepcopy(classifier).frozen()
    for module in copied.modules():
        for first, second in _pairs(module):
            convolution, norm = module.get_submodule(first), module.get_submodule(second)
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(convolution, norm).requires_grad_(False))
                setattr(module, second, nn.Identity())
    return copied


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of a module's parts of which the first one's output goes to the second and nowhere else."""
    from torchvision.models.resnet import BasicBlock

    if type(module) is nn.Sequential:
        return list(pairwise(name for name, _ in module.named_children()))
    if type(module) in (BasicBlock, LinearBlock):
        return [("conv1", "bn1"), ("conv2", "bn2")]
    return []
