"""Crops and mirror images, against a loop over samples."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from tune_cl.nets._crop_flip import crop_and_flip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def windows(image: Tensor, padding: int) -> dict[tuple[int, int, bool], Tensor]:
    """Every crop of the zero-padded image (C, H, W), plain and mirrored."""
    height, width = image.shape[1:]
    padded = pad(image, (padding,) * 4)
    offsets = range(2 * padding + 1)
    crops = {(y, x, False): padded[:, y : y + height, x : x + width] for y in offsets for x in offsets}
    return crops | {(y, x, True): crop.flip(2) for (y, x, _), crop in crops.items()}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shape", [(16, 1, 9, 9), (16, 3, 8, 11)])
def test_every_output_is_a_window_of_the_padded_image(dtype, shape):
    images = torch.randint(1, 256, shape, generator=generator(1)).to(dtype)
    cropped = crop_and_flip(images, 2, True, generator())
    assert cropped.dtype == dtype and cropped.shape == images.shape
    for image, crop in zip(images, cropped, strict=True):
        assert sum(torch.equal(window, crop) for window in windows(image, 2).values()) == 1


@pytest.mark.parametrize("flip", [False, True])
def test_equals_a_loop_over_samples_with_the_same_draws(flip):
    images = torch.rand(20, 3, 7, 7, generator=generator(2))
    draws = generator(3)
    offsets = torch.randint(0, 7, (2, 20, 1), generator=draws)
    mirrored = torch.rand(20, 1, generator=draws) < 0.5
    expected = torch.empty_like(images)
    for i, image in enumerate(images):
        y, x = int(offsets[0, i]), int(offsets[1, i])
        expected[i] = windows(image, 3)[y, x, flip and bool(mirrored[i])]
    assert torch.equal(crop_and_flip(images, 3, flip, generator(3)), expected)


def test_crops_do_not_depend_on_flipping():
    image = torch.rand(1, 1, 6, 6, generator=generator(4)).expand(200, -1, -1, -1)
    by_window = windows(image[0], 1)
    plain, flipped = (crop_and_flip(image, 1, flip, generator(5)) for flip in (False, True))
    for one, other in zip(plain, flipped, strict=True):
        y, x = next((y, x) for (y, x, _), window in by_window.items() if torch.equal(window, one))
        assert torch.equal(other, by_window[y, x, False]) or torch.equal(other, by_window[y, x, True])


def test_half_of_the_images_are_mirrored_and_offsets_are_uniform():
    image = torch.rand(1, 1, 5, 5, generator=generator(6))
    crops = crop_and_flip(image.expand(9000, -1, -1, -1), 1, True, generator(7))
    shares = {
        place: (crops == window).flatten(1).all(1).double().mean().item()
        for place, window in windows(image[0], 1).items()
    }
    assert sum(shares.values()) == pytest.approx(1.0)
    assert sum(share for (_, _, mirrored), share in shares.items() if mirrored) == pytest.approx(0.5, abs=0.02)
    assert all(share == pytest.approx(1 / 18, abs=0.012) for share in shares.values())


def test_uncovered_pixels_take_the_fill_of_their_channel():
    fill = torch.tensor([-1.0, -2.0, -3.0])
    crops = crop_and_flip(torch.ones(50, 3, 6, 6), 2, False, generator(8), fill)
    for channel in range(3):
        assert set(crops[:, channel].unique().tolist()) == {1.0, fill[channel].item()}


def test_black_in_bytes_and_black_in_normalised_pixels_are_the_same_picture():
    images = torch.randint(0, 256, (32, 3, 8, 8), generator=generator(9), dtype=torch.uint8)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.25])

    def normalised(pixels: Tensor) -> Tensor:
        return (pixels / 255 - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)

    before = normalised(crop_and_flip(images, 2, True, generator(10)))
    after = crop_and_flip(normalised(images), 2, True, generator(10), -mean / std)
    torch.testing.assert_close(before, after)


def test_nothing_to_do_returns_the_images_themselves():
    images = torch.rand(2, 1, 4, 4)
    assert crop_and_flip(images, 0, False, generator()) is images


def test_inputs_stay_as_they_were():
    images, fill = torch.rand(1, 1, 1, 1), torch.zeros(1)
    before = images.clone()
    crop_and_flip(images, 0, True, generator(), fill)
    assert torch.equal(images, before) and fill.item() == 0


def test_gradient_reaches_exactly_the_pixels_that_are_seen():
    images = torch.rand(10, 2, 6, 6, generator=generator(11), requires_grad=True)
    weights = torch.rand(10, 2, 6, 6, generator=generator(12)) + 0.1
    (crop_and_flip(images, 2, True, generator(13)) * weights).sum().backward()
    seen = crop_and_flip(images.detach() + 10, 2, True, generator(13)) > 0  # what is not fill
    torch.testing.assert_close(images.grad.sum((1, 2, 3)), (weights * seen).sum((1, 2, 3)))
    assert torch.autograd.gradcheck(
        lambda pixels: crop_and_flip(pixels, 1, True, generator(14)),
        torch.rand(3, 1, 4, 4, dtype=torch.float64, requires_grad=True),
    )
