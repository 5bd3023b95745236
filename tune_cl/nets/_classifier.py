"""Classifiers whose activations can be read after each of six stages, with a head that grows.

Stages are numbered as in Genifer (arXiv 2106.05350): 0 the image, 1 the stem, 2-5 the blocks, 6 the pooled features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from tune_cl.nets._component import Component, Plain, seeded, to_component

POOLED = 6


@dataclass(frozen=True)
class ClassifierShape:
    """What a classifier is built from."""

    network: str  # 'small_cnn' or 'resnet18_cifar'
    width: int  # channels after the stem; stage 5 has 4 times as many (small_cnn) or 8 times (resnet18_cifar)
    image_shape: tuple[int, int, int]  # (C, H, W)
    n_classes: int


class Classifier(nn.Module):
    """A staged network: images (B, C, H, W) float32, normalised -> logits (B, n_classes)."""

    def __init__(self, shape: ClassifierShape, stages: list[nn.Module]) -> None:
        super().__init__()
        self.shape = shape
        self.stages = nn.ModuleList([*stages, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())])
        self.n_features = _channels_of(shape)[5]
        self.head = nn.Linear(self.n_features, shape.n_classes)

    def features(self, images: Tensor, stage: int) -> Tensor:
        """Activation after a stage: (B, C_l, H_l, W_l), or (B, D) for stage 6; stage 0 is the image itself."""
        x = images
        for transform in self.stages[:stage]:
            x = transform(x)
        return x

    def logits_from(self, activation: Tensor, stage: int) -> Tensor:
        """Go on from the activation after a stage to the logits (B, n_classes)."""
        x = activation
        for transform in self.stages[stage:]:
            x = transform(x)
        return self.head(x)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, n_classes)."""
        return self.logits_from(images, 0)

    def feature_shape(self, stage: int) -> tuple[int, int, int]:
        """(C, H, W) after a stage; pooled features are (D, 1, 1)."""
        with torch.no_grad():
            training = self.training
            self.eval()
            activation = self.features(torch.zeros(1, *self.shape.image_shape, device=self.head.weight.device), stage)
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
    """Return a copy with a head for `n_classes`; old classes keep their weights and biases, hence their logits."""
    old = classifier.shape.n_classes
    if n_classes < old:
        raise ValueError(f"a head of {old} classes cannot grow to {n_classes}")
    shape = ClassifierShape(classifier.shape.network, classifier.shape.width, classifier.shape.image_shape, n_classes)
    with seeded(seed):
        new_rows = nn.Linear(classifier.n_features, n_classes - old) if n_classes > old else None
    state = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    if new_rows is not None:
        device = state["head.weight"].device
        state["head.weight"] = torch.cat([state["head.weight"], new_rows.weight.detach().to(device)])
        state["head.bias"] = torch.cat([state["head.bias"], new_rows.bias.detach().to(device)])
    grown = blank_classifier(shape).to(state["head.weight"].device)
    grown.load_state_dict(state)
    return grown


def save_classifier(classifier: Classifier) -> Component:
    """The classifier as plain data."""
    shape = classifier.shape
    settings: dict[str, Plain] = {
        "network": shape.network,
        "width": shape.width,
        "image_shape": shape.image_shape,
        "n_classes": shape.n_classes,
    }
    return to_component("classifier", settings, classifier)


def build_classifier(component: Component) -> Classifier:
    """Build a classifier again from plain data."""
    settings = dict(component.settings)
    settings["image_shape"] = tuple(settings["image_shape"])  # type: ignore[arg-type]
    classifier = blank_classifier(ClassifierShape(**settings))  # type: ignore[arg-type]
    classifier.load_state_dict(dict(component.tensors))
    return classifier


def blank_classifier(shape: ClassifierShape) -> Classifier:
    """Build a classifier with whatever initial weights the global generator gives."""
    stages = _small_stages(shape) if shape.network == "small_cnn" else _resnet18_stages(shape)
    return Classifier(shape, stages)


def _channels_of(shape: ClassifierShape) -> list[int]:
    """Channels after stages 0 to 5."""
    image, w = shape.image_shape[0], shape.width
    if shape.network == "small_cnn":
        return [image, w, 2 * w, 2 * w, 4 * w, 4 * w]
    return [image, w, w, 2 * w, 4 * w, 8 * w]


def _small_stages(shape: ClassifierShape) -> list[nn.Module]:
    """Five 3x3 convolutions with batch norm; 28x28 images become 28, 14, 14, 7 and 7 pixels wide."""
    channels = _channels_of(shape)
    strides = [1, 2, 1, 2, 1]
    return [
        nn.Sequential(
            nn.Conv2d(channels[i], channels[i + 1], 3, stride=strides[i], padding=1, bias=False),
            nn.BatchNorm2d(channels[i + 1]),
            nn.ReLU(),
        )
        for i in range(5)
    ]


def _resnet18_stages(shape: ClassifierShape) -> list[nn.Module]:
    """ResNet-18 with a CIFAR stem (3x3, stride 1, no max-pool), torchvision's blocks."""
    if shape.width != 64:
        raise ValueError(f"resnet18_cifar has width 64, not {shape.width}")
    net = resnet18(weights=None, num_classes=1)
    stem = nn.Conv2d(shape.image_shape[0], 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    return [nn.Sequential(stem, net.bn1, net.relu), net.layer1, net.layer2, net.layer3, net.layer4]
