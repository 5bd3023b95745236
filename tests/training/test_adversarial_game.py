"""Genifer's adversarial phases: R1 on features, shared draws with the old generator, moving average, augmentation."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from tiny_phases import CPU, base_state, mid_state, phase_context, phase_data, run_phase, same, subtree
from torch import Tensor
from torch.nn import functional

from tune_cl.methods import PhaseContext
from tune_cl.nets import (
    augment,
    build_classifier,
    build_discriminator,
    build_generator,
    new_discriminator,
    new_generator,
)
from tune_cl.streams import RandomKey
from tune_cl.training._game import EDGE_PIXELS, Draw, Game

STAGE = 4


def base_game(**changes: Any) -> Game:
    """A game on the base task, its networks in the middle of their training."""
    config = subtree("genifer", "base.generator", changes)
    return _game(config, 0, base_state(), old=False)


def increment_game(**changes: Any) -> Game:
    config = subtree("genifer", "increment.generator", changes)
    return _game(config, 1, mid_state(), old=True)


def _game(config: Any, t: int, state: Any, old: bool) -> Game:
    return Game(
        config,
        phase_data(t),
        phase_context(t, "generator"),
        build_classifier(state["classifier"]).frozen(),
        STAGE,
        build_generator(state["generator"]),
        build_discriminator(state["discriminator"]),
        build_generator(state["generator"]).eval().requires_grad_(False) if old else None,
    )


def discriminator_gradient(game: Game, step: int) -> tuple[Draw, Tensor, dict[str, Tensor]]:
    """What the discriminator's optimiser is given at a step, by parameter."""
    draw = game.draw(step)
    fake = game.features(draw.fake, "augment fake", step).detach()
    optimizer = torch.optim.SGD(game.discriminator.parameters(), 0.0)
    game._discriminator_step(optimizer, draw, fake, step)
    return (
        draw,
        fake,
        {name: p.grad.double() for name, p in game.discriminator.named_parameters() if p.grad is not None},
    )


def discriminator_objective(game: Game, draw: Draw, fake: Tensor, step: int, weight: float) -> float:
    """softplus(D(fake)) + softplus(-D(real)) + weight * mean ||dD/df||^2, by sample, in float64."""
    net = copy.deepcopy(game.discriminator).double()
    real = game.features(draw.real, "augment real", step).detach().double().requires_grad_()
    scores, fakes = net(real, draw.real_labels), net(fake.double(), draw.fake_labels)
    penalty = 0.0
    if weight:
        # Of the sum of all scores: minibatch deviation lets a sample's features reach its group's scores.
        (gradient,) = torch.autograd.grad(scores.sum(), real)
        penalty = float((gradient**2).sum()) / len(real)
    adversarial = np.logaddexp(0, -scores.detach().numpy()).mean() + np.logaddexp(0, fakes.detach().numpy()).mean()
    return float(adversarial + weight * penalty)


@pytest.mark.parametrize("make", [base_game, increment_game])
@pytest.mark.parametrize(("step", "lazy"), [(0, True), (1, False), (3, False), (4, True)])
def test_every_interval_the_discriminators_gradient_holds_r1_on_features_times_the_interval(make, step, lazy):
    """Along random directions in parameter space the gradient is the slope of an independently computed objective.

    The steps are short, since R1 jumps where a LeakyReLU turns.
    """
    game = make(r1_gamma=3.0, r1_interval=4, augmentation="fixed", augmentation_p=0.3)
    draw, fake, gradient = discriminator_gradient(game, step)
    weight = 4 * 3.0 / 2 if lazy else 0.0
    for seed in range(3):
        random = torch.Generator().manual_seed(seed)
        moved, slope, start = game.discriminator, 0.0, copy.deepcopy(game.discriminator.state_dict())
        direction = {name: torch.randn(g.shape, generator=random).double() for name, g in gradient.items()}
        slope = sum(float((gradient[name] * direction[name]).sum()) for name in gradient)
        values = []
        for sign in (1, -1):
            game.discriminator = copy.deepcopy(moved).double()
            game.discriminator.load_state_dict(
                {n: start[n].double() + sign * 1e-7 * direction.get(n, 0) for n in start}
            )
            values.append(discriminator_objective(game, draw, fake, step, weight))
        game.discriminator = moved
        assert slope == pytest.approx((values[0] - values[1]) / 2e-7, rel=2e-3)


def test_without_gamma_no_step_is_lazy():
    """Step 0 is a lazy one; with gamma 0 its gradient is that of the adversarial terms alone."""
    with_r1 = discriminator_gradient(base_game(r1_gamma=3.0), 0)[2]
    without = discriminator_gradient(base_game(r1_gamma=0.0), 0)[2]
    later = discriminator_gradient(base_game(r1_gamma=3.0), 1)[2]
    assert not torch.equal(with_r1["dense.weight"], without["dense.weight"])
    assert torch.equal(later["dense.weight"], discriminator_gradient(base_game(r1_gamma=0.0), 1)[2]["dense.weight"])


def test_the_discriminators_adam_is_corrected_for_lazy_steps():
    (group,) = (
        base_game(learning_rate=2.5e-3, discriminator_ratio=2.0, r1_interval=16)._discriminator_optimizer().param_groups
    )
    assert group["lr"] == pytest.approx(2 * 2.5e-3 * 16 / 17)
    assert group["betas"] == pytest.approx((0.0, 0.99 ** (16 / 17)))


def test_at_the_base_task_fakes_are_of_its_classes_and_real_images_its_own():
    draws = [base_game().draw(step) for step in range(40)]
    labels = torch.cat([draw.fake_labels for draw in draws])
    counts = torch.bincount(labels, minlength=4).float()
    assert counts.shape == (4,) and (counts / counts.sum() - 0.25).abs().max() < 0.08
    pixels, data = base_game().pixels, phase_data(0)
    known = {bytes(image.numpy()): int(label) for image, label in zip(data.new.images, data.new.labels, strict=True)}
    for image, label in zip(pixels.to_bytes(draws[0].real), draws[0].real_labels, strict=True):
        assert known[bytes(image.numpy())] == int(label)


def test_the_old_half_of_real_and_fake_shares_latents_labels_and_noise():
    """At the first step the generator is the old one: equal inputs give equal images, and the distance is zero."""
    game = increment_game()
    draw = game.draw(0)
    assert draw.n_old == 4 and len(draw.real) == len(draw.fake) == 8
    assert torch.equal(draw.real_labels[:4], draw.fake_labels[:4])
    torch.testing.assert_close(draw.fake[:4].detach(), draw.real[:4], rtol=0, atol=1e-6)
    features = game.features(draw.fake, "augment fake", 0)
    _, terms = game.generator_objective(draw, features, 40.0)
    assert terms["image_l1"].item() <= 1e-7
    # It is the same inputs, not a generator that ignores them.
    other = game.draw(1)
    assert (other.real[:4] - draw.real[:4]).abs().mean() > 1e-3


def test_labels_of_the_old_half_are_uniform_over_all_old_classes_and_those_of_the_new_half_new():
    draws = [increment_game().draw(step) for step in range(60)]
    old = torch.cat([draw.fake_labels[: draw.n_old] for draw in draws])
    counts = torch.bincount(old, minlength=4).float()
    assert counts.shape == (4,) and (counts / counts.sum() - 0.25).abs().max() < 0.1
    for labels in (
        torch.cat([d.fake_labels[d.n_old :] for d in draws]),
        torch.cat([d.real_labels[d.n_old :] for d in draws]),
    ):
        assert set(labels.tolist()) == {4, 5}


def test_the_generators_loss_adds_the_weighted_distance_to_the_old_generator():
    game = increment_game()
    with torch.no_grad():
        for p in game.generator.parameters():
            p.mul_(1.1)
    draw = game.draw(2)
    features = game.features(draw.fake, "augment fake", 2)
    total, _ = game.generator_objective(draw, features, 40.0)
    scores = game.discriminator(features, draw.fake_labels).detach().double().numpy()
    l1 = np.abs(draw.fake.detach().double().numpy()[:4] - draw.real.double().numpy()[:4]).mean()
    assert l1 > 1e-3
    assert total.item() == pytest.approx(np.logaddexp(0, -scores).mean() + 40 * l1, rel=1e-4)


@pytest.mark.parametrize("make", [base_game, increment_game])
def test_the_game_is_played_on_what_is_replayed_cut_to_valid_pixels(make):
    game = make()
    for generator in filter(None, (game.generator, game.old)):
        with torch.no_grad():
            generator.output.weight.mul_(20)
    draw, low, high = game.draw(3), (0 - 0.2860) / 0.3530, (1 - 0.2860) / 0.3530
    for images in (draw.fake, draw.real):
        assert low - 1e-6 <= images.min() and images.max() <= high + 1e-6
    random = game.context.random_key.rng("latents", 3)
    torch.randint(1, (len(draw.real) - draw.n_old,), generator=random)
    latents, noise = game.generator.draw_latents(8, random), game.generator.draw_noise(8, random)
    with torch.no_grad():
        made = game.generator(latents, draw.fake_labels, noise).numpy()
    assert ((made < low - 0.1) | (made > high + 0.1)).mean() > 0.2  # there is something to cut
    np.testing.assert_allclose(draw.fake.detach().numpy(), made.clip(low, high), atol=1e-5)
    share = game.watched(draw.fake.detach())[EDGE_PIXELS].item()
    assert share == pytest.approx(((made <= low) | (made >= high)).mean(), abs=1e-3)


@pytest.mark.parametrize("make", [base_game, increment_game])
def test_the_label_term_is_the_frozen_classifiers_cross_entropy_on_all_fakes(make):
    game, plain = make(weight_label=3.0), make()
    draw = game.draw(2)
    features = game.features(draw.fake, "augment fake", 2)
    total, terms = game.generator_objective(draw, features, 40.0)
    without, _ = plain.generator_objective(draw, features, 40.0)
    logits = game.classifier.logits_from(features, STAGE).detach().double().numpy()
    assert logits.shape == (8, 4 if draw.n_old == 0 else 6)
    shifted = logits - logits.max(1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    expected = -log_probability[np.arange(8), draw.fake_labels.numpy()].mean()
    assert terms["label"].item() == pytest.approx(expected, rel=1e-5)
    assert (total - without).item() == pytest.approx(3 * expected, rel=1e-4)


@pytest.mark.parametrize("make", [base_game, increment_game])
def test_a_generators_step_has_the_gradient_that_it_would_have_with_the_discriminators(make):
    game, plain = make(weight_label=1.0), make(weight_label=1.0)
    draw = plain.draw(2)
    loss, _ = plain.generator_objective(draw, plain.features(draw.fake, "augment fake", 2), 4.0)
    loss.backward()
    draw = game.draw(2)
    game._generator_step(
        torch.optim.SGD(game.generator.parameters(), 0.0), draw, game.features(draw.fake, "augment fake", 2), 4.0
    )
    for one, other in zip(game.generator.parameters(), plain.generator.parameters(), strict=True):
        assert one.grad is not None and torch.equal(one.grad, other.grad)
    assert all(p.grad is None and p.requires_grad for p in game.discriminator.parameters())
    assert any(p.grad is not None for p in plain.discriminator.parameters())


def test_the_weight_of_the_distance_is_scaled_by_old_over_new_classes():
    by_classes = run_phase("genifer", 1, "generator", mid_state(), {"weight_image": 3.0})
    by_hand = run_phase(
        "genifer", 1, "generator", mid_state(), {"weight_image": 3.0 * 4 / 2, "weight_image_scaling": "none"}
    )
    unscaled = run_phase("genifer", 1, "generator", mid_state(), {"weight_image": 3.0, "weight_image_scaling": "none"})
    assert same(by_classes.changed["generator"], by_hand.changed["generator"])
    assert not same(by_classes.changed["generator"], unscaled.changed["generator"])


def test_an_increment_goes_on_from_the_old_average_and_the_old_discriminator():
    still = {"learning_rate": 1e-30}
    changed = run_phase("genifer", 1, "generator", mid_state(), still).changed
    assert same(changed["generator"], base_state()["generator"])
    assert same(changed["discriminator"], base_state()["discriminator"])
    assert changed["discriminator"].settings == base_state()["discriminator"].settings


@pytest.mark.parametrize("restart", ["generator", "discriminator", "both"])
def test_a_restarted_network_starts_from_new_weights_and_the_other_goes_on(restart):
    still = {"learning_rate": 1e-30, "restart": restart}
    changed = run_phase("genifer", 1, "generator", mid_state(), still).changed
    place = phase_context(1, "generator").random_key
    new = {
        "generator": new_generator(build_generator(base_state()["generator"]).shape, place.seed("generator")),
        "discriminator": new_discriminator(
            build_discriminator(base_state()["discriminator"]).shape, place.seed("discriminator")
        ),
    }
    for name, net in new.items():
        assert changed[name].settings == base_state()[name].settings
        goes_on = same(changed[name], base_state()[name])
        stored = changed[name].tensors
        fresh = all(torch.allclose(t, stored[key], rtol=0, atol=1e-20) for key, t in net.state_dict().items())
        assert (goes_on, fresh) == ((False, True) if restart in (name, "both") else (True, False))


def test_a_restarted_generator_is_still_held_to_the_old_one():
    new = {"learning_rate": 1e-30, "restart": "generator"}
    result = run_phase("genifer", 1, "generator", mid_state(), new)
    assert result.losses["image_l1"] > 0.05


@pytest.mark.parametrize("make", [base_game, increment_game])
def test_what_a_phase_stores_is_the_moving_average_of_its_generator(make):
    config = {"steps": 12, "ema_half_life": 30.0, "ema_ramp": 0.6, "learning_rate": 0.05}
    game = make(**config)
    expected = {name: p.detach().double().numpy().copy() for name, p in game.generator.named_parameters()}

    def follow(step: int, steps: int) -> None:
        decay = 0.5 ** (8 / min(30.0, 0.6 * 8 * step))
        for name, p in game.generator.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * p.detach().double().numpy()

    game.context = PhaseContext(game.context.random_key, CPU, follow)
    stored = game.play(image_weight=1.0).changed["generator"].tensors
    for name, values in expected.items():
        np.testing.assert_allclose(stored[name].numpy(), values, rtol=1e-4, atol=1e-5)
        assert not np.array_equal(stored[name].numpy(), dict(game.generator.named_parameters())[name].detach().numpy())


class Seen:
    """Listens at the classifier: keeps the images that its stages are shown, and passes them on."""

    def __init__(self, game: Game) -> None:
        self.images: list[Tensor] = []
        self._features = game.classifier.features
        game.classifier.features = self  # type: ignore[method-assign, assignment]

    def __call__(self, images: Tensor, stage: int) -> Tensor:
        assert stage == STAGE
        self.images.append(images.detach())
        return self._features(images, stage)


@pytest.mark.parametrize("make", [base_game, increment_game])
def test_real_and_fake_images_are_augmented_before_the_classifier_sees_them(make):
    game = make(augmentation="fixed", augmentation_p=0.9)
    seen = Seen(game)
    draw, _, _ = discriminator_gradient(game, 5)
    place, low, high = game.context.random_key, game.pixels.black.flatten(), game.pixels.white.flatten()
    for shown, images, purpose in zip(
        seen.images, (draw.fake, draw.real), ("augment fake", "augment real"), strict=True
    ):
        assert not torch.allclose(shown, images)
        expected = augment(images.detach(), 0.9, place.rng(purpose, 5), low=low, high=high)
        torch.testing.assert_close(shown, expected)


def test_without_augmentation_the_classifier_sees_the_images_themselves():
    game = base_game(augmentation="off", augmentation_p=0.9)
    seen = Seen(game)
    draw, _, _ = discriminator_gradient(game, 5)
    assert torch.equal(seen.images[0], draw.fake.detach()) and torch.equal(seen.images[1], draw.real)


def test_gradients_reach_the_generator_through_augmentation_and_classifier():
    game = base_game(augmentation="fixed", augmentation_p=0.5)
    draw = game.draw(0)
    total, _ = game.generator_objective(draw, game.features(draw.fake, "augment fake", 0), 0.0)
    gradients = torch.autograd.grad(total, list(game.generator.parameters()))
    assert all(g.abs().sum() > 0 for g in gradients)
    assert all(p.grad is None for p in game.classifier.parameters())


def test_the_strength_of_augmentation_adapts_and_starts_again_at_each_phase():
    changes = {"steps": 8, "augmentation_target": -1.0, "augmentation_speed": 0.25, "augmentation_limit": 0.4}
    game = base_game(**changes)
    assert game.strength.p == 0.0
    losses = game.play(image_weight=0.0).losses
    assert game.strength.p == 0.4  # r above -1 twice, 0.25 each, cut at the limit
    assert losses["augmentation_p"] == 0.25  # of the last step, before its update
    assert increment_game(**changes).strength.p == 0.0


def test_two_learning_rates_see_the_same_images_latents_labels_and_augmentation():
    slow, fast = (increment_game(learning_rate=rate, augmentation="fixed") for rate in (1e-4, 1e-1))
    for step in range(3):
        one, other = slow.draw(step), fast.draw(step)
        assert torch.equal(one.real, other.real) and torch.equal(one.fake_labels, other.fake_labels)
        assert torch.equal(one.fake, other.fake)  # equal generators so far: equal latents and noise
        assert torch.equal(slow.features(one.real, "x", step), fast.features(other.real, "x", step))
    first_steps = [
        run_phase("genifer", t, "generator", state, {"steps": 1, "learning_rate": rate}).losses
        for t, state in ((0, base_state()), (1, mid_state()))
        for rate in (1e-4, 1e-1)
    ]
    for one, other in (first_steps[:2], first_steps[2:]):
        for term in ("discriminator", "real_score", "fake_score", "r1"):
            assert one[term] == other[term], term


def test_another_place_draws_otherwise():
    game = base_game()
    first = game.draw(0)
    game.context = PhaseContext(RandomKey(1, 0, "generator"), CPU)
    assert not torch.equal(first.fake, game.draw(0).fake)


def test_a_preview_shows_every_class_seen_made_by_the_stored_average():
    result = run_phase("genifer", 1, "generator", mid_state())
    assert result.preview is not None and result.preview.dtype == torch.uint8
    assert result.preview.shape == (6, 8, 1, 28, 28)
    generator = build_generator(result.changed["generator"])
    random = phase_context(1, "generator").random_key.rng("preview")
    for label, shown in enumerate(result.preview):
        latents = generator.draw_latents(8, random)
        with torch.no_grad():
            images = generator(latents, torch.full((8,), label), generator.draw_noise(8, random))
        bytes_ = ((images * 0.3530 + 0.2860).clamp(0, 1) * 255).round().to(torch.uint8)
        assert (bytes_.int() - shown.int()).abs().max() <= 1


@pytest.mark.parametrize("stage", [0, 2, 3, 5, 6])
def test_any_stage_can_be_matched_and_later_increments_keep_it(stage):
    """The matching layer is the base's: an increment reads it from the discriminator."""
    state = dict(base_state())
    state.update(run_phase("genifer", 0, "generator", state, {"matching_layer": stage}).changed)
    state["classifier"] = mid_state()["classifier"]
    result = run_phase("genifer", 1, "generator", state)
    assert result.changed["discriminator"].settings["layer"] == stage
    assert all(np.isfinite(value) for value in result.losses.values())


def test_softplus_of_torch_and_numpy_agree_on_what_the_tests_above_compare():
    x = torch.linspace(-5, 5, 11, dtype=torch.float64)
    np.testing.assert_allclose(functional.softplus(x).numpy(), np.logaddexp(0, x.numpy()))
