"""Image replay: Genifer with the discriminator on pixels, matching layer 0 (its control in arXiv 2106.05350)."""

from typing import Literal

from tune_cl.methods import Method, method_config, parameter
from tune_cl.training import (
    BaseClassifier,
    BaseGenerator,
    check_generator_fits,
)
from tune_cl.zoo.genifer import INCREMENT
from tune_cl.zoo.genifer import METHOD as GENIFER


class ImageGenerator(BaseGenerator):
    """The base task's generator; its discriminator is shown images."""

    matching_layer: Literal[0] = parameter(0, "the image itself", source="genifer")


METHOD = Method(
    name="image_replay",
    summary="control: genifer with the discriminator on images instead of features",
    config=method_config(base={"classifier": BaseClassifier, "generator": ImageGenerator}, increment=INCREMENT),
    base=GENIFER.base,
    increment=GENIFER.increment,
    judge=GENIFER.judge,
    check_fit=lambda config, extent: check_generator_fits(config.base.generator, extent.image_shape),
)
