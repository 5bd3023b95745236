"""Pretrained weights for a base task: the configuration names their hash, a file or the driver brings the tensors."""

from pathlib import Path

from tune_cl.errors import TuneCLError
from tune_cl.methods import Settings, flatten
from tune_cl.nets import Backbone, check_backbone, read_backbone
from tune_cl.records import RunConfig

PRETRAINED = "base.classifier.pretrained"


def backbone_of(config: Settings, backbone: Backbone | None, image_channels: int) -> Backbone | None:
    """The weights that a configuration starts from, None where it starts from initial ones.

    Args:
        config: a method's whole configuration.
        backbone: the weights that are at hand, if any.
        image_channels: of the stream's images.

    Raises:
        TuneCLError: it names weights that are not at hand, or that do not fit the images.
    """
    named = flatten(config.model_dump()).get(PRETRAINED, "none")
    if named == "none":
        return None
    if backbone is None:
        raise TuneCLError(
            f"{PRETRAINED}: the base task starts from a file of weights; name it with --backbone-weights FILE (its "
            f"SHA-256 is {named})"
        )
    if backbone.sha256 != named:
        raise TuneCLError(
            f"{backbone.source}: its SHA-256 is {backbone.sha256}, but {PRETRAINED} is {named}; name the file with that"
        )
    check_backbone(backbone, image_channels)
    return backbone


def read_named_backbone(run: RunConfig, path: Path | None) -> Backbone | None:
    """Read the file of weights for a configuration; None where no file is given.

    Raises:
        TuneCLError: the file is no such weights, or the configuration does not start from any.
    """
    if path is None:
        return None
    backbone = read_backbone(path)
    if flatten(run.parameters).get(PRETRAINED, "none") == "none":
        raise TuneCLError(
            f"{backbone.source}: its SHA-256 is {backbone.sha256}, but {PRETRAINED} is 'none' in this configuration; "
            "leave the option out, or set that parameter to the SHA-256 to start from the file"
        )
    return backbone
