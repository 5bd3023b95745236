"""Classifiers: stages as Genifer numbers them, heads that grow without touching what was learnt, round trips."""

import math

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from tune_cl.nets import (
    POOLED,
    Classifier,
    ClassifierShape,
    build_classifier,
    grow_head,
    new_classifier,
    save_classifier,
)

CIFAR = ClassifierShape("resnet18_cifar", 64, (3, 32, 32), 100)
SMALL = ClassifierShape("small_cnn", 6, (1, 28, 28), 4)


def parameters_of(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def images_for(shape: ClassifierShape, n: int = 5) -> torch.Tensor:
    return torch.randn(n, *shape.image_shape, generator=torch.Generator().manual_seed(1))


def used(shape: ClassifierShape) -> Classifier:
    """A classifier whose batch-norm statistics are no longer the initial ones."""
    classifier = new_classifier(shape, 3)
    classifier.train()
    for _ in range(3):
        classifier(images_for(shape, 8))
    return classifier.eval()


def test_the_cifar_resnet_has_11_2_million_parameters():
    assert parameters_of(new_classifier(CIFAR, 0)) == pytest.approx(11.2e6, rel=0.005)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (CIFAR, [(3, 32, 32), (64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 1, 1)]),
        (SMALL, [(1, 28, 28), (6, 28, 28), (12, 14, 14), (12, 14, 14), (24, 7, 7), (24, 7, 7), (24, 1, 1)]),
    ],
)
def test_stages_are_numbered_from_the_image_to_the_pooled_features(shape, expected):
    classifier = new_classifier(shape, 0)
    assert [classifier.feature_shape(stage) for stage in range(POOLED + 1)] == expected
    images = images_for(shape, 2)
    assert classifier.features(images, 0) is images
    assert classifier.features(images, POOLED).shape == (2, expected[-1][0])


def test_the_cifar_stages_are_torchvisions_blocks_behind_a_three_by_three_stem():
    classifier = used(CIFAR)
    reference = resnet18(num_classes=100)
    reference.conv1, reference.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    stem, *blocks = list(classifier.layers)[:5]
    reference.conv1.load_state_dict(stem[0].state_dict())
    reference.bn1.load_state_dict(stem[1].state_dict())
    for block, name in zip(blocks, ("layer1", "layer2", "layer3", "layer4"), strict=True):
        getattr(reference, name).load_state_dict(block.state_dict())
    reference.fc.load_state_dict(classifier.head.state_dict())
    seen = {}
    reference.layer3.register_forward_hook(lambda module, args, output: seen.update(layer3=output))
    images = images_for(CIFAR, 2)
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), reference.eval()(images))
        torch.testing.assert_close(classifier.features(images, 4), seen["layer3"])


@pytest.mark.parametrize("stage", range(POOLED + 1))
def test_logits_can_be_reached_from_every_stage(stage):
    classifier, images = used(SMALL), images_for(SMALL)
    torch.testing.assert_close(classifier.logits_from(classifier.features(images, stage), stage), classifier(images))


@pytest.mark.parametrize("shape", [SMALL, CIFAR])
def test_a_grown_head_keeps_old_weights_and_logits_exactly(shape):
    old, images = used(shape), images_for(shape, 3)
    n_old = shape.n_classes
    grown = grow_head(old, n_old + 3, seed=5).eval()
    assert grown.shape.n_classes == grown.head.out_features == n_old + 3
    assert torch.equal(grown.head.weight[:n_old], old.head.weight)
    assert torch.equal(grown.head.bias[:n_old], old.head.bias)
    for name, tensor in old.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(grown.state_dict()[name], tensor), name
    features = old.features(images, POOLED).double()
    assert torch.equal(
        features @ grown.head.weight[:n_old].double().T + grown.head.bias[:n_old].double(),
        features @ old.head.weight.double().T + old.head.bias.double(),
    )
    torch.testing.assert_close(grown(images)[:, :n_old], old(images), rtol=0, atol=1e-6)


def test_growing_leaves_the_old_classifier_alone_and_draws_new_rows_from_the_seed_only():
    old = used(SMALL)
    before = {name: tensor.clone() for name, tensor in old.state_dict().items()}
    first, again, other = (grow_head(old, 7, seed) for seed in (5, 5, 6))
    with torch.no_grad():
        first.head.weight.zero_()
        first.layers[0][0].weight.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in old.state_dict().items())
    elsewhere = grow_head(new_classifier(SMALL, 99), 7, 5)
    assert torch.equal(again.head.weight[4:], elsewhere.head.weight[4:])
    assert not torch.equal(again.head.weight[4:], other.head.weight[4:])
    bound = 1 / math.sqrt(old.n_features)  # nn.Linear's own
    assert 0 < again.head.weight[4:].abs().max() <= bound


def test_a_head_that_grows_by_nothing_is_a_copy_and_shrinking_is_refused():
    old = used(SMALL)
    assert torch.equal(grow_head(old, 4, 0).head.weight, old.head.weight)
    with pytest.raises(ValueError, match="4 classes cannot grow to 3"):
        grow_head(old, 3, 0)


def test_initial_weights_depend_on_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first = new_classifier(SMALL, 1)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.layers[0][0].weight, new_classifier(SMALL, 1).layers[0][0].weight)
    assert not torch.equal(first.layers[0][0].weight, new_classifier(SMALL, 2).layers[0][0].weight)


def test_a_saved_classifier_is_built_again_with_its_batch_norm_and_shares_no_memory():
    classifier, images = used(SMALL), images_for(SMALL)
    component = save_classifier(classifier)
    again = build_classifier(component).eval()
    assert again.shape == classifier.shape
    assert torch.equal(again(images), classifier(images))
    with torch.no_grad():
        classifier.head.weight.zero_()
        again.layers[0][1].running_mean.fill_(7)
    assert component.tensors["head.weight"].abs().sum() > 0
    assert not torch.equal(component.tensors["layers.0.1.running_mean"], again.layers[0][1].running_mean)


def test_a_frozen_classifier_passes_gradients_to_its_images_but_has_none():
    classifier = used(SMALL).train().frozen()
    images = images_for(SMALL).requires_grad_()
    classifier.features(images, 4).sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert all(p.grad is None for p in classifier.parameters()) and not classifier.training


def test_asking_for_a_feature_shape_leaves_mode_and_statistics_alone():
    classifier = used(SMALL).train()
    before = classifier.layers[0][1].running_mean.clone()
    classifier.feature_shape(5)
    assert classifier.training and torch.equal(classifier.layers[0][1].running_mean, before)
