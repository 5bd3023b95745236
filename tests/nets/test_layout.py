"""Memory layout, precision and folded batch norm change how networks compute, not what."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from tune_cl.losses import r1_penalty
from tune_cl.nets import (
    Classifier,
    ClassifierShape,
    DiscriminatorShape,
    GeneratorShape,
    folded,
    lay_out,
    new_classifier,
    new_discriminator,
    new_generator,
    save_classifier,
)
from tune_cl.options import Numerics

BFLOAT16 = Numerics(precision="bfloat16").resolved()
NETWORKS = [("small_cnn", 8, 28), ("resnet32_projection", 16, 32), ("resnet32_podnet", 16, 32)]


def images(size: int, n: int = 6, channels: int = 1) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0))


def seen_something(network: str, width: int, size: int) -> Classifier:
    """A classifier whose batch-norm statistics and scales are not those that it starts with."""
    classifier = new_classifier(ClassifierShape(network, width, (1, size, size), 4), 0).train()
    with torch.no_grad():
        for module in classifier.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2, generator=torch.Generator().manual_seed(1))
                module.bias.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(2))
        for _ in range(3):
            classifier(images(size))
    return classifier.eval()


@contextmanager
def convolved() -> Iterator[list[Tensor]]:
    """What each convolution gave inside."""
    outputs: list[Tensor] = []
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, given, output: outputs.append(output) if isinstance(module, nn.Conv2d) else None
    )
    try:
        yield outputs
    finally:
        handle.remove()


@pytest.mark.parametrize(("network", "width", "size"), NETWORKS)
def test_folded_batch_norm_gives_the_same_activations(network, width, size):
    classifier = seen_something(network, width, size).double()
    light, seen = folded(classifier), images(size).double()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in light.modules())
    assert not any(weights.requires_grad for weights in light.parameters())
    with torch.no_grad():
        for ours, theirs in zip(light.activations(seen), classifier.activations(seen), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert any(isinstance(module, nn.BatchNorm2d) for module in classifier.modules())  # a copy was folded


def test_batch_norm_whose_place_is_not_known_is_left_alone():
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.convolution = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1)

        def forward(self, maps: Tensor) -> Tensor:
            return self.convolution(self.norm(maps))

    classifier = seen_something("small_cnn", 8, 28)
    classifier.layers[1] = Mine()
    assert any(isinstance(module, nn.BatchNorm2d) for module in folded(classifier).layers[1].modules())


@pytest.mark.parametrize(("network", "width", "size"), NETWORKS)
@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_maps_have_the_layout_throughout(network, width, size, memory_format):
    classifier = seen_something(network, width, size)
    plain = classifier(images(size)).detach()
    lay_out(classifier, Numerics(memory_format=memory_format).resolved())
    with convolved() as maps:
        logits = classifier(images(size))
    expected = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}[memory_format]
    assert maps and all(output.is_contiguous(memory_format=expected) for output in maps)
    torch.testing.assert_close(logits, plain, rtol=1e-3, atol=1e-4)
    assert all(t.is_contiguous() for t in save_classifier(classifier).tensors.values())  # on disk nothing shows


def test_in_bfloat16_convolutions_are_and_weights_statistics_and_logits_are_not():
    classifier = lay_out(seen_something("small_cnn", 8, 28), BFLOAT16).train()
    exact = seen_something("small_cnn", 8, 28).train()(images(28))
    with convolved() as maps:
        logits = classifier(images(28))
    assert {output.dtype for output in maps} == {torch.bfloat16}
    assert logits.dtype == classifier.features(images(28), 6).dtype == torch.float32
    logits.square().mean().backward()
    for tensor in classifier.state_dict().values():
        assert tensor.dtype in (torch.float32, torch.int64)
    assert all(weights.grad is not None and weights.grad.dtype == torch.float32 for weights in classifier.parameters())
    torch.testing.assert_close(logits, exact, rtol=0.05, atol=0.05)
    assert not torch.equal(logits, exact)


def test_in_bfloat16_images_scores_and_r1_are_in_float32():
    generator = lay_out(new_generator(GeneratorShape((1, 14, 14), 3, 4, 4, 4, 8, 7), 0), BFLOAT16)
    random = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 1, 2, 0])
    made = generator(generator.draw_latents(4, random), labels, generator.draw_noise(4, random))
    assert made.dtype == torch.float32 and made.isfinite().all()
    discriminator = lay_out(new_discriminator(DiscriminatorShape((8, 7, 7), 3, 8, 4), 0), BFLOAT16)
    features = torch.randn(4, 8, 7, 7, generator=random, requires_grad=True)
    lowered = discriminator(features, labels)
    with discriminator.full_precision():
        scores = discriminator(features, labels)
    exact = new_discriminator(DiscriminatorShape((8, 7, 7), 3, 8, 4), 0)(features, labels)
    assert lowered.dtype == scores.dtype == torch.float32
    torch.testing.assert_close(scores, exact)
    assert not torch.equal(lowered, scores) and torch.equal(discriminator(features, labels), lowered)
    r1_penalty(scores, features, 1.0).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in discriminator.parameters())
