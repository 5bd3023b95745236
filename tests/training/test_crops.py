"""Random crops of images that are stored larger than networks see them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from tiny_phases import CPU, phase_context, phase_data
from torch import Tensor
from torch.nn import functional

from tune_cl.training._batches import Augment
from tune_cl.training._crops import _parts, random_crop_and_flip, resized_crop_and_flip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(batch: int, size: int) -> Tensor:
    """Images whose pixels say where they are, in one channel by row and in the other by column."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.stack([rows, columns]).float().repeat(batch, 1, 1, 1)


def test_a_random_crop_is_a_square_of_the_image_or_its_mirror_image_uniformly_placed():
    images = numbered(4000, 12)
    crops = random_crop_and_flip(images, 8, True, generator())
    assert crops.shape == (4000, 2, 8, 8)
    tops, mirrored = crops[:, 0, 0, 0].long(), crops[:, 1, 0, 0] > crops[:, 1, 0, 7]
    lefts = torch.where(mirrored, crops[:, 1, 0, 7], crops[:, 1, 0, 0]).long()
    for i in range(200):
        square = images[i, :, tops[i] : tops[i] + 8, lefts[i] : lefts[i] + 8]
        assert torch.equal(crops[i], square.flip(2) if mirrored[i] else square)
    for offsets in (tops, lefts):
        assert stats.chisquare(np.bincount(offsets, minlength=5)).pvalue > 0.001
    assert stats.binomtest(int(mirrored.sum()), 4000).pvalue > 0.001
    assert abs(np.corrcoef(tops, lefts)[0, 1]) < 0.06


@pytest.mark.parametrize("crop", [random_crop_and_flip, resized_crop_and_flip])
def test_crops_are_drawn_per_sample_from_the_generator_alone(crop):
    images = numbered(16, 12)
    first = crop(images, 8, True, generator(1))
    torch.manual_seed(3)
    assert torch.equal(first, crop(images, 8, True, generator(1)))
    assert not torch.equal(first, crop(images, 8, True, generator(2)))
    assert len({image.numpy().tobytes() for image in first}) > 8
    straight = crop(images, 8, False, generator(1))
    mirrored = first[:, 1, 0, 0] > first[:, 1, 0, 7]
    assert torch.allclose(torch.where(mirrored[:, None, None, None], first.flip(3), first), straight, atol=1e-4)


def test_uint8_images_are_cropped_exactly():
    images = torch.randint(0, 256, (5, 3, 10, 10), dtype=torch.uint8, generator=generator())
    crops = random_crop_and_flip(images, 6, True, generator(7))
    assert crops.dtype == torch.uint8
    assert torch.equal(crops.float(), random_crop_and_flip(images.float(), 6, True, generator(7)))


def test_parts_of_a_resized_crop_have_the_published_areas_and_aspects():
    width, height = _parts(20_000, generator())
    area, aspect = (width * height).double(), (width / height).double()
    assert width.max() <= 1 and height.max() <= 1
    assert area.min() >= 0.08 - 1e-6 and area.max() <= 1
    assert aspect.min() >= 3 / 4 - 1e-6 and aspect.max() <= 4 / 3 + 1e-6
    # Below 3/4 of the area every aspect fits: there, draws are uniform.
    small = area[area < 0.7].numpy()
    assert stats.kstest(small, stats.uniform(0.08, 0.62).cdf).pvalue > 0.001
    logs = aspect[area < 0.7].log().numpy()
    assert stats.kstest(logs, stats.uniform(np.log(3 / 4), 2 * np.log(4 / 3)).cdf).pvalue > 0.001


def test_a_resized_crop_shows_an_upright_part_within_the_image():
    size, stored = 8, 16
    crops = resized_crop_and_flip(numbered(500, stored), size, False, generator(5))
    width, height = _parts(500, generator(5))
    inner = crops[:, :, 1:-1, 1:-1]  # at the border the outermost pixels are repeated
    assert (crops >= 0).all() and (crops <= stored - 1).all()
    assert torch.allclose(inner.diff(dim=2)[:, 0], (height * stored / size)[:, None, None].expand(-1, 5, 6), atol=1e-3)
    assert torch.allclose(inner.diff(dim=3)[:, 1], (width * stored / size)[:, None, None].expand(-1, 6, 5), atol=1e-3)
    assert inner.diff(dim=3)[:, 0].abs().max() < 1e-3  # rows stay rows


def test_a_resized_crop_of_the_whole_image_is_plain_interpolation(monkeypatch):
    whole = (torch.ones(3), torch.ones(3))
    monkeypatch.setattr("tune_cl.training._crops._parts", lambda batch, generator: whole)
    images = torch.rand(3, 3, 16, 16, generator=generator())
    expected = functional.interpolate(images, (8, 8), mode="bilinear", align_corners=False)
    assert torch.allclose(resized_crop_and_flip(images, 8, False, generator()), expected, atol=1e-5)


@pytest.mark.parametrize("crop", ["pad", "random", "resized"])
def test_every_augmentation_gives_what_networks_see(crop):
    data = phase_data(0)
    preprocessing = replace(data.preprocessing, stored_size=28, seen_size=20, crop=crop)
    augment = Augment(
        replace(data, preprocessing=preprocessing, image_shape=(1, 20, 20)), phase_context(0, "classifier")
    )
    images = augment.pixels.normalise(data.new.gather(torch.arange(6)))
    seen = augment(images, "augment", 3)
    assert seen.shape == (6, 1, 20, 20) and seen.device == CPU
    assert torch.equal(seen, augment(images, "augment", 3)) and not torch.equal(seen, augment(images, "augment", 4))
