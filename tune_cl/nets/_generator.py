"""The style-based, class-conditional generator of Genifer (arXiv 2106.05350).

One-hot label -> linear embedding, concatenated with z -> two-layer mapping -> w. A learned constant grows through 3x3
convolutions with bilinear doublings; every layer's input is scaled by w (`x * y1(w) + y2(w)`), every convolution adds
noise with one learned strength per channel. No demodulation, no style mixing; linear output in normalised pixel space.
"""

import math
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tune_cl.nets._component import Component, seeded, to_component
from tune_cl.nets._constants import one_hot
from tune_cl.nets._equalised import EqualConv, EqualLinear
from tune_cl.nets._layout import LaidOut


@dataclass(frozen=True)
class GeneratorShape:
    """What a generator is built from."""

    image_shape: tuple[int, int, int]  # (C, H, W), square
    n_classes: int  # one-hot width: the classes of the whole stream
    latent_dim: int  # size of z
    style_dim: int  # size of w
    embedding_dim: int  # size of the label's embedding
    channels: int  # of the learned constant; halved with every doubling of the size
    start_size: int  # pixels of the learned constant; the image size is start_size * 2**k
    unit_label: bool = False  # the embedding starts with unit variance, as z has, however many classes there are
    leaky_gain: bool = False  # 3x3 convolutions keep the variance through their LeakyReLU, instead of halving it

    @property
    def sizes(self) -> tuple[int, ...]:
        """Resolutions from the constant to the image, e.g. (4, 8, 16, 32)."""
        sizes = [self.start_size]
        while sizes[-1] < self.image_shape[1]:
            sizes.append(2 * sizes[-1])
        if sizes[-1] != self.image_shape[1]:
            raise ValueError(f"no number of doublings takes {self.start_size} to {self.image_shape[1]} pixels")
        return tuple(sizes)


class _StyledConv(nn.Module):
    """Scale by w, convolve, add noise, LeakyReLU."""

    def __init__(self, style_dim: int, n_in: int, n_out: int, gain: float) -> None:
        super().__init__()
        self.style = _Style(style_dim, n_in)
        self.conv = EqualConv(n_in, n_out, 3, gain=gain)
        self.noise_strength = nn.Parameter(torch.zeros(n_out, 1, 1))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        x = torch.addcmul(self.conv(self.style(x, w)), self.noise_strength, noise)
        return functional.leaky_relu(x, 0.2)


class _Style(nn.Module):
    """`x * y1(w) + y2(w)` per channel, with y1 = 1 and y2 = 0 where w = 0."""

    def __init__(self, style_dim: int, channels: int) -> None:
        super().__init__()
        self.scale = EqualLinear(style_dim, channels, bias=1.0)
        self.shift = EqualLinear(style_dim, channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return torch.addcmul(self.shift(w)[:, :, None, None], x, self.scale(w)[:, :, None, None])


class Generator(LaidOut):
    """Latents (B, latent_dim), labels (B,) int64, noise maps -> images (B, C, H, W) in normalised pixel space."""

    def __init__(self, shape: GeneratorShape) -> None:
        super().__init__()
        self.shape = shape
        widths = [shape.channels // 2**level for level in range(len(shape.sizes))]
        self.embedding = EqualLinear(shape.n_classes, shape.embedding_dim)
        self.mapping = nn.Sequential(
            EqualLinear(shape.latent_dim + shape.embedding_dim, shape.style_dim, rate=0.01),
            nn.LeakyReLU(0.2),
            EqualLinear(shape.style_dim, shape.style_dim, rate=0.01),
            nn.LeakyReLU(0.2),
        )
        self.constant = nn.Parameter(torch.randn(1, shape.channels, shape.start_size, shape.start_size))
        # Two convolutions at each resolution, the second one thinning; a single one at the last.
        plan = [pair for w, thin in pairwise(widths) for pair in ((w, w), (w, thin))]
        plan.append((widths[-1], widths[-1]))
        gain = math.sqrt(2) if shape.leaky_gain else 1.0
        self.convs = nn.ModuleList(_StyledConv(shape.style_dim, n_in, n_out, gain) for n_in, n_out in plan)
        self.output_style = _Style(shape.style_dim, widths[-1])
        self.output = EqualConv(widths[-1], shape.image_shape[0], 1)

    def forward(self, latents: Tensor, labels: Tensor, noise: list[Tensor]) -> Tensor:
        """Generate images; `noise` has a map (B, 1, S, S) per convolution, see `draw_noise`."""
        with self.computing(latents):
            return self._images(latents, labels, noise).to(latents.dtype)

    def _images(self, latents: Tensor, labels: Tensor, noise: list[Tensor]) -> Tensor:
        labelled = one_hot(labels, self.shape.n_classes, latents.dtype)
        w = self.mapping(torch.cat([latents, self._embedded(labelled)], dim=1))
        x = self.constant.expand(len(latents), -1, -1, -1)
        for i, (conv, layer_noise) in enumerate(zip(self.convs, noise, strict=True)):
            if i and i % 2 == 0:
                x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = conv(x, w, layer_noise)
        images: Tensor = self.output(self.output_style(x, w))
        return images

    def _embedded(self, labelled: Tensor) -> Tensor:
        # EqualLinear divides by sqrt(n_classes), since its inputs are taken to be of unit variance; one-hot ones have
        # a single 1, so that the embedding's variance is 1 / n_classes.
        gain = math.sqrt(self.shape.n_classes) if self.shape.unit_label else 1.0
        embedded: Tensor = self.embedding(labelled)
        return embedded * gain

    def draw_noise(self, n: int, generator: torch.Generator) -> list[Tensor]:
        """Noise maps for a batch of n, from the generator's device."""
        sizes = [size for size in self.shape.sizes for _ in range(2)][:-1]
        return [torch.randn(n, 1, s, s, generator=generator, device=generator.device) for s in sizes]

    def draw_latents(self, n: int, generator: torch.Generator) -> Tensor:
        """Standard normal latents (n, latent_dim), from the generator's device."""
        return torch.randn(n, self.shape.latent_dim, generator=generator, device=generator.device)


def new_generator(shape: GeneratorShape, seed: int) -> Generator:
    """Build a generator with initial weights that depend on the seed and its own shape only."""
    with seeded(seed):
        return Generator(shape)


def save_generator(generator: Generator) -> Component:
    """The generator as plain data."""
    return to_component("generator", asdict(generator.shape), generator)


def build_generator(component: Component) -> Generator:
    """Build a generator again from plain data."""
    settings = dict(component.settings)
    settings["image_shape"] = tuple(settings["image_shape"])  # type: ignore[arg-type]
    generator = Generator(GeneratorShape(**settings))  # type: ignore[arg-type]
    generator.load_state_dict(dict(component.tensors))
    return generator


@torch.no_grad()
def average_into(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Exponential moving average of the parameters: average <- decay * average + (1 - decay) * current."""
    get_ema_multi_avg_fn(decay)(list(average.parameters()), list(current.parameters()), None)


def ema_decay(batch: int, images_seen: int, half_life: float, ramp: float) -> float:
    """Decay whose half-life is min(half_life, ramp * images_seen) images (Genifer, hyperparameters, EMA)."""
    images = min(half_life, ramp * images_seen)
    return 0.5 ** (batch / images) if images > 0 else 0.0
