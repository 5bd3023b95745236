"""The generator: its layers against a forward pass written out from the formulas, and its moving average."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_cl.nets import (
    Generator,
    GeneratorShape,
    average_into,
    build_generator,
    ema_decay,
    new_generator,
    save_generator,
)

CIFAR = GeneratorShape((3, 32, 32), 100, 512, 512, 256, 512, 4)
SMALL = GeneratorShape((1, 28, 28), 10, latent_dim=6, style_dim=5, embedding_dim=3, channels=8, start_size=7)


def inputs(generator: Generator, n: int = 4) -> tuple[Tensor, Tensor, list[Tensor]]:
    random = torch.Generator().manual_seed(2)
    labels = torch.randint(generator.shape.n_classes, (n,), generator=random)
    return generator.draw_latents(n, random), labels, generator.draw_noise(n, random)


def scrambled(shape: GeneratorShape) -> Generator:
    """A generator without zeros among its weights, so that no layer can hide."""
    generator = new_generator(shape, 4)
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in generator.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=random))
    return generator


def test_the_cifar_generator_has_7_35_million_parameters():
    assert sum(p.numel() for p in new_generator(CIFAR, 0).parameters()) == pytest.approx(7.35e6, rel=0.002)


def test_the_cifar_generator_has_seven_convolutions_that_thin_from_512_to_64_channels():
    generator = new_generator(CIFAR, 0)
    widths = [(conv.conv.weight.shape[1], conv.conv.weight.shape[0]) for conv in generator.convs]
    assert widths == [(512, 512), (512, 256), (256, 256), (256, 128), (128, 128), (128, 64), (64, 64)]
    noise = generator.draw_noise(2, torch.Generator().manual_seed(0))
    assert [tuple(layer.shape) for layer in noise] == [(2, 1, s, s) for s in (4, 4, 8, 8, 16, 16, 32)]
    assert generator.constant.shape == (1, 512, 4, 4)


@pytest.mark.parametrize("leaky", [False, True])
def test_the_forward_pass_is_that_of_the_formulas(leaky: bool):
    generator = scrambled(replace(SMALL, leaky_gain=leaky))
    latents, labels, noise = inputs(generator)
    tensors = generator.state_dict()

    def linear(x: Tensor, name: str, rate: float = 1.0) -> Tensor:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return x @ (weight * rate / math.sqrt(weight.shape[1])).T + bias * rate

    def convolve(x: Tensor, name: str) -> Tensor:
        weight = tensors[f"{name}.weight"]
        fan_in = weight[0].numel()
        bias = tensors[f"{name}.bias"].view(1, -1, 1, 1)
        gain = 2**0.5 if leaky and weight.shape[-1] == 3 else 1.0
        return functional.conv2d(x, gain * weight / math.sqrt(fan_in), padding=weight.shape[-1] // 2) + bias

    def style(x: Tensor, w: Tensor, name: str) -> Tensor:
        scale, shift = linear(w, f"{name}.scale"), linear(w, f"{name}.shift")
        return x * scale[..., None, None] + shift[..., None, None]

    def rectify(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    embedding = linear(torch.eye(10)[labels], "embedding")
    w = rectify(linear(torch.cat([latents, embedding], 1), "mapping.0", 0.01))
    w = rectify(linear(w, "mapping.2", 0.01))
    x = tensors["constant"].repeat(4, 1, 1, 1)
    for i in range(5):
        if i in (2, 4):  # after the second and the fourth convolution
            x = functional.interpolate(x, size=(2 * x.shape[2],) * 2, mode="bilinear")
        x = convolve(style(x, w, f"convs.{i}.style"), f"convs.{i}.conv")
        x = rectify(x + tensors[f"convs.{i}.noise_strength"] * noise[i])
    expected = convolve(style(x, w, "output_style"), "output")
    with torch.no_grad():
        torch.testing.assert_close(generator(latents, labels, noise), expected, rtol=1e-4, atol=1e-5)


def test_every_input_of_the_generator_matters():
    generator = scrambled(SMALL)
    latents, labels, noise = inputs(generator)
    with torch.no_grad():
        images = generator(latents, labels, noise)
        assert torch.equal(images, generator(latents, labels, noise))
        assert not torch.allclose(images, generator(-latents, labels, noise))
        assert not torch.allclose(images, generator(latents, (labels + 1) % 10, noise))
        for i in range(len(noise)):
            changed = [-layer if i == j else layer for j, layer in enumerate(noise)]
            assert not torch.allclose(images, generator(latents, labels, changed)), f"noise {i}"


def test_the_learning_rate_multiplier_of_the_mapping_changes_the_pace_but_not_the_start():
    mapping = new_generator(CIFAR, 0).mapping[2]
    assert (mapping.weight * mapping.scale).std().item() == pytest.approx(1 / math.sqrt(512), rel=0.02)
    # Adam moves a raw weight by its learning rate: the effective one moves by 0.01 / sqrt(fan in) of it.
    assert mapping.scale == pytest.approx(0.01 / math.sqrt(512)) and mapping.rate == 0.01


@pytest.mark.parametrize("n_classes", [10, 400])
def test_a_unit_label_weighs_as_much_as_z_however_many_classes_there_are(n_classes: int):
    """What reaches the mapping: read off its input, for every label."""
    deviations = {}
    for unit in (False, True):
        shape = GeneratorShape((1, 28, 28), n_classes, 8, 5, 256, 8, 7, unit_label=unit)
        generator = new_generator(shape, 0)
        seen: list[Tensor] = []
        generator.mapping[0].register_forward_pre_hook(lambda module, given, seen=seen: seen.append(given[0]))
        random = torch.Generator().manual_seed(2)
        labels = torch.arange(n_classes)
        generator(generator.draw_latents(n_classes, random), labels, generator.draw_noise(n_classes, random))
        deviations[unit] = seen[0][:, 8:].std().item()
    assert deviations[True] == pytest.approx(1, rel=0.1)
    assert deviations[False] == pytest.approx(1 / math.sqrt(n_classes), rel=0.1)


def test_initial_weights_depend_on_the_seed_only_and_a_saved_generator_is_built_again():
    first, again, other = (new_generator(SMALL, seed) for seed in (1, 1, 2))
    assert torch.equal(first.constant, again.constant) and not torch.equal(first.constant, other.constant)
    generator = scrambled(SMALL)
    rebuilt = build_generator(save_generator(generator))
    assert rebuilt.shape == generator.shape
    with torch.no_grad():
        assert torch.equal(rebuilt(*inputs(rebuilt)), generator(*inputs(generator)))


def test_a_start_size_that_no_doubling_takes_to_the_image_is_refused():
    shape = GeneratorShape((1, 28, 28), 10, 6, 5, 3, 8, start_size=5)
    with pytest.raises(ValueError, match="takes 5 to 28 pixels"):
        new_generator(shape, 0)


def test_the_moving_average_is_that_of_the_formula():
    random = np.random.default_rng(0)
    average, current = nn.Linear(3, 2), nn.Linear(3, 2)
    expected = {name: p.detach().double().numpy().copy() for name, p in average.named_parameters()}
    for step in range(20):
        with torch.no_grad():
            for p in current.parameters():
                p.copy_(torch.from_numpy(random.normal(size=p.shape)))
        decay = 0.5 ** (8 / min(500.0, 0.05 * 8 * (step + 1)))
        average_into(average, current, ema_decay(8, 8 * (step + 1), half_life=500, ramp=0.05))
        for name, p in current.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * p.detach().double().numpy()
    for name, p in average.named_parameters():
        np.testing.assert_allclose(p.detach().numpy(), expected[name], rtol=1e-5)


@pytest.mark.parametrize(
    ("images_seen", "images"), [(64, 3.2), (640, 32), (10_000_000, 500_000), (16_000_000, 500_000)]
)
def test_the_half_life_of_the_average_ramps_up_to_its_limit(images_seen, images):
    decay = ema_decay(64, images_seen, half_life=500_000, ramp=0.05)
    assert decay == pytest.approx(0.5 ** (64 / images))
    assert decay ** (images / 64) == pytest.approx(0.5)  # after so many images half of the old average is left


def test_before_any_image_the_average_is_the_current_generator():
    assert ema_decay(64, 0, half_life=500_000, ramp=0.05) == 0.0
