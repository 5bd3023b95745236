"""The generator phases of Genifer: adversarial matching of the frozen classifier's features (arXiv 2106.05350)."""

from typing import Literal

from tune_cl.errors import TuneCLError
from tune_cl.methods._game import Game, GeneratorTraining
from tune_cl.methods._phase import CLASSIFIER, DISCRIMINATOR, GENERATOR, PhaseContext, PhaseData, PhaseResult, State
from tune_cl.methods._tree import parameter
from tune_cl.nets import (
    DiscriminatorShape,
    GeneratorShape,
    build_classifier,
    build_discriminator,
    build_generator,
    new_discriminator,
    new_generator,
)


class BaseGenerator(GeneratorTraining):
    """The base task's generator: its network, what it matches, and how it is trained."""

    steps: int = parameter(250_000, "steps of generator and discriminator", ge=1, source="genifer")
    matching_stage: Literal[0, 1, 2, 3, 4, 5, 6] = parameter(
        4, "stage whose features are matched, in all increments; 0 is plain image replay", source="genifer"
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


class IncrementGenerator(GeneratorTraining):
    """An increment's generator: adversarial on old and new classes, tied to the old generator."""

    weight_image: float = parameter(10.0, "lambda_ID: pixel L1 to the old generator", ge=0, le=1e4, source="genifer")
    weight_image_scaling: Literal["classes", "none"] = parameter(
        "classes", "classes: lambda_ID times n_prev / n_curr", source="genifer"
    )
    restart: Literal["none", "generator", "discriminator", "both"] = parameter(
        "none", "networks that start anew; the old generator replays old classes all the same", source="own", later=True
    )


def check_generator_fits(config: BaseGenerator, image_shape: tuple[int, int, int]) -> None:
    """Check that doublings of `start_size` reach the generated image's side, with at least one channel left at the end.

    Raises:
        TuneCLError: they do not.
    """
    side = config.image_size or image_shape[1]
    starts = [side >> k for k in range(side.bit_length()) if side % (1 << k) == 0]
    where = "base.generator"
    if config.start_size not in starts:
        raise TuneCLError(
            f"{where}.start_size: no number of doublings takes {config.start_size} to images of {side} pixels; "
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
    classifier = build_classifier(state[CLASSIFIER]).to(context.device).frozen()
    size = config.image_size or data.image_shape[1]
    generator_shape = GeneratorShape(
        (data.image_shape[0], size, size),
        data.n_stream,
        config.latent_dim,
        config.style_dim,
        config.embedding_dim,
        config.channels,
        config.start_size,
        config.label_scale == "unit",
    )
    discriminator_shape = DiscriminatorShape(
        classifier.feature_shape(config.matching_stage),
        data.n_stream,
        config.discriminator_width,
        config.deviation_group,
    )
    generator = new_generator(generator_shape, context.place.seed("generator")).to(context.device)
    discriminator = new_discriminator(discriminator_shape, context.place.seed("discriminator")).to(context.device)
    game = Game(config, data, context, classifier, config.matching_stage, generator, discriminator, old=None)
    return game.play(image_weight=0.0)


def train_increment_generator(
    config: IncrementGenerator, data: PhaseData, state: State, context: PhaseContext
) -> PhaseResult:
    """Go on from the old generator's average: old classes against its own images, new ones against real images.

    With `restart`, one of the networks, or both, start from new weights instead.
    """
    classifier = build_classifier(state[CLASSIFIER]).to(context.device).frozen()
    old = build_generator(state[GENERATOR]).to(context.device).eval().requires_grad_(False)
    generator, discriminator = build_generator(state[GENERATOR]), build_discriminator(state[DISCRIMINATOR])
    if config.restart in ("generator", "both"):
        generator = new_generator(generator.shape, context.place.seed("generator"))
    if config.restart in ("discriminator", "both"):
        discriminator = new_discriminator(discriminator.shape, context.place.seed("discriminator"))
    generator, discriminator = generator.to(context.device), discriminator.to(context.device)
    stage = int(str(state[DISCRIMINATOR].settings["stage"]))
    scale = data.n_old / data.n_new if config.weight_image_scaling == "classes" else 1.0
    game = Game(config, data, context, classifier, stage, generator, discriminator, old)
    return game.play(image_weight=config.weight_image * scale)
