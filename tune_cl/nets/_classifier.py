"""Classifiers whose activations can be read after each of six layers, with a head that grows.

Layers are numbered as in Genifer (arXiv 2106.05350): 0 the image, 1 the stem, 2-5 the blocks, 6 the pooled features.
"""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from tune_cl.losses import at_least_float32
from tune_cl.nets._component import Component, Plain, seeded, to_component
from tune_cl.nets._heads import Head, new_head
from tune_cl.nets._layout import LaidOut
from tune_cl.nets._networks import build_layers, channels_of

POOLED = 6


@dataclass(frozen=True)
class ClassifierShape:
    """What a classifier is built from."""

    network: str  # one of network_names()
    width: int  # channels after the stem; free for small_cnn, else see fixed_width
    image_shape: tuple[int, int, int]  # (C, H, W)
    n_classes: int
    head: str = "linear"  # 'linear', 'cosine' (LUCIR) or 'proxies' (PODNet)
    proxies: int = 10  # per class; read by the head 'proxies' only
    scale: float = 1.0  # what the learned scale of a new head starts at, above 0; not read by the head 'linear'
    similarity: str = "cosine"  # of features to proxies, 'cosine' or 'distance'; read by the head 'proxies' only
    final_relu: bool = True  # whether the activation after layer 5 went through a ReLU


class Classifier(LaidOut):
    """A network in layers: images (B, C, H, W) float32, normalised -> logits (B, n_classes).

    `adjustment` is (n_classes,) float32, or None as long as nobody set one: what `predict` takes off the logits.
    """

    adjustment: Tensor | None

    def __init__(self, shape: ClassifierShape, layers: list[nn.Module]) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.ModuleList([*layers, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())])
        self.n_features = channels_of(shape.network, shape.width, shape.image_shape[0])[5]
        self.head: Head = _head(shape, self.n_features, shape.n_classes)
        self.register_buffer("adjustment", None)

    def features(self, images: Tensor, layer: int) -> Tensor:
        """Activation after a layer: (B, C_l, H_l, W_l), or (B, D) for layer 6; layer 0 is the image itself."""
        return self.forward_from(images, 0, layer)

    def forward_from(self, activation: Tensor, start: int, end: int) -> Tensor:
        """From the activation after layer `start` to that after layer `end`.

        Raises:
            ValueError: `end` comes before `start`.
        """
        if end < start:
            raise ValueError(f"layer {end} cannot be reached from layer {start}, which comes after it")
        x = self.arranged(activation)
        with self.computing(x):
            for transform in self.layers[start:end]:
                x = transform(x)
        return x if end < POOLED else at_least_float32(x)

    def activations(self, images: Tensor) -> list[Tensor]:
        """Activations of one pass, the index is the layer: images, five maps (B, C_l, H_l, W_l), features (B, D)."""
        activations = [self.arranged(images)]
        with self.computing(activations[0]):
            for transform in self.layers:
                activations.append(transform(activations[-1]))
        return [*activations[:POOLED], at_least_float32(activations[POOLED])]

    def logits_from(self, activation: Tensor, layer: int) -> Tensor:
        """Go on from the activation after a layer to the raw logits (B, n_classes)."""
        logits: Tensor = self.head(self.forward_from(activation, layer, POOLED))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Raw logits (B, n_classes): what losses and distillation read."""
        return self.logits_from(images, 0)

    def predict(self, images: Tensor) -> Tensor:
        """Logits (B, n_classes) to score: the raw ones less the adjustment, where there is one."""
        logits: Tensor = self(images)
        return logits if self.adjustment is None else logits - self.adjustment

    def set_adjustment(self, adjustment: Tensor | None) -> None:
        """Set what `predict` takes off the logits (post-hoc: tau * log n), or None for nothing.

        Args:
            adjustment: (n_classes,), finite; copied, to float32 and to the head's device.

        Raises:
            ValueError: it is of another shape, or not finite.
        """
        if adjustment is None:
            self.adjustment = None
            return
        if adjustment.shape != (self.shape.n_classes,) or not bool(adjustment.isfinite().all()):
            raise ValueError(
                f"an adjustment needs one finite number for each of {self.shape.n_classes} classes, "
                f"got {tuple(adjustment.shape)}"
            )
        self.adjustment = adjustment.detach().to(self.head.weight.device, torch.float32, copy=True)

    def feature_shape(self, layer: int) -> tuple[int, int, int]:
        """(C, H, W) after a layer; pooled features are (D, 1, 1)."""
        with torch.no_grad():
            training = self.training
            self.eval()
            activation = self.features(torch.zeros(1, *self.shape.image_shape, device=self.head.weight.device), layer)
            self.train(training)
        channels, height, width = (*activation.shape[1:], 1, 1)[:3]
        return channels, height, width

    def frozen(self) -> "Classifier":
        """Put the network in eval mode and switch its gradients off; returns itself."""
        return self.eval().requires_grad_(False)


def new_classifier(shape: ClassifierShape, seed: int) -> Classifier:
    """Build a classifier with initial weights that depend on the seed and its own shape only."""
    with seeded(seed):
        return blank_classifier(shape)


def grow_head(classifier: Classifier, n_classes: int, seed: int) -> Classifier:
    """Return a copy with a head for `n_classes`; old classes keep their weights, biases and scale, hence their logits.

    An adjustment is dropped: it belongs to the class counts of one increment.

    Args:
        classifier: any head.
        n_classes: at least as many as it has.
        seed: of the new rows' initial weights; they depend on nothing else.

    Raises:
        ValueError: the head would shrink.
    """
    old = classifier.shape.n_classes
    if n_classes < old:
        raise ValueError(f"a head of {old} classes cannot grow to {n_classes}")
    shape = replace(classifier.shape, n_classes=n_classes)
    state = {name: tensor.clone() for name, tensor in classifier.state_dict().items() if name != "adjustment"}
    device = state["head.weight"].device
    if n_classes > old:
        with seeded(seed):
            new_rows = _head(shape, classifier.n_features, n_classes - old)
        for name in ("head.weight", "head.bias"):
            if name in state:
                new = new_rows.state_dict()[name.removeprefix("head.")]
                state[name] = torch.cat([state[name], new.to(device)])
    grown = blank_classifier(shape).to(device)
    grown.load_state_dict(state)
    return grown


def save_classifier(classifier: Classifier) -> Component:
    """The classifier as plain data. Settings with a default are written only where they differ from it."""
    shape = classifier.shape
    settings: dict[str, Plain] = {
        "network": shape.network,
        "width": shape.width,
        "image_shape": shape.image_shape,
        "n_classes": shape.n_classes,
    }
    for field in fields(ClassifierShape):
        if field.name not in settings and getattr(shape, field.name) != field.default:
            settings[field.name] = getattr(shape, field.name)
    if classifier.adjustment is not None:
        settings["adjusted"] = True
    return to_component("classifier", settings, classifier)


def build_classifier(component: Component) -> Classifier:
    """Build a classifier again from plain data, with its adjustment if it has one."""
    settings = dict(component.settings)
    settings["image_shape"] = tuple(settings["image_shape"])  # type: ignore[arg-type]
    adjusted = settings.pop("adjusted", False)
    classifier = blank_classifier(ClassifierShape(**settings))  # type: ignore[arg-type]
    if adjusted:
        classifier.set_adjustment(torch.zeros(classifier.shape.n_classes))  # a place for the one that is loaded
    classifier.load_state_dict(dict(component.tensors))
    return classifier


def blank_classifier(shape: ClassifierShape) -> Classifier:
    """Build a classifier with whatever initial weights the global generator gives.

    Raises:
        ValueError: there is no such network or head, or a setting does not fit it.
    """
    return Classifier(shape, build_layers(shape.network, shape.width, shape.image_shape[0], shape.final_relu))


def _head(shape: ClassifierShape, n_features: int, n_classes: int) -> Head:
    return new_head(shape.head, n_features, n_classes, shape.proxies, shape.scale, shape.similarity)
