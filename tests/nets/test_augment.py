"""Image-space augmentation: each distortion alone, their composition, how often they come, and how strength adapts."""

import math
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor

from tune_cl.nets._augment import AdaptiveStrength, Distortion, _distort, _draw, _source_of_output, augment
from tune_cl.nets._resample import resample, sample_by_gathers

FIELDS = [field.name for field in fields(Distortion)]
GEOMETRY, COLOUR = FIELDS[:9], FIELDS[9:]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 1) -> Tensor:
    """Images within [-1, 1]."""
    return 2 * torch.rand(*shape, generator=generator(seed), dtype=torch.float64) - 1


def distorted(images: Tensor, low: Tensor | float = -1.0, high: Tensor | float = 1.0, **known: float) -> Tensor:
    """Images after one known distortion, the same for all."""
    nothing = torch.zeros(len(images), dtype=torch.float64)
    distortion = Distortion(*[nothing] * len(FIELDS))
    return _distort(images, replace(distortion, **{k: nothing + v for k, v in known.items()}), low, high)


def ramp(side: int, slope_x: float, slope_y: float) -> Tensor:
    """An image (1, 1, side, side) linear in the position from the centre, which bilinear resampling reproduces."""
    place = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    return (slope_x * place + slope_y * place.unsqueeze(1)).view(1, 1, side, side)


def assert_centres_equal(one: Tensor, other: Tensor, margin: int) -> None:
    window = (..., slice(margin, -margin), slice(margin, -margin))
    torch.testing.assert_close(one[window], other[window], atol=1e-9, rtol=0)


def test_zeros_distort_nothing():
    for channels in (1, 3):
        images = noise(4, channels, 7, 9)
        torch.testing.assert_close(distorted(images), images)


def test_mirror_is_a_flip_left_to_right():
    images = noise(3, 3, 8, 11)
    torch.testing.assert_close(distorted(images, mirror=1), images.flip(3))


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("side", [8, 9])
def test_quarter_turns_are_torch_rot90(turns, side):
    images = noise(2, 3, side, side)
    torch.testing.assert_close(distorted(images, turns=turns), torch.rot90(images, turns, (2, 3)))


def test_mirror_comes_before_the_turn():
    images = noise(2, 1, 8, 8)
    torch.testing.assert_close(distorted(images, mirror=1, turns=1), torch.rot90(images.flip(3), 1, (2, 3)))


def test_shift_is_by_whole_pixels_right_and_down_with_the_border_mirrored():
    images = noise(2, 3, 16, 24)
    moved = distorted(images, shift_x=0.09, shift_y=-0.12)  # 2.16 and -1.92 pixels
    rolled = torch.roll(images, (-2, 2), (2, 3))
    torch.testing.assert_close(moved[:, :, :-2, 2:], rolled[:, :, :-2, 2:])
    torch.testing.assert_close(moved[:, :, :-2, :2], images[:, :, 2:, :2].flip(3))


def test_drift_is_by_fractions_of_a_pixel():
    images = noise(1, 1, 16, 16)
    moved = distorted(images, drift_x=0.25 / 16)
    between = 0.75 * images[..., 1:] + 0.25 * images[..., :-1]
    torch.testing.assert_close(moved[..., 1:], between)


def test_scale_magnifies_about_the_centre():
    assert_centres_equal(distorted(ramp(15, 1.0, 2.0), octaves=1.0), ramp(15, 0.5, 1.0), 1)
    assert_centres_equal(distorted(ramp(15, 1.0, 2.0), octaves=-1.0), ramp(15, 2.0, 4.0), 4)


def test_aspect_stretches_one_direction_and_shrinks_the_other():
    assert_centres_equal(distorted(ramp(15, 1.0, 1.0), aspect_octaves=1.0), ramp(15, 0.5, 2.0), 4)


def test_rotation_is_counter_clockwise_about_the_centre():
    angle = 0.4
    # Brightness that grew to the right grows, once turned, along (cos, -sin): downwards is positive.
    turned = ramp(15, math.cos(angle), -math.sin(angle))
    assert_centres_equal(distorted(ramp(15, 1.0, 0.0), angle=angle), turned, 3)
    images = noise(1, 1, 9, 9)
    torch.testing.assert_close(distorted(images, angle=math.pi / 2), torch.rot90(images, 1, (2, 3)))


def test_geometry_is_the_inverse_product_of_its_forward_matrices():
    height, width = 20, 30
    distortion = _draw(40, 1.0, generator(2))
    maps = _source_of_output(distortion, height, width).double().numpy()
    for i, found in enumerate(maps):
        d = {name: getattr(distortion, name)[i].item() for name in FIELDS}

        def turn(angle: float) -> np.ndarray:
            cos, sin = math.cos(angle), math.sin(angle)
            return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])

        def shift(x: float, y: float) -> np.ndarray:
            return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])

        stretch = 2 ** d["aspect_octaves"]
        steps = [
            np.diag([1 - 2 * d["mirror"], 1, 1]),
            turn(d["turns"] * math.pi / 2),
            shift(round(width * d["shift_x"]), round(height * d["shift_y"])),
            np.diag([2 ** d["octaves"], 2 ** d["octaves"], 1]),
            np.diag([stretch, 1 / stretch, 1]),
            turn(d["angle"]),
            shift(width * d["drift_x"], height * d["drift_y"]),
        ]
        forward = np.eye(3)
        for step in steps:
            forward = step @ forward
        np.testing.assert_allclose(found, np.linalg.inv(forward)[:2], atol=2e-5)


@pytest.mark.parametrize("sampler", [resample, sample_by_gathers])
def test_resampling_equals_scipy_with_a_mirrored_border(sampler):
    images = noise(12, 1, 10, 14)
    maps = _source_of_output(_draw(12, 1.0, generator(3)), 10, 14).double()
    centre = np.array([4.5, 6.5])
    for image, source, found in zip(images, maps, sampler(images, maps), strict=True):
        linear = source[:, :2].numpy()[::-1, ::-1]  # scipy counts (row, column)
        offset = source[:, 2].numpy()[::-1] + centre - linear @ centre
        expected = ndimage.affine_transform(image[0].numpy(), linear, offset, order=1, mode="reflect")
        np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-9)


def test_both_samplers_agree_in_values_and_gradients():
    maps = _source_of_output(_draw(6, 1.0, generator(4)), 9, 9).double()
    results = []
    for sampler in (resample, sample_by_gathers):
        images = noise(6, 3, 9, 9).requires_grad_()
        output = sampler(images, maps)
        (gradient,) = torch.autograd.grad((output * noise(6, 3, 9, 9, seed=5)).sum(), images)
        results.append((output, gradient))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_adds_and_contrast_scales_about_mid_grey(channels):
    images = noise(2, channels, 5, 5)
    torch.testing.assert_close(distorted(images, brightness=0.3), images + 0.3)
    torch.testing.assert_close(distorted(images, contrast_octaves=1.0), 2 * images)
    torch.testing.assert_close(distorted(images, brightness=0.3, contrast_octaves=1.0), 2 * (images + 0.3))


def test_luma_flip_inverts_grey_and_keeps_colourfulness():
    grey = noise(2, 1, 5, 5)
    torch.testing.assert_close(distorted(grey, luma_flip=1), -grey)
    images = noise(2, 3, 5, 5)
    flipped, luma = distorted(images, luma_flip=1), images.mean(1, keepdim=True)
    torch.testing.assert_close(flipped.mean(1, keepdim=True), -luma)
    torch.testing.assert_close(flipped - flipped.mean(1, keepdim=True), images - luma)


def test_hue_turned_by_a_third_permutes_the_channels():
    images = noise(2, 3, 5, 5)
    torch.testing.assert_close(distorted(images, hue=2 * math.pi / 3), images[:, [2, 0, 1]])


def test_saturation_scales_the_distance_from_grey():
    images = noise(2, 3, 5, 5)
    luma = images.mean(1, keepdim=True)
    torch.testing.assert_close(distorted(images, saturation_octaves=1.0), luma + 2 * (images - luma))


def test_colour_is_the_product_of_its_matrices_in_order():
    images = noise(1, 3, 6, 6)
    known = {name: 0.1 + 0.2 * i for i, name in enumerate(COLOUR)} | {"luma_flip": 1.0}
    axis = np.ones(3) / math.sqrt(3)
    grey = np.outer(axis, axis)
    pixels = images[0].flatten(1).numpy()
    pixels = 2 ** known["contrast_octaves"] * (pixels + known["brightness"])
    pixels = (np.eye(3) - 2 * grey) @ pixels
    pixels = Rotation.from_rotvec(known["hue"] * axis).as_matrix() @ pixels
    pixels = (grey + 2 ** known["saturation_octaves"] * (np.eye(3) - grey)) @ pixels
    np.testing.assert_allclose(distorted(images, **known)[0].flatten(1).numpy(), pixels, atol=1e-6)


def test_hue_and_saturation_leave_grey_images_alone():
    images = noise(2, 1, 5, 5)
    torch.testing.assert_close(distorted(images, hue=1.0, saturation_octaves=2.0), images)


@pytest.mark.parametrize("channels", [1, 3])
def test_distortion_commutes_with_the_normalisation_it_is_told_of(channels):
    images = noise(16, channels, 8, 8)
    mean, std = torch.tensor([0.5, 0.3, 0.4])[:channels], torch.tensor([0.3, 0.2, 0.25])[:channels]
    mean, std = mean.double(), std.double()

    def normalised(pixels: Tensor) -> Tensor:
        return ((pixels + 1) / 2 - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)

    before = normalised(augment(images, 0.8, generator(6)))
    after = augment(normalised(images), 0.8, generator(6), low=-mean / std, high=(1 - mean) / std)
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)


def test_probability_zero_returns_the_images_themselves():
    images = noise(4, 3, 8, 8)
    assert augment(images, 0.0, generator()) is images


@pytest.mark.parametrize("channels", [1, 3])
def test_full_probability_moves_every_image_and_keeps_pixels_finite(channels):
    images = noise(300, channels, 12, 12).float()
    changed = augment(images, 1.0, generator(7))
    assert changed.shape == images.shape and changed.dtype == images.dtype
    assert torch.isfinite(changed).all()
    assert ((changed - images).flatten(1).abs().amax(1) > 0.01).all()


def test_equal_images_are_distorted_differently():
    images = noise(1, 1, 12, 12).expand(20, -1, -1, -1)
    changed = augment(images, 1.0, generator(8)).flatten(1)
    distances = torch.cdist(changed, changed) + torch.eye(20)
    assert (distances > 0.1).all()


def test_an_image_does_not_influence_another():
    images = noise(6, 3, 8, 8)
    others = images.clone()
    others[2] = 0.0
    one, other = augment(images, 0.7, generator(9)), augment(others, 0.7, generator(9))
    kept = [0, 1, 3, 4, 5]
    assert torch.equal(one[kept], other[kept]) and not torch.equal(one[2], other[2])


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_each_distortion_comes_at_its_own_rate_independently(p):
    count = 40000
    distortion = _draw(count, p, generator(10))
    happened = {name: getattr(distortion, name) != 0 for name in FIELDS}
    rates = dict.fromkeys(FIELDS, p) | {"mirror": p / 2, "luma_flip": p / 2, "turns": 3 * p / 4}
    for name, rate in rates.items():
        tolerance = 5 * math.sqrt(rate * (1 - rate) / count) + 1e-4  # a uniform draw may be zero
        assert happened[name].double().mean().item() == pytest.approx(rate, abs=tolerance), name
    together = {("shift_x", "shift_y"), ("drift_x", "drift_y")}
    for i, one in enumerate(FIELDS):
        for other in FIELDS[i + 1 :]:
            both = (happened[one] & happened[other]).double().mean().item()
            expected = p if (one, other) in together else rates[one] * rates[other]
            assert both == pytest.approx(expected, abs=0.013), (one, other)


def test_magnitudes_are_those_of_the_paper():
    distortion = _draw(40000, 1.0, generator(11))
    deviations = {"octaves": 0.2, "aspect_octaves": 0.2, "drift_x": 1 / 8, "drift_y": 1 / 8}
    deviations |= {"brightness": 0.2, "contrast_octaves": 0.5, "saturation_octaves": 1.0}
    for name, deviation in deviations.items():
        values = getattr(distortion, name)
        assert values.std().item() == pytest.approx(deviation, rel=0.02), name
        assert values.mean().item() == pytest.approx(0, abs=0.03 * deviation), name
    for name, bound in {"shift_x": 1 / 8, "shift_y": 1 / 8, "angle": math.pi, "hue": math.pi}.items():
        values = getattr(distortion, name)
        assert 0.99 * bound < values.abs().max().item() <= bound, name
        assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02), name
    for turns in range(4):
        assert (distortion.turns == turns).double().mean().item() == pytest.approx(0.25, abs=0.01)


def test_draws_are_as_many_at_every_probability():
    rest = []
    for p in (0.0, 0.2, 1.0):
        draws = generator(12)
        augment(noise(5, 3, 8, 8), p, draws)
        rest.append(torch.rand(4, generator=draws))
    assert torch.equal(rest[0], rest[1]) and torch.equal(rest[1], rest[2])


def test_what_is_distorted_stays_so_at_a_higher_probability():
    weak, strong = (_draw(500, p, generator(13)) for p in (0.2, 0.6))
    for name in FIELDS:
        applied = getattr(weak, name) != 0
        assert applied.any()
        assert torch.equal(getattr(weak, name)[applied], getattr(strong, name)[applied])


@pytest.mark.parametrize("channels", [1, 3])
def test_gradient_of_augmentation_is_exact(channels):
    images = noise(5, channels, 6, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda pixels: augment(pixels, 0.8, generator(14), low=-0.5, high=2.0), images)


def test_half_precision_images_keep_their_dtype():
    images = noise(8, 3, 8, 8)
    halves = augment(images.half(), 0.8, generator(15))
    assert halves.dtype == torch.float16
    torch.testing.assert_close(halves.double(), augment(images, 0.8, generator(15)), atol=0.02, rtol=0.02)


def test_wrong_probabilities_and_channels_are_refused():
    with pytest.raises(ValueError, match="probability"):
        augment(noise(1, 1, 4, 4), 1.5, generator())
    with pytest.raises(ValueError, match="channels"):
        augment(noise(1, 2, 4, 4), 0.5, generator())


def test_strength_rises_while_real_images_are_recognised_and_falls_while_not():
    strength = AdaptiveStrength()
    for _ in range(40):
        strength.update(1.0)
    assert strength.p == pytest.approx(0.010)
    for _ in range(12):
        strength.update(-1.0)
    assert strength.p == pytest.approx(0.007)


def test_strength_moves_only_at_the_end_of_an_interval_by_the_mean_of_its_steps():
    strength = AdaptiveStrength(target=0.5, speed=0.1, interval=4)
    history = []
    for sign_mean in (1.0, 1.0, 1.0, -0.9, 1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, -1.1):
        strength.update(sign_mean)
        history.append(round(strength.p, 9))
    # Means 0.525 (up), 0.5 (stays), 0.475 (down).
    assert history == [0, 0, 0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0]


def test_strength_stays_between_zero_and_its_maximum():
    strength = AdaptiveStrength(speed=0.2, interval=1, maximum=0.5)
    for sign_mean, expected in [(-1.0, 0.0), (1.0, 0.2), (1.0, 0.4), (1.0, 0.5), (1.0, 0.5), (0.0, 0.3)]:
        strength.update(sign_mean)
        assert strength.p == pytest.approx(expected)


def test_strength_takes_tensors_and_continues_from_its_own_state():
    signs = torch.sign(torch.randn(30, 16, generator=generator(16)) + 0.8).mean(1)
    whole, first = AdaptiveStrength(interval=4), AdaptiveStrength(interval=4)
    for sign_mean in signs:
        whole.update(sign_mean)
    for sign_mean in signs[:13]:
        first.update(sign_mean.item())
    second = AdaptiveStrength(**asdict(first))
    for sign_mean in signs[13:]:
        second.update(sign_mean.item())
    assert whole.p == second.p and whole.steps == second.steps


def test_strength_settles_where_the_discriminator_is_as_sure_as_the_target():
    """A discriminator whose certainty falls with p: r = 1 - 2 p crosses the target 0.5 at p = 0.25."""
    strength = AdaptiveStrength(speed=0.005)
    for _ in range(400):
        strength.update(1 - 2 * strength.p)
    assert strength.p == pytest.approx(0.25, abs=0.006)
