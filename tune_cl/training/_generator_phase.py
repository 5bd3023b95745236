"""The generator phases of Genifer: adversarial matching of the frozen classifier's features (arXiv 2106.05350)."""

from typing import Literal

from tune_cl.errors import TuneCLError
from tune_cl.methods import DISCRIMINATOR, GENERATOR, PhaseContext, PhaseData, PhaseResult, State, parameter
from tune_cl.nets import (
    DiscriminatorShape,
    GeneratorShape,
    build_discriminator,
    build_generator,
    new_discriminator,
    new_generator,
)
from tune_cl.training._frozen import frozen_classifier, frozen_generator
from tune_cl.training._game import Adversarial, Game, GeneratorTraining


class BaseGame(Adversarial):
    """The base task's networks, whose sizes hold in all increments, and how they are trained."""

    steps: int = parameter(250_000, "steps of generator and discriminator", ge=1, source="genifer")
    channels: int = parameter(512, "of the learned constant; halved at every doubling", ge=4, le=4096, source="genifer")
    start_size: int = parameter(4, "pixels of the learned constant", ge=1, le=64, source="genifer")
    latent_dim: int = parameter(512, "size of z", ge=1, le=4096, source="genifer")
    style_dim: int = parameter(512, "size of w", ge=1, le=4096, source="genifer")
    embedding_dim: int = parameter(256, "size of the label's embedding", ge=1, le=4096, source="genifer")
    label_scale: Literal["classes", "unit"] = parameter(
        "classes",
        "how much the label's embedding weighs beside z at the start; classes: variance 1 / (classes of the stream), "
        "an equalised layer's on a one-hot label; unit: variance 1, as z has",
        source="own",
        later=True,
    )
    convolution_gain: Literal["unit", "leaky_relu"] = parameter(
        "unit",
        "factor on the weights of the generator's 3x3 convolutions; leaky_relu: sqrt(2), which keeps the variance "
        "through the LeakyReLU that follows",
        source="own",
        later=True,
    )
    discriminator_width: int = parameter(
        256, "channels of the discriminator's first block; twice as many after it", ge=4, le=4096, source="genifer"
    )
    deviation_group: int = parameter(
        32,
        "samples that share one minibatch standard deviation; of another batch, its greatest common divisor with it",
        ge=1,
        le=1024,
        source="genifer",
    )


class BaseGenerator(BaseGame, GeneratorTraining):
    """The base task's generator: its network, what it matches, and how it is trained."""

    matching_layer: Literal[0, 1, 2, 3, 4, 5, 6] = parameter(
        4, "layer whose features are matched, in all increments; 0 is plain image replay", source="genifer"
    )
    image_size: int = parameter(
        0,
        "pixels of the generator's images, which are resized to the stream's, as real ones are for the game; 0: as "
        "many as networks see",
        ge=0,
        le=1024,
        source="genifer: 128 for CUB-200",
        later=True,
    )


class IncrementGame(Adversarial):
    """How an increment's networks are trained, and what ties them to those before."""

    weight_image: float = parameter(
        10.0, "lambda_ID: L1 to what the old generator makes", ge=0, le=1e4, source="genifer"
    )
    weight_image_scaling: Literal["classes", "none"] = parameter(
        "classes", "classes: lambda_ID times n_prev / n_curr", source="genifer"
    )
    restart: Literal["none", "generator", "discriminator", "both"] = parameter(
        "none", "networks that start anew; the old generator replays old classes all the same", source="own", later=True
    )


class IncrementGenerator(IncrementGame, GeneratorTraining):
    """An increment's generator: adversarial on old and new classes, tied to the old generator."""


def check_generator_fits(config: BaseGenerator, image_shape: tuple[int, int, int]) -> None:
    """Check that doublings of `start_size` reach the generated image's side, with at least one channel left at the end.

    Raises:
        TuneCLError: they do not.
    """
    check_doublings(config, config.image_size or image_shape[1], "images")


def check_doublings(config: BaseGame, side: int, what: str) -> None:
    """Check the same for what the generator makes, such as images, of so many pixels a side.

    Raises:
        TuneCLError: the doublings do not reach it.
    """
    starts = [side >> k for k in range(side.bit_length()) if side % (1 << k) == 0]
    where = "base.generator"
    if config.start_size not in starts:
        raise TuneCLError(
            f"{where}.start_size: no number of doublings takes {config.start_size} to {what} of {side} pixels; "
            f"these would do: {', '.join(map(str, starts))}"
        )
    least = side // config.start_size
    if config.channels < least:
        raise TuneCLError(
            f"{where}.channels: {config.channels} cannot be halved at each doubling from {config.start_size} to {side} "
            f"pixels; at least {least} are needed"
        )


def train_base_generator(config: BaseGenerator, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Train a new generator on the base classes, with the base classifier as frozen feature extractor."""
    size = config.image_size or data.image_shape[1]
    made = (data.image_shape[0], size, size)
    return start_game(Game, config, config.matching_layer, made, data, state, context)


def train_increment_generator(
    config: IncrementGenerator, data: PhaseData, state: State, context: PhaseContext
) -> PhaseResult:
    """Go on from the old generator's average: old classes against its own images, new ones against real images.

    With `restart`, one of the networks, or both, start from new weights instead.
    """
    return go_on_with_game(Game, config, data, state, context)


def start_game(
    game: type[Game],
    config: BaseGame,
    layer: int,
    made: tuple[int, int, int] | None,
    data: PhaseData,
    state: State,
    context: PhaseContext,
) -> PhaseResult:
    """Train new networks on the base classes.

    Args:
        game: what is played.
        config: the phase's configuration.
        layer: of the classifier, whose features the discriminator is shown.
        made: (C, H, W) of what the generator makes; None: of these features.
        data: the base task.
        state: holds the classifier.
        context: where and how.
    """
    classifier = frozen_classifier(state, context)
    features = classifier.feature_shape(layer)
    generator_shape = GeneratorShape(
        made or features,
        data.n_stream,
        config.latent_dim,
        config.style_dim,
        config.embedding_dim,
        config.channels,
        config.start_size,
        config.label_scale == "unit",
        config.convolution_gain == "leaky_relu",
    )
    discriminator_shape = DiscriminatorShape(
        features, data.n_stream, config.discriminator_width, config.deviation_group
    )
    generator = new_generator(generator_shape, context.random_key.seed("generator"))
    discriminator = new_discriminator(discriminator_shape, context.random_key.seed("discriminator"))
    return game(config, data, context, classifier, layer, generator, discriminator, old=None).play(image_weight=0.0)


def go_on_with_game(
    game: type[Game], config: IncrementGame, data: PhaseData, state: State, context: PhaseContext
) -> PhaseResult:
    """Train an increment's networks, from those before it or from new weights."""
    classifier = frozen_classifier(state, context)
    old = frozen_generator(state[GENERATOR], context)
    generator, discriminator = build_generator(state[GENERATOR]), build_discriminator(state[DISCRIMINATOR])
    if config.restart in ("generator", "both"):
        generator = new_generator(generator.shape, context.random_key.seed("generator"))
    if config.restart in ("discriminator", "both"):
        discriminator = new_discriminator(discriminator.shape, context.random_key.seed("discriminator"))
    scale = data.n_old / data.n_new if config.weight_image_scaling == "classes" else 1.0
    played = game(config, data, context, classifier, matched_layer(state), generator, discriminator, old)
    return played.play(image_weight=config.weight_image * scale)


def matched_layer(state: State) -> int:
    """The layer whose features the discriminator was shown from the base task on."""
    return int(str(state[DISCRIMINATOR].settings["layer"]))
