"""One phase of Genifer's adversarial training (arXiv 2106.05350): generator against discriminator on features.

Real and fake images are augmented in image space, go through the frozen classifier up to the matching layer, and only
then reach the discriminator:
L_D = softplus(D(f(fake))) + softplus(-D(f(real))) + R1, L_G = softplus(-D(f(fake))) + weight * L1(old image, image)
+ weight_label * CE(C(fake), label); the last term is our own, 0 is the paper's method.
What a generator makes is cut to valid pixels before anything sees it, as it is in replay: its output is linear, and
outside that range the classifier's features mean nothing, so that the discriminator would win at once.
A generator may make smaller images than the stream's: real ones are brought to its size and back like its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from tune_cl.losses import at_least_float32, discriminator_loss, generator_loss, image_distance, r1_penalty
from tune_cl.methods import DISCRIMINATOR, GENERATOR, PhaseContext, PhaseData, PhaseResult, Settings, Sizes, parameter
from tune_cl.nets import (
    AdaptiveStrength,
    Classifier,
    Component,
    Discriminator,
    Generator,
    augment,
    average_into,
    ema_decay,
    save_discriminator,
    save_generator,
)
from tune_cl.store import Stateful
from tune_cl.streams import Pixels, resize
from tune_cl.training._batches import fed, shuffled
from tune_cl.training._frozen import frozen_generator
from tune_cl.training._loop import FiniteLoss, LossTail, check_weights

EDGE_PIXELS = "edge_pixels"  # metric: share of the generated pixels at either end of the valid range
SCORE_GAP = "score_gap"  # metric: mean score of real images less that of generated ones; large where D has won

_BETAS = (0.0, 0.99)
_PREVIEW = 8  # replayed images per class that a stage keeps for people to look at
_PREVIEW_BYTES = 16 * 2**20  # where all classes would be more, some of them are shown


class Adversarial(Settings):
    """How generator and discriminator are trained in one phase."""

    steps: int = parameter(80_000, "steps of generator and discriminator", ge=1, source="genifer")
    batch_size: int = parameter(64, "images in one step; half old, half new at an increment", ge=2, source="genifer")
    learning_rate: float = parameter(2.5e-3, "Adam, generator; betas (0, 0.99)", gt=0, le=1, source="genifer")
    discriminator_ratio: float = parameter(
        1.0,
        "the discriminator's learning rate over the generator's, before lazy R1's k/(k+1)",
        gt=0,
        le=10,
        source="genifer",
    )
    r1_gamma: float = parameter(
        0.03,
        "R1 on the gradient in the features, textbook lazy (times the interval)",
        ge=0,
        le=1000,
        source="genifer: 0.5 / 17",
    )
    r1_interval: int = parameter(16, "steps between two R1 terms", ge=1, source="genifer")
    weight_label: float = parameter(
        0.0,
        "cross-entropy of the frozen classifier on what the generator makes, under its labels; 0: the paper's losses",
        ge=0,
        le=1000,
        source="own",
        later=True,
    )
    ema_half_life: float = parameter(500_000, "images, at most", gt=0, source="genifer")
    ema_ramp: float = parameter(0.05, "half-life as a share of the images seen so far", gt=0, le=1, source="genifer")


class GeneratorTraining(Adversarial):
    """The same, with images that are augmented."""

    augmentation: Literal["off", "fixed", "adaptive"] = parameter(
        "adaptive", "image-space augmentation before the classifier", source="genifer"
    )
    augmentation_p: float = parameter(0.2, "fixed: probability of each operation", ge=0, le=1, source="genifer, range")
    augmentation_target: float = parameter(0.5, "adaptive: E[sign D(real)]", ge=-1, le=1, source="genifer")
    augmentation_speed: float = parameter(0.001, "adaptive: change of p every 4 steps", gt=0, le=1, source="genifer")
    augmentation_limit: float = parameter(0.5, "adaptive: largest p", ge=0, le=1, source="genifer")


def game_images(config: Adversarial, sizes: Sizes | None = None) -> int:
    """Images that a phase trains on, real and fake; however many images the increment has."""
    return 2 * config.steps * config.batch_size


def _strength(config: GeneratorTraining) -> AdaptiveStrength:
    strength = AdaptiveStrength(
        target=config.augmentation_target, speed=config.augmentation_speed, maximum=config.augmentation_limit
    )
    if config.augmentation == "fixed":
        strength.p = config.augmentation_p
    return strength


def previewed_classes(n_seen: int, image_shape: tuple[int, int, int]) -> list[int]:
    """Classes of which a stage keeps images: all, or as many as stay within 16 MiB, from the first to the last."""
    n = min(n_seen, max(2, _PREVIEW_BYTES // preview_bytes(1, image_shape)))
    return [round(i * (n_seen - 1) / max(1, n - 1)) for i in range(n)]


def preview_bytes(n_classes: int, image_shape: tuple[int, int, int]) -> int:
    """Bytes of the images that a stage keeps of so many classes."""
    return n_classes * _PREVIEW * math.prod(image_shape)


@dataclass(frozen=True)
class Draw:
    """What one step trains on; normalised images at the generator's size, the old half first at an increment."""

    real: Tensor  # (B, C, H, W): the old generator's images (pseudo-real), then real new images
    real_labels: Tensor  # (B,) int64
    fake: Tensor  # (B, C, H, W), with a graph back to the generator, cut to valid pixels as `real` is
    fake_labels: Tensor  # (B,) int64
    n_old: int  # samples of the old half: the same latents, labels and noise in `real` and `fake`


class Game:
    """Generator against discriminator over one phase."""

    def __init__(
        self,
        config: Adversarial,
        data: PhaseData,
        context: PhaseContext,
        classifier: Classifier,
        layer: int,
        generator: Generator,
        discriminator: Discriminator,
        old: Generator | None,
    ) -> None:
        self.config, self.data, self.context = config, data, context
        self.classifier, self.layer, self.old = classifier, layer, old
        self.generator, self.discriminator = context.ready(generator), context.ready(discriminator)
        self.average = frozen_generator(save_generator(generator), context)
        self.pixels = Pixels(data.preprocessing, context.device)
        self.n_old_images = config.batch_size // 2 if old is not None else 0
        self.feed = fed(data.new, shuffled(data.new, config.batch_size - self.n_old_images, context), context)
        self.augmentation, self.strength = "off", AdaptiveStrength()
        if isinstance(config, GeneratorTraining):
            self.augmentation, self.strength = config.augmentation, _strength(config)

    def play(self, image_weight: float) -> PhaseResult:
        """Train for the configured number of steps.

        Raises:
            Diverged: a loss was not finite at some step, or a weight of either network is not after the last one.
        """
        config, context = self.config, self.context
        g_optimizer = torch.optim.Adam(self.generator.parameters(), config.learning_rate, betas=_BETAS, fused=True)
        d_optimizer = self._discriminator_optimizer()
        tail = LossTail(config.steps)
        g_finite = FiniteLoss(config.steps, "the generator's loss")
        d_finite = FiniteLoss(config.steps, "the discriminator's loss")
        parts: dict[str, Stateful] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.average,
            "generator_optimizer": g_optimizer,
            "discriminator_optimizer": d_optimizer,
            "strength": self.strength,
            "tail": tail,
            "generator_finite": g_finite,
            "discriminator_finite": d_finite,
        }
        for step in context.steps(config.steps, parts):
            draw = self.draw(step)
            fake_features = self.features(draw.fake, "augment fake", step)
            d_loss, d_terms = self._discriminator_step(d_optimizer, draw, fake_features.detach(), step)
            d_finite.take(step, d_loss)
            loss, g_terms = self._generator_step(g_optimizer, draw, fake_features, image_weight)
            g_finite.take(step, loss)
            self._average(step)
            tail.add(step, {**g_terms, **d_terms})
        check_weights(self.average, "the generator")
        check_weights(self.discriminator, "the discriminator")
        return self._result(tail.means())

    def draw(self, step: int) -> Draw:
        """Draw a step's real images, latents, noise and labels, and generate.

        The fakes' labels are uniform over the increment's own classes; at an increment the old half's are uniform over
        all old classes, and its real counterpart is what the old generator makes of the same latents, labels and noise.
        """
        device, key, n_old = self.context.device, self.context.random_key, self.data.n_old
        stored, real_labels = self.feed.at(step)
        real = self.real(stored)
        random = key.rng("latents", step, device)
        labels = n_old + torch.randint(self.data.n_new, (len(real),), generator=random, device=device)
        latents = self.generator.draw_latents(self.config.batch_size, random)
        noise = self.generator.draw_noise(self.config.batch_size, random)
        if self.old is None:
            return Draw(real, real_labels, self.made(self.generator, latents, labels, noise), labels, 0)
        half = self.n_old_images
        old_labels = torch.randint(n_old, (half,), generator=random, device=device)
        with torch.no_grad():
            old_images = self.made(self.old, latents[:half], old_labels, [layer[:half] for layer in noise])
        labels = torch.cat([old_labels, labels])
        fake = self.made(self.generator, latents, labels, noise)
        return Draw(torch.cat([old_images, real]), torch.cat([old_labels, real_labels]), fake, labels, half)

    def made(self, generator: Generator, latents: Tensor, labels: Tensor, noise: list[Tensor]) -> Tensor:
        """What a generator makes, as it is replayed: cut to the range of valid pixels."""
        return self.pixels.clamp(generator(latents, labels, noise))

    def real(self, stored: Tensor) -> Tensor:
        """Stored images (B, C, S, S) uint8 as the generator would make them."""
        return resize(self.pixels.normalise(stored), self.generator.shape.image_shape[1])

    def features(self, images: Tensor, purpose: str, step: int) -> Tensor:
        """Augment images at the generator's size and take them through the frozen classifier up to the matching layer.

        In between they are brought to the size at which the stream stores images, and cut to what networks see.
        """
        if self.augmentation != "off":
            random = self.context.random_key.rng(purpose, step, self.context.device)
            low, high = self.pixels.black.flatten(), self.pixels.white.flatten()
            images = augment(images, self.strength.p, random, low=low, high=high)
        seen = self.pixels.centre(resize(images, self.data.stored_size))
        return self.classifier.features(seen, self.layer)

    def generator_objective(
        self, draw: Draw, fake_features: Tensor, image_weight: float
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """L_G: adversarial and, if it is weighted, label on all fakes; pixel L1 to the old generator on the old."""
        loss = generator_loss(self.discriminator(fake_features, draw.fake_labels))
        terms = {"adversarial": loss}
        if self.config.weight_label > 0:
            logits = self.classifier.logits_from(fake_features, self.layer)
            terms["label"] = functional.cross_entropy(logits, draw.fake_labels)
            loss = loss + self.config.weight_label * terms["label"]
        if draw.n_old:
            terms["image_l1"] = image_distance(draw.fake[: draw.n_old], draw.real[: draw.n_old])
            loss = loss + image_weight * terms["image_l1"]
        return loss, terms

    def _generator_step(
        self, optimizer: torch.optim.Optimizer, draw: Draw, fake_features: Tensor, image_weight: float
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        self.discriminator.requires_grad_(False)  # the gradient goes through it, and its own would be thrown away
        loss, terms = self.generator_objective(draw, fake_features, image_weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        self.discriminator.requires_grad_(True)
        return loss.detach(), {**terms, **self.watched(draw.fake.detach())}

    def watched(self, images: Tensor) -> Mapping[str, Tensor]:
        """What is looked at in passing: the share of pixels at either end of the valid range."""
        return {EDGE_PIXELS: ((images <= self.pixels.black) | (images >= self.pixels.white)).float().mean()}

    def _discriminator_step(
        self, optimizer: torch.optim.Optimizer, draw: Draw, fake_features: Tensor, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            real_features = self.features(draw.real, "augment real", step)
        lazy = step % self.config.r1_interval == 0 and self.config.r1_gamma > 0
        if lazy:  # a gradient of a gradient, which lower precision would blur
            real_features = at_least_float32(real_features).requires_grad_()
            with self.discriminator.full_precision():
                real_scores = self.discriminator(real_features, draw.real_labels)
        else:
            real_scores = self.discriminator(real_features, draw.real_labels)
        fake_scores = self.discriminator(fake_features, draw.fake_labels)
        loss = discriminator_loss(real_scores, fake_scores)
        terms = {
            "discriminator": loss,
            "real_score": real_scores.mean(),
            "fake_score": fake_scores.mean(),
            "augmentation_p": loss.new_full((), self.strength.p),
        }
        if lazy:
            terms["r1"] = r1_penalty(real_scores, real_features, self.config.r1_gamma)
            loss = loss + self.config.r1_interval * terms["r1"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if self.augmentation == "adaptive":
            self.strength.update(real_scores.detach().sign().mean())
        return loss.detach(), terms

    def _discriminator_optimizer(self) -> torch.optim.Adam:
        """Adam with the correction for lazy R1: rate and betas for k of k + 1 steps (Karras et al. 2020)."""
        share = self.config.r1_interval / (self.config.r1_interval + 1)
        rate = self.config.learning_rate * self.config.discriminator_ratio * share
        betas = (_BETAS[0] ** share, _BETAS[1] ** share)
        return torch.optim.Adam(self.discriminator.parameters(), rate, betas=betas, fused=True)

    def _average(self, step: int) -> None:
        batch = self.config.batch_size
        decay = ema_decay(batch, (step + 1) * batch, self.config.ema_half_life, self.config.ema_ramp)
        average_into(self.average, self.generator, decay)

    def _result(self, losses: dict[str, float]) -> PhaseResult:
        discriminator = save_discriminator(self.discriminator)
        settings = {**discriminator.settings, "layer": self.layer}
        changed = {
            GENERATOR: save_generator(self.average),
            DISCRIMINATOR: Component(discriminator.kind, settings, discriminator.tensors),
        }
        metrics = {EDGE_PIXELS: losses.pop(EDGE_PIXELS)} if EDGE_PIXELS in losses else {}
        metrics[SCORE_GAP] = losses["real_score"] - losses["fake_score"]
        return PhaseResult(changed, game_images(self.config), losses, metrics, self.preview())

    @torch.no_grad()
    def preview(self) -> Tensor | None:
        """Replayed images of the classes seen, or of some of them: (classes, k, C, H, W) uint8 on the CPU."""
        shape = self.average.shape.image_shape
        random = self.context.random_key.rng("preview", device=self.context.device)
        parts = []
        for label in previewed_classes(self.data.n_old + self.data.n_new, shape):
            labels = torch.full((_PREVIEW,), label, device=self.context.device)
            latents = self.average.draw_latents(_PREVIEW, random)
            images = self.average(latents, labels, self.average.draw_noise(_PREVIEW, random))
            parts.append(self.pixels.to_bytes(images).cpu())
        return torch.stack(parts)
