"""Image replay: Genifer with the discriminator on pixels, matching layer 0 (its control in arXiv 2106.05350)."""

from typing import Literal

from tune_cl.methods import Method, Settings, parameter
from tune_cl.training import (
    BaseClassifier,
    BaseGenerator,
    check_generator_fits,
)
from tune_cl.zoo.genifer import METHOD as GENIFER
from tune_cl.zoo.genifer import Increment


class ImageGenerator(BaseGenerator):
    """The base task's generator; its discriminator is shown images."""

    matching_layer: Literal[0] = parameter(0, "the image itself", source="genifer")


class Base(Settings):
    """The base task."""

    classifier: BaseClassifier = BaseClassifier()
    generator: ImageGenerator = ImageGenerator()


class ImageReplayConfig(Settings):
    """Configuration of `image_replay`."""

    base: Base = Base()
    increment: Increment = Increment()


METHOD = Method(
    name="image_replay",
    summary="control: genifer with the discriminator on images instead of features",
    config=ImageReplayConfig,
    base=GENIFER.base,
    increment=GENIFER.increment,
    judge=GENIFER.judge,
    check_fit=lambda config, extent: check_generator_fits(config.base.generator, extent.image_shape),
)
