"""Feature replay: what is frozen, where features enter, and what the game is about."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from tiny_phases import CPU, base_state, phase_context, phase_data, run_phase, same, subtree
from torch import Tensor

from tune_cl.errors import TuneCLError
from tune_cl.methods import Extent, get_method
from tune_cl.nets import Component, build_classifier, build_generator
from tune_cl.replay import FeatureReplay
from tune_cl.streams import Pixels
from tune_cl.training._replay_classifier import ReplayLoss, prior_of

METHOD = "feature_replay"
STAGE = 4


@cache
def after_base() -> Mapping[str, Component]:
    state = {"classifier": base_state()["classifier"]}
    return {**state, **run_phase(METHOD, 0, "generator", state).changed}


@cache
def after_classifier() -> Mapping[str, Component]:
    return {**after_base(), **run_phase(METHOD, 1, "classifier", after_base()).changed}


def lower(component: Component) -> dict[str, Tensor]:
    """Weights and buffers of the stages up to the replayed one."""
    return {
        name: t for name, t in component.tensors.items() if name.startswith(tuple(f"layers.{i}." for i in range(4)))
    }


def test_the_base_classifier_is_the_stage_of_genifer() -> None:
    ours, theirs = get_method(METHOD).base[0], get_method("genifer").base[0]
    assert ours is theirs


def test_stages_up_to_the_replayed_one_stay_bit_for_bit_and_those_after_it_learn() -> None:
    before, after = after_base()["classifier"], after_classifier()["classifier"]
    assert lower(before).keys() == lower(after).keys() and len(lower(before)) > 8
    assert all(torch.equal(tensor, lower(after)[name]) for name, tensor in lower(before).items())
    higher = [name for name in before.tensors if name.startswith("layers.4.") and before.tensors[name].dim() == 4]
    assert higher and all(not torch.equal(before.tensors[name], after.tensors[name]) for name in higher)


def test_the_generator_makes_maps_of_the_replayed_stage() -> None:
    generator = build_generator(after_base()["generator"])
    assert generator.shape.image_shape == build_classifier(base_state()["classifier"]).feature_shape(STAGE)
    assert after_base()["discriminator"].settings["layer"] == STAGE


def test_replayed_features_are_what_the_generator_makes_cut_at_zero_as_after_a_relu() -> None:
    generator = build_generator(after_base()["generator"]).eval()
    place = phase_context(1, "classifier").random_key
    drawn = FeatureReplay(generator, 4, place, CPU).draw(64, "replay", 3)
    random = place.rng("replay", 3, CPU)
    labels = torch.randint(4, (64,), generator=random)
    with torch.no_grad():
        made = generator(generator.draw_latents(64, random), labels, generator.draw_noise(64, random))
    assert torch.equal(drawn.labels, labels) and sorted(set(labels.tolist())) == [0, 1, 2, 3]
    assert (made < 0).any() and np.array_equal(drawn.images.numpy(), np.maximum(made.numpy(), 0))
    classifier = build_classifier(base_state()["classifier"]).eval()
    images = Pixels(phase_data(0).preprocessing, CPU).see(phase_data(0).new.gather(torch.arange(8)))
    assert (classifier.features(images, STAGE) >= 0).all(), "as real ones are"


def test_features_that_enter_give_the_loss_of_the_images_that_make_them() -> None:
    """The features of images, replayed, are worth these images, replayed: one loss, and no gradient before them."""
    config = subtree(METHOD, "increment.classifier", {"weight_ce": 0.3, "weight_feature": 0.7, "loss": "relaxed"})
    teacher = build_classifier(base_state()["classifier"]).frozen()
    student = build_classifier(after_classifier()["classifier"]).eval()
    student.layers[:STAGE].requires_grad_(False)
    random = torch.Generator().manual_seed(3)
    images, old_images = (torch.randn(n, 1, 28, 28, generator=random) for n in (6, 5))
    labels, old_labels = torch.tensor([4, 5, 4, 4, 5, 5]), torch.tensor([0, 1, 2, 3, 0])
    prior = prior_of(config, phase_data(1))
    as_images, terms = ReplayLoss(config, teacher, prior, 4)(student, images, labels, old_images, old_labels)
    features = teacher.features(old_images, STAGE)
    entering = ReplayLoss(config, teacher, prior, 4, start=STAGE)
    as_features, again = entering(student, images, labels, features, old_labels)
    assert as_features.item() == pytest.approx(as_images.item(), rel=1e-5)
    assert {name: value.item() for name, value in again.items()} == pytest.approx(
        {name: value.item() for name, value in terms.items()}, rel=1e-5
    )
    as_features.backward()
    assert all(p.grad is None for p in student.layers[:STAGE].parameters())
    assert all(p.grad is not None for p in student.layers[STAGE:].parameters())


def test_an_increment_without_learning_hands_on_the_old_networks() -> None:
    changed = run_phase(METHOD, 1, "generator", after_classifier(), {"learning_rate": 1e-30}).changed
    assert same(changed["generator"], after_base()["generator"])
    assert same(changed["discriminator"], after_base()["discriminator"])


def test_the_l1_term_holds_the_features_of_old_classes() -> None:
    tied = {"steps": 40, "learning_rate": 0.02}
    loose, tight = (
        run_phase(METHOD, 1, "generator", after_classifier(), {**tied, "weight_image": weight}).losses["image_l1"]
        for weight in (0.0, 100.0)
    )
    assert tight < 0.5 * loose


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"base": {"generator": {"replay_layer": 5}}, "increment": {"classifier": {"distillation_layer": 5}}},
            "above 5",
        ),
        (
            {"increment": {"classifier": {"distillation_layer": 4}}},
            r"distillation_layer 4: layers up to .* take a layer",
        ),
    ],
)
def test_distilling_what_cannot_change_is_refused(changes: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        get_method(METHOD).config.model_validate(changes)


def test_doublings_must_reach_the_side_of_the_features() -> None:
    method, extent = get_method(METHOD), Extent((3, 32, 32), n_base=4, n_seen=10)
    method.check_fit(method.config(), extent)
    config = method.config.model_validate({"base": {"generator": {"start_size": 7}}})
    with pytest.raises(
        TuneCLError, match=r"start_size: no number of doublings takes 7 to features of 8 pixels; .* 8, 4"
    ):
        method.check_fit(config, extent)
