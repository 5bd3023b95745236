"""Feature replay: a generator makes hidden features themselves, so that what makes them must stay as it is (a control).

Everything else is Genifer's (arXiv 2106.05350), which has images in their place to be free of that.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import model_validator
from torch import Tensor

from tune_cl.errors import TuneCLError
from tune_cl.methods import (
    GENERATOR,
    Extent,
    Method,
    Phase,
    PhaseContext,
    PhaseData,
    PhaseResult,
    Settings,
    State,
    method_config,
    parameter,
)
from tune_cl.nets import ClassifierShape, Generator, blank_classifier
from tune_cl.replay import FeatureReplay
from tune_cl.training import (
    BASE_CLASSIFIER,
    BaseClassifier,
    BaseGame,
    Game,
    IncrementGame,
    ReplayClassifier,
    check_doublings,
    frozen_generator,
    game_images,
    go_on_with_game,
    matched_layer,
    replay_images,
    start_game,
    train_with_replay,
)


class FeatureGenerator(BaseGame):
    """The base task's generator of features."""

    replay_layer: Literal[3, 4, 5] = parameter(
        4,
        "layer whose features are made and replayed; it and all before it stay as the base task left them",
        source="own",
    )


class FeatureClassifier(ReplayClassifier):
    """An increment's classifier under replayed features."""

    distillation_layer: Literal[4, 5, 6] = parameter(
        6, "layer whose features are distilled, after replay_layer", source="own"
    )


class FeatureReplayRules(Settings):
    """What holds across the parameters of `feature_replay`."""

    @model_validator(mode="after")
    def _distils_what_can_change(self) -> "FeatureReplayRules":
        config: Any = self
        replayed, distilled = config.base.generator.replay_layer, config.increment.classifier.distillation_layer
        if distilled <= replayed:
            raise ValueError(
                f"increment.classifier.distillation_layer {distilled}: layers up to base.generator.replay_layer "
                f"{replayed} do not change, so that there is nothing to distil; take a layer above {replayed}"
            )
        return self


class FeatureGame(Game):
    """The same game on features that the generator makes itself."""

    def made(self, generator: Generator, latents: Tensor, labels: Tensor, noise: list[Tensor]) -> Tensor:
        """Features as the generator makes them: they have no valid range."""
        features: Tensor = generator(latents, labels, noise)
        return features

    def watched(self, images: Tensor) -> Mapping[str, Tensor]:
        """Nothing: features have no range."""
        return {}

    @torch.no_grad()
    def real(self, stored: Tensor) -> Tensor:
        """Features (B, C, H, W) of stored images as they are, without augmentation."""
        return self.classifier.features(self.pixels.see(stored), self.layer)

    def features(self, images: Tensor, purpose: str, step: int) -> Tensor:
        """They are features already."""
        return images

    def preview(self) -> None:
        """There is nothing for people to look at."""


def train_base_features(config: FeatureGenerator, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Train a new generator of the base classes' features."""
    return start_game(FeatureGame, config, config.replay_layer, None, data, state, context)


def train_increment_features(
    config: IncrementGame, data: PhaseData, state: State, context: PhaseContext
) -> PhaseResult:
    """Go on from the old generator's average: old classes against its own features, new ones against real ones."""
    return go_on_with_game(FeatureGame, config, data, state, context)


def train_with_features(config: FeatureClassifier, data: PhaseData, state: State, context: PhaseContext) -> PhaseResult:
    """Train the layers after the replayed one: real new images through all of them, replayed features through these."""
    generator = frozen_generator(state[GENERATOR], context)
    source = FeatureReplay(generator, data.n_old, context.random_key, context.device)
    return train_with_replay(config, data, state, context, source, start=matched_layer(state))


def _check_fit(config: Any, extent: Extent) -> None:
    classifier = config.base.classifier
    shape = ClassifierShape(classifier.network, classifier.width, extent.image_shape, extent.n_base)
    with torch.device("meta"):
        _, height, width = blank_classifier(shape).feature_shape(config.base.generator.replay_layer)
    if height != width:
        raise TuneCLError(f"base.generator.replay_layer: its features are {height} x {width}; they must be square")
    check_doublings(config.base.generator, height, "features")


METHOD = Method(
    name="feature_replay",
    summary="control: a generator replays hidden features; the layers that make them stay as they are",
    config=method_config(
        base={"classifier": BaseClassifier, "generator": FeatureGenerator},
        increment={"classifier": FeatureClassifier, "generator": IncrementGame},
        rules=FeatureReplayRules,
    ),
    base=(
        BASE_CLASSIFIER,
        Phase("generator", "feature_replay.base.generator", 1, train_base_features, game_images, for_successor=True),
    ),
    increment=(
        Phase("classifier", "feature_replay.classifier", 1, train_with_features, replay_images),
        Phase("generator", "feature_replay.generator", 1, train_increment_features, game_images, for_successor=True),
    ),
    check_fit=_check_fit,
)
