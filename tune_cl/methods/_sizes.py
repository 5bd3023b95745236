"""How large a stage will be on disk, from the configuration alone."""

import torch
from torch import nn

from tune_cl.methods._phase import Phase
from tune_cl.methods._tree import Settings, flatten
from tune_cl.nets import (
    ClassifierShape,
    Discriminator,
    DiscriminatorShape,
    Generator,
    GeneratorShape,
    blank_classifier,
)


def stage_bytes(config: Settings, phase: Phase, image_shape: tuple[int, int, int], n_seen: int, n_stream: int) -> int:
    """Bytes of the networks that a phase stores (the networks' sizes are named by the base task).

    Args:
        config: the method's whole configuration.
        phase: the phase that stores them.
        image_shape: (C, H, W).
        n_seen: classes of the classifier's head.
        n_stream: classes of the whole stream.
    """
    values = flatten(config.model_dump())
    base = {path.removeprefix("base."): value for path, value in values.items() if path.startswith("base.")}
    with torch.device("meta"):
        shape = ClassifierShape(base["classifier.network"], base["classifier.width"], image_shape, n_seen)
        classifier = blank_classifier(shape)
        if phase.name == "classifier":
            return _bytes(classifier)
        g = {name: base[f"generator.{name}"] for name in ("latent_dim", "style_dim", "embedding_dim", "channels")}
        generator = Generator(GeneratorShape(image_shape, n_stream, start_size=base["generator.start_size"], **g))
        features = classifier.feature_shape(base["generator.matching_stage"])
        width, group = base["generator.discriminator_width"], base["generator.deviation_group"]
        return _bytes(generator) + _bytes(Discriminator(DiscriminatorShape(features, n_stream, width, group)))


def _bytes(net: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())
