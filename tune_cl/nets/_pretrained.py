"""Weights from a torchvision file into the layers of a classifier."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tune_cl.errors import TuneCLError
from tune_cl.nets._classifier import Classifier

_PLACES = {"layers.0.0.": "conv1.", "layers.0.1.": "bn1."} | {f"layers.{i}.": f"layer{i}." for i in range(1, 5)}


@torch.no_grad()
def load_backbone(classifier: Classifier, state_dict: Mapping[str, Tensor]) -> None:
    """Copy torchvision's ResNet-18 into layers 1 to 5 of a `resnet18` classifier, in place; the head stays as it is.

    Args:
        classifier: of the network 'resnet18'.
        state_dict: torchvision's names (`conv1.weight`, `bn1.running_mean`, `layer1.0.conv1.weight`, ...). `fc.*` is
            not read. `num_batches_tracked` may be missing, as it is in older files; it is then left as it is.

    Raises:
        TuneCLError: the classifier is another network, or names or shapes do not fit; nothing was copied.
    """
    if classifier.shape.network != "resnet18":
        raise TuneCLError(
            f"weights of torchvision's ResNet-18 fit the network 'resnet18' only, not {classifier.shape.network!r}"
        )
    state = classifier.state_dict(keep_vars=True)  # the tensors themselves
    wanted = {_torchvision_name(name): tensor for name, tensor in state.items() if name.startswith("layers.")}
    given = {name: value for name, value in state_dict.items() if not name.startswith("fc.")}
    unknown = [name for name in given if name not in wanted]
    if unknown:
        raise TuneCLError(
            f"these are not the weights of torchvision's ResNet-18: {_listed(unknown)} has no place in it; names like "
            "'conv1.weight' and 'layer1.0.conv1.weight' are expected"
        )
    missing = [name for name in wanted if name not in given and not name.endswith("num_batches_tracked")]
    if missing:
        raise TuneCLError(f"these are not the weights of torchvision's ResNet-18: {_listed(missing)} is missing")
    for name, value in given.items():
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if shape != tuple(wanted[name].shape):
            raise TuneCLError(
                f"the weights do not fit the classifier: {name!r} is {shape}, not {tuple(wanted[name].shape)}"
            )
    for name, value in given.items():
        wanted[name].copy_(value)


def _torchvision_name(name: str) -> str:
    """torchvision's name for a classifier's: 'layers.1.0.bn1.bias' is 'layer1.0.bn1.bias'."""
    place = next(place for place in _PLACES if name.startswith(place))
    return _PLACES[place] + name.removeprefix(place)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]!r}{more}"
