"""How large a stage will be on disk, from the configuration alone."""

from collections.abc import Sequence

import torch
from torch import nn

from tune_cl.methods import Method, Phase, Settings
from tune_cl.nets import (
    Classifier,
    ClassifierShape,
    Discriminator,
    DiscriminatorShape,
    Generator,
    GeneratorShape,
    blank_classifier,
)
from tune_cl.records import flatten
from tune_cl.training._game import preview_bytes, previewed_classes


def stage_bytes(
    method: Method,
    config: Settings,
    phase: Phase,
    image_shape: tuple[int, int, int],
    class_sizes: Sequence[int],
    n_stream: int,
) -> int:
    """Bytes of what a phase stores (the networks' sizes are named by the base task).

    Args:
        method: whose phase it is.
        config: the method's whole configuration.
        phase: the phase that stores it.
        image_shape: (C, H, W).
        class_sizes: training images of each class seen.
        n_stream: classes of the whole stream.
    """
    n_seen = len(class_sizes)
    values = flatten(config.model_dump())
    base = {path.removeprefix("base."): value for path, value in values.items() if path.startswith("base.")}
    with torch.device("meta"):
        classifier = blank_classifier(_classifier_shape(base, image_shape, n_seen))
        if phase.name == "generator":
            return _generator_bytes(base, classifier, image_shape, n_seen, n_stream)
        if phase.name == "memory":  # two integers per exemplar, a mean per class
            return 16 * method.memory(config, class_sizes) + 4 * n_seen * classifier.n_features
        return _bytes(classifier)


def _classifier_shape(base: dict[str, object], image_shape: tuple[int, int, int], n_seen: int) -> ClassifierShape:
    network, width = str(base["classifier.network"]), int(str(base["classifier.width"]))
    if "classifier.scale" not in base:
        return ClassifierShape(network, width, image_shape, n_seen)
    proxies = base.get("classifier.proxies")
    head = "cosine" if proxies is None else "proxies"
    return ClassifierShape(network, width, image_shape, n_seen, head=head, proxies=int(str(proxies or 1)))


def _generator_bytes(
    base: dict[str, object], classifier: Classifier, image_shape: tuple[int, int, int], n_seen: int, n_stream: int
) -> int:
    def setting(name: str) -> int:
        return int(str(base[f"generator.{name}"]))

    g = {name: setting(name) for name in ("latent_dim", "style_dim", "embedding_dim", "channels", "start_size")}
    features = "generator.replay_layer" in base
    layer = setting("replay_layer" if features else "matching_layer")
    size = 0 if features else setting("image_size") or image_shape[1]
    made = classifier.feature_shape(layer) if features else (image_shape[0], size, size)
    generator = Generator(GeneratorShape(made, n_stream, **g))  # type: ignore[arg-type]
    shape = DiscriminatorShape(
        classifier.feature_shape(layer),
        n_stream,
        setting("discriminator_width"),
        setting("deviation_group"),
    )
    preview = 0 if features else preview_bytes(len(previewed_classes(n_seen, made)), made)
    return _bytes(generator) + _bytes(Discriminator(shape)) + preview


def _bytes(net: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())
