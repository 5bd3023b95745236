"""Classifiers with stages and growing heads, generators, discriminators, image-space augmentation."""

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
from tune_cl.nets._component import Component
from tune_cl.nets._crop_flip import crop_and_flip
from tune_cl.nets._discriminator import (
    Discriminator,
    DiscriminatorShape,
    build_discriminator,
    new_discriminator,
    save_discriminator,
)
from tune_cl.nets._generator import (
    Generator,
    GeneratorShape,
    average_into,
    build_generator,
    ema_decay,
    new_generator,
    save_generator,
)

__all__ = [
    "POOLED",
    "AdaptiveStrength",
    "Classifier",
    "ClassifierShape",
    "Component",
    "Discriminator",
    "DiscriminatorShape",
    "Generator",
    "GeneratorShape",
    "augment",
    "average_into",
    "blank_classifier",
    "build_classifier",
    "build_discriminator",
    "build_generator",
    "crop_and_flip",
    "ema_decay",
    "grow_head",
    "new_classifier",
    "new_discriminator",
    "new_generator",
    "save_classifier",
    "save_discriminator",
    "save_generator",
]
