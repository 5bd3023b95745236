"""Classifiers with layers and growing heads, generators, discriminators, image-space augmentation."""

from tune_cl.nets._augment import AdaptiveStrength, augment
from tune_cl.nets._classifier import (
    POOLED,
    Classifier,
    ClassifierShape,
    blank_classifier,
    build_classifier,
    grow_head,
    new_classifier,
    save_classifier,
)
from tune_cl.nets._component import Component, Plain, to_component
from tune_cl.nets._crop_flip import crop_and_flip
from tune_cl.nets._discriminator import (
    Discriminator,
    DiscriminatorShape,
    build_discriminator,
    new_discriminator,
    save_discriminator,
)
from tune_cl.nets._fold import folded
from tune_cl.nets._generator import (
    Generator,
    GeneratorShape,
    average_into,
    build_generator,
    ema_decay,
    new_generator,
    save_generator,
)
from tune_cl.nets._heads import CosineHead, Head, ProxyHead
from tune_cl.nets._imprint import imprint_head
from tune_cl.nets._layout import lay_out
from tune_cl.nets._networks import Network, fixed_width, get_network, network_names, network_source, register_network
from tune_cl.nets._pretrained import load_backbone
from tune_cl.nets._weights_file import Backbone, check_backbone, read_backbone

__all__ = [
    "POOLED",
    "AdaptiveStrength",
    "Backbone",
    "Classifier",
    "ClassifierShape",
    "Component",
    "CosineHead",
    "Discriminator",
    "DiscriminatorShape",
    "Generator",
    "GeneratorShape",
    "Head",
    "Network",
    "Plain",
    "ProxyHead",
    "augment",
    "average_into",
    "blank_classifier",
    "build_classifier",
    "build_discriminator",
    "build_generator",
    "check_backbone",
    "crop_and_flip",
    "ema_decay",
    "fixed_width",
    "folded",
    "get_network",
    "grow_head",
    "imprint_head",
    "lay_out",
    "load_backbone",
    "network_names",
    "network_source",
    "new_classifier",
    "new_discriminator",
    "new_generator",
    "read_backbone",
    "register_network",
    "save_classifier",
    "save_discriminator",
    "save_generator",
    "to_component",
]
