"""Random distortions of whole images, per sample and differentiable, to keep a discriminator from memorising.

The set of distortions, their order and their magnitudes follow the description in Karras et al. 2020 (arXiv 2006.06676,
appendix B), without its band filters and corruptions; written from that description. Geometry is one affine map and one
bilinear resampling, colour one affine map of the channels. How often they are applied is adapted by `AdaptiveStrength`.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tune_cl.nets._constants import constant
from tune_cl.nets._resample import resample

_TRANSLATION = 1 / 8  # of the side: bound of the whole-pixel shift, standard deviation of the fractional one
_SCALE = 0.2  # standard deviations, in octaves, of the log-normal factors
_CONTRAST = 0.5
_SATURATION = 1.0
_BRIGHTNESS = 0.2  # standard deviation, where the valid pixel range is [-1, 1]


@dataclass(frozen=True)
class Distortion:
    """What is done to each image, in this order; every field is (B,) float, and zeros leave the image as it is.

    The order of the fields is that of the rows of `_draw`.
    """

    mirror: Tensor  # 0 or 1
    turns: Tensor  # quarter turns counter-clockwise: 0, 1, 2, 3
    shift_x: Tensor  # rounded to whole pixels, as a share of the width; to the right
    shift_y: Tensor  # as a share of the height; downwards
    octaves: Tensor  # log2 of the magnification
    aspect_octaves: Tensor  # log2 of the stretch in x, which is undone in y
    angle: Tensor  # radians counter-clockwise
    drift_x: Tensor  # as shift_x, not rounded
    drift_y: Tensor
    brightness: Tensor  # added where the valid range is [-1, 1]
    contrast_octaves: Tensor  # log2 of the factor on the distance from mid-grey
    luma_flip: Tensor  # 0 or 1: brightness inverted, hue and saturation kept; the negative of a grey image
    hue: Tensor  # radians about the grey axis; colour images only
    saturation_octaves: Tensor  # log2 of the factor on the distance from the grey axis; colour images only


# Which of the twelve independent decisions governs each field: the two directions of a shift go together.
_DECISIONS = (0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11)


def augment(
    images: Tensor, p: float, generator: torch.Generator, *, low: Tensor | float = -1.0, high: Tensor | float = 1.0
) -> Tensor:
    """Distort each image by each of twelve distortions with probability `p`, independently.

    Mirror image, quarter turns, whole-pixel shift, scale, aspect, rotation, fractional shift, brightness, contrast,
    luma flip, hue, saturation. A mirror image, a luma flip and the number of turns are drawn with "none" among their
    values, so that p / 2, p / 2 and 3 p / 4 of the images show them: at a higher rate the generator could learn them.

    The number of draws does not depend on `p` (not even at 0), and what is distorted at some p is distorted in the same
    way at every higher p, so that runs of different strength see common random numbers.

    Args:
        images: (B, C, H, W) float with C 1 or 3; gradients flow through. Grey images have neither hue nor saturation.
        p: probability in [0, 1]; at 0 the images are returned as they are.
        generator: source of all draws, on the images' device.
        low: value of a black pixel in the space of `images`, one number or (C,).
        high: value of a white pixel. The result may leave the range [low, high].

    Returns:
        (B, C, H, W) in the dtype of `images`.

    Raises:
        ValueError: p is outside [0, 1], or the number of channels is neither 1 nor 3.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"the probability of augmentation must be in [0, 1], got {p}")
    if images.shape[1] not in (1, 3):
        raise ValueError(f"only grey and colour images can be augmented, got {images.shape[1]} channels")
    distortion = _draw(len(images), p, generator)
    return images if p == 0 else _distort(images, distortion, low, high)


@dataclass
class AdaptiveStrength:
    """Feedback from over-fitting to the augmentation probability `p`.

    Every `interval` discriminator steps, r = mean of sign D(real) over these steps is compared with `target`, and p
    goes up by `speed` where r is above it (the discriminator is too sure of its real images), down where it is below.
    """

    target: float = 0.5  # of r, which lies in [-1, 1]
    speed: float = 0.001  # change of p per update
    interval: int = 4  # steps
    maximum: float = 0.5
    p: float = 0.0
    steps: int = 0  # since the last update
    total: float | Tensor = 0.0  # of the signs since then; a tensor is read once per interval, not at each step

    def update(self, sign_mean: float | Tensor) -> None:
        """Take in one step's mean of sign D(real) over its batch, a number or a scalar tensor on any device."""
        self.total = self.total + (sign_mean.detach() if isinstance(sign_mean, Tensor) else sign_mean)
        self.steps += 1
        if self.steps < self.interval:
            return
        r = float(self.total) / self.steps
        direction = (r > self.target) - (r < self.target)
        self.p = min(max(self.p + self.speed * direction, 0.0), self.maximum)
        self.steps, self.total = 0, 0.0

    def state_dict(self) -> dict[str, Any]:
        """What `update` changes."""
        return {"p": self.p, "steps": self.steps, "total": self.total}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        self.p, self.steps, self.total = state_dict["p"], state_dict["steps"], state_dict["total"]


def _draw(batch: int, p: float, generator: torch.Generator) -> Distortion:
    """Draw each sample's distortion: always the same number of uniform and normal numbers."""
    device = generator.device
    decisions = torch.rand((12, batch), generator=generator, device=device) < p
    uniform = torch.rand((7, batch), generator=generator, device=device)
    normal = torch.randn((7, batch), generator=generator, device=device)
    dtype = uniform.dtype
    pick = (uniform[:3] * constant((2.0, 4.0, 2.0), device, dtype).unsqueeze(1)).floor()
    bounds = (_TRANSLATION, _TRANSLATION, math.pi, math.pi)
    even = (2 * uniform[3:] - 1) * constant(bounds, device, dtype).unsqueeze(1)
    deviations = (_SCALE, _SCALE, _TRANSLATION, _TRANSLATION, _BRIGHTNESS, _CONTRAST, _SATURATION)
    bell = normal * constant(deviations, device, dtype).unsqueeze(1)
    mirror, turns, luma_flip = pick
    shift_x, shift_y, angle, hue = even
    octaves, aspect, drift_x, drift_y, brightness, contrast, saturation = bell
    rows = [mirror, turns, shift_x, shift_y, octaves, aspect, angle, drift_x, drift_y]
    rows += [brightness, contrast, luma_flip, hue, saturation]
    chosen = decisions[constant(_DECISIONS, device, torch.int64)]
    return Distortion(*torch.where(chosen, torch.stack(rows), 0.0))


def _distort(images: Tensor, distortion: Distortion, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Apply known distortions, in float32 or the images' wider dtype."""
    wide = images if images.dtype in (torch.float32, torch.float64) else images.float()
    moved = resample(wide, _source_of_output(distortion, *images.shape[2:]).to(wide.dtype))
    return _recolour(moved, distortion, low, high).to(images.dtype)


def _source_of_output(distortion: Distortion, height: int, width: int) -> Tensor:
    """Affine maps (B, 2, 3) from output to source positions, in pixels right of and below the image's centre.

    Inverting the distortions in turn, the last first: source = Q (D R (output - drift) - shift), with R the turn back
    by the angle, D the scales' inverse, Q the quarter turns' and the mirror's.
    """
    d = distortion
    cos, sin = d.angle.cos(), d.angle.sin()
    shrink_x, shrink_y = torch.exp2(-d.octaves - d.aspect_octaves), torch.exp2(d.aspect_octaves - d.octaves)
    # Downwards is positive, hence a turn back (clockwise on the screen) by the angle is [[cos, -sin], [sin, cos]].
    a, b, c, e = shrink_x * cos, -shrink_x * sin, shrink_y * sin, shrink_y * cos
    drift_x, drift_y = width * d.drift_x, height * d.drift_y
    x = -a * drift_x - b * drift_y - (width * d.shift_x).round()
    y = -c * drift_x - e * drift_y - (height * d.shift_y).round()
    quarter = d.turns * (math.pi / 2)
    turn_cos, turn_sin = quarter.cos().round(), quarter.sin().round()
    side = 1 - 2 * d.mirror
    upper = [side * (turn_cos * u - turn_sin * v) for u, v in ((a, c), (b, e), (x, y))]
    lower = [turn_sin * u + turn_cos * v for u, v in ((a, c), (b, e), (x, y))]
    return torch.stack([*upper, *lower], dim=1).view(-1, 2, 3)


def _recolour(images: Tensor, distortion: Distortion, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Apply the colour distortions as one affine map of the channels, about the middle of the valid range."""
    bounds = [torch.as_tensor(bound, dtype=images.dtype, device=images.device).reshape(-1, 1) for bound in (low, high)]
    middle, half = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2  # (C, 1) or (1, 1)
    channels = images.shape[1]
    linear, offset = _colour_map(distortion, channels)
    linear = half * linear.to(images.dtype) / half.mT
    offset = middle + half * offset.to(images.dtype) - linear @ middle.expand(channels, 1)
    pixels = images.flatten(2)
    mixed = linear * pixels + offset if channels == 1 else torch.baddbmm(offset, linear, pixels)
    return mixed.view_as(images)


def _colour_map(distortion: Distortion, channels: int) -> tuple[Tensor, Tensor]:
    """Linear part (B, C, C) and offset (B, C, 1) of the colour distortions, where the valid range is [-1, 1].

    In colour the map is known on the grey axis and on the plane across it: the axis is scaled by contrast and luma
    flip, the plane by contrast and saturation, and turned by the hue. Brightness comes first and moves along the axis.
    """
    d = distortion
    contrast = torch.exp2(d.contrast_octaves)
    along = contrast * (1 - 2 * d.luma_flip)
    offset = (along * d.brightness).view(-1, 1, 1).expand(-1, channels, 1)
    if channels == 1:
        return along.view(-1, 1, 1), offset
    axis = torch.full((3, 3), 1 / 3, device=along.device)
    # Turn by +90 degrees in the plane: the cross product with the unit vector (1, 1, 1) / sqrt(3).
    turn = constant((0.0, -1.0, 1.0, 1.0, 0.0, -1.0, -1.0, 1.0, 0.0), along.device, axis.dtype)
    across = turn.view(3, 3) / math.sqrt(3)
    plane = torch.eye(3, device=along.device) - axis
    radius = contrast * torch.exp2(d.saturation_octaves)
    parts = ((along, axis), (radius * d.hue.cos(), plane), (radius * d.hue.sin(), across))
    return sum((factor.view(-1, 1, 1) * part for factor, part in parts), torch.zeros_like(axis)), offset
