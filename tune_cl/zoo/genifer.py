"""Genifer: generative feature-driven image replay (arXiv 2106.05350). No memory of past images."""

from tune_cl.methods import Method, Phase, Settings, method_config
from tune_cl.training import (
    BASE_CLASSIFIER,
    GENERATOR_STUDENT,
    BaseClassifier,
    BaseGenerator,
    IncrementGenerator,
    ReplayClassifier,
    Student,
    check_generator_fits,
    game_images,
    replay_images,
    train_base_generator,
    train_increment_generator,
    train_with_generator,
)

INCREMENT: dict[str, type[Settings]] = {
    "classifier": ReplayClassifier,
    "generator": IncrementGenerator,
    "student": Student,
}
METHOD = Method(
    name="genifer",
    summary="a generator replays images that induce the hidden features of real ones; no memory",
    config=method_config(base={"classifier": BaseClassifier, "generator": BaseGenerator}, increment=INCREMENT),
    base=(
        BASE_CLASSIFIER,
        Phase("generator", "genifer.base.generator", 2, train_base_generator, game_images, for_successor=True),
    ),
    increment=(
        Phase("classifier", "genifer.classifier", 1, train_with_generator, replay_images),
        Phase("generator", "genifer.generator", 2, train_increment_generator, game_images, for_successor=True),
    ),
    judge=GENERATOR_STUDENT,
    check_fit=lambda config, extent: check_generator_fits(config.base.generator, extent.image_shape),
)
