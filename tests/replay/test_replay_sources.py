"""Replay sources: every old class equally often, valid pixels, draws that depend on their place alone."""

import multiprocessing

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from tune_cl.nets import Generator, GeneratorShape, new_generator
from tune_cl.replay import GeneratorReplay, OracleReplay, ReplaySource
from tune_cl.streams import FileImages, ImageFiles, LabelledImages, Pixels, Preprocessing, RandomKey

CPU = torch.device("cpu")
N_OLD = 7
PIXELS = Pixels(Preprocessing((0.3, 0.5, 0.4), (0.2, 0.25, 0.3), 2, True), CPU)
PLACE = RandomKey(11, 2, "classifier")


def wild_generator() -> Generator:
    """A generator whose output leaves the range of valid pixels on both sides."""
    generator = new_generator(GeneratorShape((3, 8, 8), 10, 4, 4, 4, 8, 4), 0)
    with torch.no_grad():
        generator.output.weight.mul_(20)
    return generator.eval().requires_grad_(False)


def unequal_past() -> LabelledImages:
    """Class c has 3 (c + 1) images, in mixed order; every image's first bytes say its class and its number."""
    labels = torch.cat([torch.full((3 * (c + 1),), c) for c in range(N_OLD)])
    images = torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = labels, torch.arange(len(labels))
    mixed = torch.randperm(len(labels), generator=torch.Generator().manual_seed(3))
    return LabelledImages(images[mixed], labels[mixed])


def generator_source(place: RandomKey = PLACE) -> GeneratorReplay:
    return GeneratorReplay(wild_generator(), N_OLD, PIXELS, place, CPU)


def oracle_source(place: RandomKey = PLACE) -> OracleReplay:
    return OracleReplay(unequal_past(), PIXELS, place, CPU)


SOURCES = pytest.mark.parametrize("source", [generator_source(), oracle_source()], ids=["generator", "oracle"])


@SOURCES
def test_labels_are_uniform_over_all_old_classes(source: ReplaySource):
    labels = torch.cat([source.draw(64, "replay", step).labels for step in range(60)])
    counts = np.bincount(labels.numpy(), minlength=N_OLD)
    assert len(counts) == N_OLD
    assert stats.chisquare(counts).pvalue > 0.001


@SOURCES
def test_images_are_valid_pixels(source: ReplaySource):
    images = source.draw(64, "replay", 0).images
    assert images.dtype == torch.float32 and images.shape == (64, 3, 8, 8)
    assert (images >= PIXELS.black).all() and (images <= PIXELS.white).all()


def test_what_the_generator_makes_beyond_the_valid_range_is_clamped_and_the_rest_kept():
    source, generator = generator_source(), wild_generator()
    replayed = source.draw(16, "replay", 3)
    random = PLACE.rng("replay", 3)
    labels = torch.randint(N_OLD, (16,), generator=random)
    latents = generator.draw_latents(16, random)
    raw = generator(latents, labels, generator.draw_noise(16, random))
    assert torch.equal(replayed.labels, labels)
    inside = (raw >= PIXELS.black) & (raw <= PIXELS.white)
    assert inside.any() and (raw < PIXELS.black).any() and (raw > PIXELS.white).any()
    assert torch.equal(replayed.images[inside], raw[inside])
    assert torch.equal(replayed.images, raw.clamp(PIXELS.black, PIXELS.white))


@SOURCES
def test_a_draw_depends_on_place_purpose_and_step_alone(source: ReplaySource):
    first = source.draw(8, "replay", 1)
    torch.manual_seed(123)
    source.draw(8, "judge", 0)
    again = source.draw(8, "replay", 1)
    assert torch.equal(first.images, again.images) and torch.equal(first.labels, again.labels)
    for purpose, step in (("replay", 2), ("judge", 1)):
        assert not torch.equal(first.images, source.draw(8, purpose, step).images)


@pytest.mark.parametrize("make", [generator_source, oracle_source])
def test_another_seed_increment_or_phase_draws_otherwise(make):
    first = make().draw(32, "replay", 0).labels
    for place in (RandomKey(12, 2, "classifier"), RandomKey(11, 3, "classifier"), RandomKey(11, 2, "generator")):
        assert not torch.equal(first, make(place).draw(32, "replay", 0).labels)


def test_generator_and_oracle_see_the_same_labels():
    for step in range(3):
        labels = generator_source().draw(32, "replay", step).labels
        assert torch.equal(labels, oracle_source().draw(32, "replay", step).labels)


def test_the_oracle_replays_real_images_of_the_label_each_equally_often():
    source, past = oracle_source(), unequal_past()
    drawn = [source.draw(128, "replay", step) for step in range(80)]
    images = torch.cat([PIXELS.to_bytes(batch.images) for batch in drawn])
    labels = torch.cat([batch.labels for batch in drawn])
    assert torch.equal(images[:, 0, 0, 0].long(), labels)
    numbers = images[:, 0, 0, 1].numpy()
    assert set(numbers) == set(past.images[:, 0, 0, 1].tolist())
    for label in range(N_OLD):
        counts = np.unique(numbers[labels.numpy() == label], return_counts=True)[1]
        assert len(counts) == 3 * (label + 1)
        assert stats.chisquare(counts).pvalue > 0.001


def test_a_small_generators_images_are_brought_to_the_size_that_is_asked_for():
    source = GeneratorReplay(wild_generator(), N_OLD, PIXELS, PLACE, CPU, size=16)
    small, large = generator_source().draw(4, "replay", 2), source.draw(4, "replay", 2)
    assert torch.equal(small.labels, large.labels) and large.images.shape == (4, 3, 16, 16)
    assert (large.images >= PIXELS.black).all() and (large.images <= PIXELS.white).all()
    raw = wild_generator()
    random = PLACE.rng("replay", 2)
    labels = torch.randint(N_OLD, (4,), generator=random)
    images = raw(raw.draw_latents(4, random), labels, raw.draw_noise(4, random))
    doubled = torch.nn.functional.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.equal(large.images, doubled.clamp(PIXELS.black, PIXELS.white))


@pytest.mark.parametrize("workers", [0, 1])
def test_the_oracle_replays_the_same_from_files_as_from_memory(tmp_path, workers):
    past = unequal_past()
    for number, image in enumerate(past.images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / f"{number}.png")
    names = np.array([f"{number}.png".encode() for number in range(len(past))])
    files = FileImages(ImageFiles(str(tmp_path), names, 8), past.labels)
    source, expected = OracleReplay(files, PIXELS, PLACE, CPU, workers), oracle_source()
    for purpose, step in (("judge", 0), ("replay", 4), ("replay", 5), ("replay", 6)):
        drawn, known = source.draw(16, purpose, step), expected.draw(16, purpose, step)
        assert torch.equal(drawn.images, known.images) and torch.equal(drawn.labels, known.labels)
    source.close()
    assert not multiprocessing.active_children()


def test_the_generator_is_not_trained_by_replaying():
    generator = wild_generator()
    source = GeneratorReplay(generator, N_OLD, PIXELS, PLACE, CPU)
    assert not source.draw(4, "replay", 0).images.requires_grad
