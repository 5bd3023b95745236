"""A generator whose images are smaller than the stream's, which in turn are larger than what networks see."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from tiny_phases import base_state, phase_context, phase_data, subtree
from torch.nn import functional

from tune_cl.errors import TuneCLError
from tune_cl.methods import PhaseData, get_method, keyed
from tune_cl.nets import (
    ClassifierShape,
    Component,
    DiscriminatorShape,
    GeneratorShape,
    build_generator,
    new_classifier,
    new_discriminator,
    new_generator,
    save_classifier,
)
from tune_cl.streams import Batches, LabelledImages, Pixels
from tune_cl.training import stage_bytes
from tune_cl.training._game import Game, preview_bytes, previewed_classes
from tune_cl.training._generator_phase import check_generator_fits, train_base_generator, train_increment_generator
from tune_cl.training._replay_classifier import train_with_generator

STORED, SEEN, MADE = 32, 28, 16


def large_data(t: int) -> PhaseData:
    """The tiny stream's increment with three channels, stored at 32 pixels and seen at 28."""
    data = phase_data(t)
    images = functional.interpolate(data.new.images.float(), (STORED, STORED)).to(torch.uint8).repeat(1, 3, 1, 1)
    preprocessing = replace(
        data.preprocessing, mean=(0.3,) * 3, std=(0.3,) * 3, stored_size=STORED, seen_size=SEEN, crop="random"
    )
    new = LabelledImages(images, data.new.labels)
    return replace(data, new=new, preprocessing=preprocessing, image_shape=(3, SEEN, SEEN))


def config(path: str = "base.generator", **changes: Any) -> Any:
    size = {"image_size": MADE, "start_size": 4, "channels": 8} if path.startswith("base") else {}
    return subtree("genifer", path, {**size, **changes})


def classifier(n_classes: int = 4) -> Component:
    return save_classifier(new_classifier(ClassifierShape("small_cnn", 4, (3, SEEN, SEEN), n_classes), 0))


def game(old: bool = False, **changes: Any) -> Game:
    shape = GeneratorShape((3, MADE, MADE), 10, 8, 8, 4, 8, 4)
    frozen = new_classifier(ClassifierShape("small_cnn", 4, (3, SEEN, SEEN), 4), 0).frozen()
    discriminator = new_discriminator(DiscriminatorShape(frozen.feature_shape(4), 10, 4, 4), 1)
    generators = [new_generator(shape, seed) for seed in (2, 3)]
    t = 1 if old else 0
    path = "increment.generator" if old else "base.generator"
    return Game(
        config(path, **changes), large_data(t), phase_context(t, "generator"), frozen, 4, generators[0], discriminator,
        generators[1] if old else None,
    )  # fmt: skip


def test_real_and_generated_images_have_the_generators_size_and_the_classifier_its_own(monkeypatch):
    played = game(augmentation="off")
    draw = played.draw(0)
    assert draw.real.shape == draw.fake.shape == (8, 3, MADE, MADE)
    seen = []
    monkeypatch.setattr(played.classifier, "features", lambda images, layer: seen.append(images) or images)
    for images in (draw.real, draw.fake):
        played.features(images, "augment", 0)
        doubled = functional.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
        assert torch.equal(seen[-1], doubled[:, :, 2:30, 2:30])


def test_real_images_go_down_with_antialiasing():
    played = game()
    index = Batches(len(played.data.new), 8, played.context.random_key).indices(0)
    stored = Pixels(played.data.preprocessing, played.context.device).normalise(played.data.new.gather(index))
    expected = functional.interpolate(stored, (MADE, MADE), mode="bilinear", antialias=True, align_corners=False)
    assert torch.equal(played.draw(0).real, expected)


def test_the_tie_to_the_old_generator_is_at_the_generators_size():
    played = game(old=True)
    draw = played.draw(0)
    _, terms = played.generator_objective(draw, played.features(draw.fake, "augment fake", 0), 1.0)
    half = played.n_old_images
    assert draw.real.shape == (8, 3, MADE, MADE) and draw.n_old == half == 4
    expected = (draw.fake[:half] - draw.real[:half]).abs().mean().item()
    assert terms["image_l1"].item() == pytest.approx(expected, rel=1e-6)


def test_gradients_reach_the_small_generator_through_the_large_images():
    played = game(augmentation="fixed")
    draw = played.draw(0)
    loss, _ = played.generator_objective(draw, played.features(draw.fake, "augment fake", 0), 0.0)
    loss.backward()
    assert all(p.grad is not None for p in played.generator.parameters())
    assert played.generator.constant.grad.abs().sum() > 0


def test_all_phases_run_at_three_sizes():
    state = {"classifier": classifier()}
    result = train_base_generator(config(), large_data(0), state, phase_context(0, "generator"))
    state |= result.changed
    assert build_generator(state["generator"]).shape.image_shape == (3, MADE, MADE)
    assert result.preview is not None and result.preview.shape == (4, 8, 3, MADE, MADE)
    trained = train_with_generator(config("increment.classifier"), large_data(1), state, phase_context(1, "classifier"))
    assert 0 <= trained.metrics["replay_accuracy"] <= 1
    state |= trained.changed
    after = train_increment_generator(
        config("increment.generator"), large_data(1), state, phase_context(1, "generator")
    )
    assert build_generator(after.changed["generator"]).shape.image_shape == (3, MADE, MADE)


def test_the_size_is_in_stage_keys_only_where_it_is_set():
    assert "image_size" not in keyed(config(image_size=0))
    assert keyed(config())["image_size"] == MADE


def test_zero_is_the_size_that_networks_see():
    generator = train_base_generator(
        config(image_size=0, start_size=7), large_data(0), {"classifier": classifier()}, phase_context(0, "generator")
    ).changed["generator"]
    assert build_generator(generator).shape.image_shape == (3, SEEN, SEEN)


def test_the_size_must_be_reached_by_doublings():
    check_generator_fits(config(), (3, 224, 224))
    with pytest.raises(TuneCLError, match=r"start_size: no number of doublings takes 7 to images of 16 pixels"):
        check_generator_fits(config(start_size=7), (3, 28, 28))
    with pytest.raises(TuneCLError, match=r"channels: 8 cannot be halved at each doubling from 4 to 128 pixels"):
        check_generator_fits(config(image_size=128), (3, 224, 224))


@pytest.mark.parametrize("image_size", [8, 16])
def test_a_stages_size_is_foretold_from_its_configuration_and_holds_its_preview(image_size: int):
    method = get_method("genifer")
    phase = next(phase for phase in method.base if phase.name == "generator")
    trained = config(image_size=image_size)
    generator = {name: getattr(trained, name) for name in type(trained).model_fields}
    settings = {"base": {"classifier": {"network": "small_cnn", "width": 4}, "generator": generator}}
    foretold = stage_bytes(method, method.config.model_validate(settings), phase, (3, SEEN, SEEN), [16] * 4, 10)
    result = train_base_generator(trained, large_data(0), {"classifier": classifier()}, phase_context(0, "generator"))
    assert result.preview is not None
    tensors = [tensor for part in result.changed.values() for tensor in part.tensors.values()]
    assert foretold == sum(tensor.numel() * tensor.element_size() for tensor in [*tensors, result.preview])


def test_a_preview_stays_within_its_bytes_and_shows_the_first_and_the_last_class():
    small, large = (1, 28, 28), (3, 128, 128)
    assert previewed_classes(100, small) == list(range(100))
    assert previewed_classes(1, large) == [0]
    shown = previewed_classes(1000, large)
    assert shown == sorted(set(shown)) and (shown[0], shown[-1]) == (0, 999)
    assert max(later - earlier for earlier, later in pairwise(shown)) <= 25  # about evenly spaced
    assert preview_bytes(len(shown), large) == len(shown) * 8 * 3 * 128 * 128 <= 16 * 2**20
    assert preview_bytes(len(shown) + 1, large) > 16 * 2**20


def test_a_stream_without_larger_images_is_as_it_was():
    assert phase_data(0).stored_size == 28
    assert base_state()["generator"].settings["image_shape"] == (1, 28, 28)
