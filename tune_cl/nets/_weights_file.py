"""Reading pretrained weights from a file that somebody else wrote: tensors only, known by the hash of its contents."""

import hashlib
import io
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tune_cl.errors import TuneCLError
from tune_cl.nets._classifier import ClassifierShape, blank_classifier
from tune_cl.nets._pretrained import load_backbone

_MOST = 10**9  # bytes; torchvision's ResNet-18 has 47 million
_SHAPE = ("resnet18", 64)  # network and width that such weights are for
_WANTED = "the state dict of torchvision's ResNet-18, as torch.save(model.state_dict(), FILE) writes it"


@dataclass(frozen=True)
class Backbone:
    """Weights of a torchvision ResNet-18 without its head."""

    sha256: str  # of the file's contents, 64 hex digits
    tensors: Mapping[str, Tensor]  # by torchvision's names, on the CPU
    source: str  # what messages call the file


def read_backbone(path: Path) -> Backbone:
    """Read a file of weights, without running any code that may be in it.

    Args:
        path: a torchvision ResNet-18's state dict, written by `torch.save`.

    Raises:
        TuneCLError: there is no such file, or it is not one that can be used.
    """
    source = f"--backbone-weights {path}"
    content = _bytes(path, source)
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch, about pickles that are refused anyway
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if re.search("unsupported (global|class)", str(error), re.IGNORECASE):
            raise TuneCLError(
                f"{source}: holds objects other than tensors, which are not read; give {_WANTED}"
            ) from None
        raise TuneCLError(f"{source}: not a file of torch.save, or damaged; give {_WANTED}") from None
    except Exception:  # whatever a damaged archive makes torch say
        raise TuneCLError(f"{source}: not a file of torch.save, or damaged; give {_WANTED}") from None
    backbone = Backbone(hashlib.sha256(content).hexdigest(), _tensors(loaded, source), source)
    check_backbone(backbone, 3)
    return backbone


def check_backbone(backbone: Backbone, image_channels: int) -> None:
    """Check that weights fit a classifier, without building it in memory.

    Raises:
        TuneCLError: names or shapes do not fit.
    """
    with torch.device("meta"):
        classifier = blank_classifier(ClassifierShape(*_SHAPE, (image_channels, 224, 224), 1))
    try:
        load_backbone(classifier, backbone.tensors)
    except TuneCLError as error:
        raise TuneCLError(f"{backbone.source}: {error}") from None


def _bytes(path: Path, source: str) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise TuneCLError(f"{source}: not a file; give {_WANTED}")
        with path.open("rb") as file:
            content = file.read(_MOST + 1)
    except FileNotFoundError:
        raise TuneCLError(f"{source}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise TuneCLError(f"{source}: cannot be read ({reason})") from None
    if len(content) > _MOST:
        raise TuneCLError(f"{source}: larger than 1 GB, which no ResNet-18 is; give {_WANTED}")
    return content


def _tensors(loaded: Any, source: str) -> dict[str, Tensor]:
    """The tensors of a state dict, less those of its head."""
    if not isinstance(loaded, Mapping):
        raise TuneCLError(f"{source}: holds a {type(loaded).__name__}; give {_WANTED}")
    tensors: dict[str, Tensor] = {}
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise TuneCLError(f"{source}: {name!r} is a {type(value).__name__}, no tensor with a name; give {_WANTED}")
        if name.startswith("fc."):
            continue
        plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not plain or value.is_complex() or not np.isfinite(value.detach().float().numpy()).all():
            raise TuneCLError(f"{source}: {name!r} does not hold finite real numbers; give {_WANTED}")
        tensors[name] = value.detach()
    return tensors
